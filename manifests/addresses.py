"""What may be kept of an address of the web: all but who may fetch it.

An address in a list can be signed, or hold a user's name and password. It says where a clip came from, so it goes into
rows, KEY.json and reports; keys that only grant access go nowhere.
"""

from urllib.parse import unquote, urlsplit

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


def _without_keys(query: str) -> str:
    pieces = query.split("&")
    names = [unquote(piece.partition("=")[0]).strip().lower() for piece in pieces]
    secret = SIGNING | AZURE if "sig" in names else SIGNING
    return "&".join(
        piece
        for piece, name in zip(pieces, names, strict=True)
        if name not in secret and not name.startswith(SIGNING_PREFIXES)
    )
