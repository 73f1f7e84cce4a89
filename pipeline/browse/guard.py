"""Who may ask: a browser of this machine that was opened with the token, at this page and from no other.

Other sites reach loopback through a visitor's browser: by their own name, once it resolves to 127.0.0.1 (DNS
rebinding), or by requests from their pages. So the host that a request names has to be an address or a name of this
machine, its origin the same host where it has one, and the token's cookie is not sent along from elsewhere. The port
may be another: it may have been forwarded.
"""

import hmac
import re
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("0.0.0.0", "::")
"""Addresses to bind that no browser can open."""
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([\w.-]+))(?::\d{1,5})?", re.IGNORECASE)
TOKEN = "token"
"""The key of the first address."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer. Pages have no script or style of their own, and load nothing from elsewhere."""


@dataclass(frozen=True, slots=True)
class Guard:
    """`host`: the address that is bound, with `port`."""

    host: str
    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def address(self) -> str:
        """The first address, which has the token."""
        return f"{self.origin}/?{TOKEN}={self.token}"

    @property
    def origin(self) -> str:
        """The page's own origin, as this machine names it."""
        host = socket.gethostname() if self.host in EVERYWHERE else self.host
        return f"http://{_named(host)}:{self.port}"

    @property
    def cookie(self) -> str:
        """The cookie that takes the token's place. Cookies know no ports, so its name says whose it is."""
        return f"{self._name}={self.token}; HttpOnly; SameSite=Strict; Path=/"

    @property
    def _name(self) -> str:
        return f"hdvila-{self.port}"

    def refusal(self, headers: Mapping[str, str]) -> str:
        """Why a request is refused, whatever its token; "" if it is not."""
        given = _lowered(headers)
        host = given.get("host", "")
        if not self._is_ours(host):
            return "this page answers to this machine's addresses and names only"
        origin, site = given.get("origin"), given.get("sec-fetch-site", "none")
        is_own = origin == "null" and site == "same-origin"  # of a form on a page that sends no referrer
        if origin is not None and origin != f"http://{host}" and not is_own:
            return "another page asked for this"
        return "" if site in ("none", "same-origin") else "another page asked for this"

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has the cookie."""
        try:
            given = SimpleCookie(_lowered(headers).get("cookie", "")).get(self._name)
        except CookieError:
            return False
        return given is not None and self.is_token(given.value)

    def is_token(self, text: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(text.encode(errors="replace"), self.token.encode())

    def may_change(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from the page itself: it has to say so."""
        return "origin" in _lowered(headers) and not self.refusal(headers)

    def _is_ours(self, host: str) -> bool:
        """Whether a Host header names this machine: an address cannot be another site's name."""
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        name = (match[1] or match[2]).lower()
        if name in {self.host.lower(), "localhost", socket.gethostname().lower(), socket.getfqdn().lower()}:
            return True
        try:
            return bool(ip_address(name))
        except ValueError:
            return False


def _lowered(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers under their names in lower case, as some proxies send them."""
    return {name.lower(): value for name, value in headers.items()}


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host
