"""Who may ask: a browser of this machine that was opened with the token, at this page and from no other.

Other sites reach loopback through a visitor's browser: by their own name, once it resolves to 127.0.0.1 (DNS
rebinding), or by requests from their pages. So the host that a request names has to be ours, its origin too where it
has one, and the token's cookie is not sent along from elsewhere.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie

LOOPBACK = ("127.0.0.1", "localhost", "::1")
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
        """The page's own origin."""
        return f"http://{_named(self.host)}:{self.port}"

    @property
    def cookie(self) -> str:
        """The cookie that takes the token's place. Cookies know no ports, so its name says whose it is."""
        return f"{self._name}={self.token}; HttpOnly; SameSite=Strict; Path=/"

    @property
    def _name(self) -> str:
        return f"hdvila-{self.port}"

    def refusal(self, headers: Mapping[str, str]) -> str:
        """Why a request is refused, whatever its token; "" if it is not."""
        hosts = {f"{_named(host)}:{self.port}" for host in {self.host, *LOOPBACK}}
        if headers.get("Host", "") not in hosts:
            return "this page answers to its own address only"
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site", "none")
        is_own = origin == "null" and site == "same-origin"  # of a form on a page that sends no referrer
        if origin is not None and origin.removeprefix("http://") not in hosts and not is_own:
            return "another page asked for this"
        return "" if site in ("none", "same-origin") else "another page asked for this"

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request has the cookie."""
        try:
            given = SimpleCookie(headers.get("Cookie", "")).get(self._name)
        except CookieError:
            return False
        return given is not None and self.is_token(given.value)

    def is_token(self, text: str) -> bool:
        """Whether this is the token."""
        return hmac.compare_digest(text.encode(errors="replace"), self.token.encode())

    def may_change(self, headers: Mapping[str, str]) -> bool:
        """Whether a request that changes something comes from the page itself: it has to say so."""
        return "Origin" in headers and not self.refusal(headers)


def _named(host: str) -> str:
    return f"[{host}]" if ":" in host else host
