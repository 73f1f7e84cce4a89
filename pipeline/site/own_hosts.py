"""Caption and media addresses come from the site's answers: they are followed only on the site's own hosts.

A hostile or forged answer could name 169.254.169.254 or a service on this machine, or redirect there. So while such an
address is requested, yt-dlp's handlers do not follow redirects themselves: each hop comes back here, is checked like a
first address, and takes its own politeness token.
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin, urlsplit

from yt_dlp.networking.common import Request
from yt_dlp.networking.exceptions import HTTPError, RequestError

OWN_HOSTS = ("youtube.com", "googlevideo.com")
"""Captions are on www.youtube.com, media on rr….googlevideo.com."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
MAX_HOPS = 5


class ForeignAddress(RequestError):  # type: ignore[misc, unused-ignore]
    """An address outside the site's own hosts; it was not requested."""


def check_own(url: str) -> None:
    """Raises ForeignAddress unless this is an https address of the site, at the usual port."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise ForeignAddress("not a valid address: not requested") from None
    is_own = any(host == own or host.endswith(f".{own}") for own in OWN_HOSTS)
    if parts.scheme != "https" or not is_own or port not in (None, 443) or parts.username is not None:
        shown = f"{parts.scheme}://{host}" + (f":{port}" if port else "")
        raise ForeignAddress(
            f"the site's answer leads to {shown[:100]}, which is not one of its own hosts: not requested"
        )


def next_hop(request: Request, answer: HTTPError) -> Request | None:
    """The request that a redirect leads to; None if the answer is not a redirect. Raises ForeignAddress."""
    location = answer.response.headers.get("Location")
    if answer.status not in REDIRECTS or not location:
        return None
    url = urljoin(request.url, location)
    check_own(url)
    return request.copy() if url == request.url else _moved(request, url)


def _moved(request: Request, url: str) -> Request:
    moved = request.copy()
    moved.url = url
    return moved


def hold_redirects(handler: Any, is_held: Callable[[], bool]) -> None:
    """Makes a request handler of yt-dlp return redirects as answers while `is_held()`."""
    make: Callable[..., Any] | None = getattr(handler, "_get_instance", None)
    if make is None:
        return

    def get_instance(**settings: Any) -> Any:
        instance = make(**settings)
        _hold(instance, is_held)
        return instance

    handler._get_instance = get_instance


def _hold(instance: Any, is_held: Callable[[], bool]) -> None:
    """Patches `instance` once, as it is reused: a session of requests or curl_cffi, or an opener of urllib."""
    if hasattr(instance, "get_redirect_target"):  # requests
        _replace(instance, "get_redirect_target", is_held)
    elif hasattr(instance, "handlers"):  # urllib
        for part in instance.handlers:
            if hasattr(part, "redirect_request"):
                _replace(part, "redirect_request", is_held)
    elif hasattr(instance, "allow_redirects"):  # curl_cffi
        instance.allow_redirects = not is_held()


def _replace(owner: Any, name: str, is_held: Callable[[], bool]) -> None:
    plain = getattr(owner, name)
    if getattr(plain, "holds_redirects", False):
        return

    def held(*args: Any, **settings: Any) -> Any:
        return None if is_held() else plain(*args, **settings)

    held.holds_redirects = True  # type: ignore[attr-defined]
    setattr(owner, name, held)
