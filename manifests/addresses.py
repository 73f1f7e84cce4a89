"""What may be kept of an address of the web: all but who may fetch it. And when two addresses are one.

An address in a list can be signed, or hold a user's name and password. It says where a clip came from, so it goes into
rows, KEY.json and reports; keys that only grant access go nowhere.
"""

from urllib.parse import SplitResult, quote, unquote, urlsplit

SIGNING = frozenset({
    "access_token", "api_key", "apikey", "auth_token", "awsaccesskeyid", "expires", "googleaccessid", "hdnea", "hdntl",
    "hdnts", "hmac", "jwt", "key-pair-id", "lsig", "ossaccesskeyid", "password", "policy", "security-token", "sig",
    "signature", "token",
})  # fmt: skip
"""Query keys, in lower case, that sign an address or stand for a login: Amazon S3 and CloudFront, Google Cloud Storage,
Akamai, Alibaba's object store, and what services name theirs.
"""
SIGNING_PREFIXES = ("x-amz-", "x-goog-")
AZURE = frozenset({
    "se", "si", "sip", "ske", "skoid", "sks", "skt", "sktid", "skv", "sp", "spr", "sr", "srt", "ss", "st", "sv",
})  # fmt: skip
"""The other parts of Azure's shared access signatures: ordinary keys, unless `sig` stands beside them."""
TRACKING = frozenset({
    "_ga", "_gl", "_hsenc", "_hsmi", "dclid", "fbclid", "gbraid", "gclid", "gclsrc", "igsh", "igshid", "mc_cid",
    "mc_eid", "mkt_tok", "msclkid", "ref_src", "ref_url", "share_medium", "share_plat", "share_source", "si",
    "spm_id_from", "ttclid", "twclid", "vd_source", "wbraid", "yclid",
})  # fmt: skip
"""Query keys, in lower case, that say who shared an address or where it was clicked, and nothing of what lies there."""
TRACKING_PREFIXES = ("utm_",)
_SAFE_IN_PATH = "/!$&'()*+,;=:@~"
"""What a path may hold as it stands (RFC 3986); all else is encoded, so that both spellings are one."""
_PORTS = {"http": 80, "https": 443}


def without_secrets(address: str) -> str:
    """The address without user name, password and signing keys; as it stands if it has none of these."""
    if "://" not in address or not any(mark in address for mark in "?@#"):
        return address
    try:
        parts = urlsplit(address)
    except ValueError:
        return address.partition("://")[0] + "://"  # nobody can ask for it
    kept = parts._replace(
        netloc=parts.netloc.rpartition("@")[2],
        query=_without_keys(parts.query),
        fragment=_without_keys(parts.fragment) if "=" in parts.fragment else parts.fragment,
    )
    return address if kept == parts else kept.geturl()


def usual_form(address: str) -> str:
    """One spelling of an http(s) address for all that lead to the same: without secrets, fragment, tracking keys,
    `www.`, default port and last slash, with https and the host in small letters. All other keys of the query stay.

    Another scheme's loses its secrets and its last slash only.
    """
    address = without_secrets(address.strip())
    try:
        parts = urlsplit(address)
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return address
    if scheme not in _PORTS or not host:
        return address.rstrip("/")
    host = _in_ascii(unquote(host).lower().removeprefix("www."))
    shown = f"[{host}]" if ":" in host else host
    pieces = [piece for piece in parts.query.split("&") if not _is_tracking(piece)]
    at = shown if port in (None, _PORTS[scheme]) else f"{shown}:{port}"
    path = quote(unquote(parts.path), safe=_SAFE_IN_PATH)
    return SplitResult("https", at, path.rstrip("/"), "&".join(pieces), "").geturl()


def _in_ascii(host: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return host


def _is_tracking(piece: str) -> bool:
    name = unquote(piece.partition("=")[0]).strip().lower()
    return name in TRACKING or name.startswith(TRACKING_PREFIXES)


def _without_keys(query: str) -> str:
    pieces = query.split("&")
    names = [unquote(piece.partition("=")[0]).strip().lower() for piece in pieces]
    secret = SIGNING | AZURE if "sig" in names else SIGNING
    return "&".join(
        piece
        for piece, name in zip(pieces, names, strict=True)
        if name not in secret and not name.startswith(SIGNING_PREFIXES)
    )
