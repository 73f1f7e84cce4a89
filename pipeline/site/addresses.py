"""Requests to addresses that a list contains: http(s) only, and only public machines.

An address is asked for as a browser or requests would: blanks and letters beyond ASCII are encoded, names in other
scripts too, the fragment stays here, and a user's name and password go to the first host alone.

The name is resolved here, and the connection goes to the very address that was checked, at each redirect again: a name
that resolves to another machine a moment later, or a redirect to 169.254.169.254, reaches nothing. Proxies of the
environment are not used, since a proxy would resolve the name itself.
"""

import base64
import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from requests import PreparedRequest, RequestException
from requests.utils import get_auth_from_url, urldefragauth

from manifests.reasons import Reason
from pipeline.engine.work.unit import Rejected
from pipeline.site.networks import Address, is_public
from pipeline.site.redact import redact

BLOCK_BYTES = 1 << 18
LONGEST_RETRY_AFTER_S = 86_400.0
VIDEO_TRIES = 2
"""Attempts at a video before a temporary error defers it: what a second attempt does not heal, an hour may."""
SOCKET_TIMEOUT_S = 20.0
"""A transfer that receives nothing for this long counts as stalled: yt-dlp's own default."""
SPEED_AFTER_S = 30.0
"""Seconds after which a transfer is judged by its mean speed."""
SLOWEST_BYTES_PER_S = 16_384.0
"""A download that is slower for a minute (of the site) or after SPEED_AFTER_S counts as stalled."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a transfer. `may_ask` tells whether a machine's address may be contacted at all."""

    max_bytes: int
    timeout_s: float = 20.0
    total_s: float = 3600.0
    slowest_bytes_per_s: float = 0.0
    may_ask: Callable[[Address], bool] = is_public


def download(url: str, target: Path, limits: Limits) -> str:
    """Downloads an address into a file; returns its ETag (as of Piece). Raises Rejected with the reason, of class
    `later` if it may be temporary.
    """
    with _answered(url, limits) as answer:
        with target.open("wb") as file:
            _copy(answer, file, limits)
        return _tag_of(answer)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of what lies at an address, how long all of it is (-1: unknown), and its ETag: "" if it has none that names
    its bytes. `is_part`: the host gives parts.
    """

    data: bytes
    bytes_: int
    etag: str
    is_part: bool


def piece_of(url: str, start: int, n_bytes: int, limits: Limits) -> Piece:
    """Asks for some bytes of what lies at an address; none come from a host that gives no parts, but for the first.
    Raises Rejected as `download` does.
    """
    with _answered(url, limits, Range=f"bytes={start}-{start + n_bytes - 1}") as answer:
        given, _, said = answer.headers.get("Content-Range", "").rpartition("/")
        is_part = answer.status == 206 and given.startswith(f"bytes {start}-")
        if start and not is_part:
            return Piece(b"", -1, "", is_part)
        said = said if answer.status == 206 else _length(answer)
        bytes_ = int(said) if said.isdecimal() else -1
        data = _read(answer, n_bytes, limits)
        if len(data) < min(n_bytes, bytes_ - start):
            raise Rejected(Reason.CONNECTION_RESET, f"{len(data)} of {min(n_bytes, bytes_ - start)} bytes arrived")
        return Piece(data, bytes_, _tag_of(answer), is_part)


def _read(answer: Any, n_bytes: int, limits: Limits) -> bytes:
    data, began = b"", time.monotonic()
    while len(data) < n_bytes and (block := answer.read1(n_bytes - len(data))):
        data += block
        if time.monotonic() - began > limits.total_s:
            raise Rejected(Reason.STALLED, f"{len(data)} bytes in {limits.total_s:.0f} s")
    return data


def _length(answer: Any) -> str:
    return str(answer.headers.get("Content-Length", ""))


def _tag_of(answer: Any) -> str:
    tag = str(answer.headers.get("ETag", ""))
    return "" if tag.startswith("W/") else tag


@contextmanager
def _answered(url: str, limits: Limits, **headers: str) -> Iterator[Any]:
    try:
        with _open(url, limits, headers) as answer:
            yield answer
    except urllib.error.HTTPError as error:
        raise _of_status(error) from None
    except (urllib.error.URLError, http.client.HTTPException, ssl.SSLError, OSError) as error:
        raise _of_error(error) from None


def as_requested(url: str) -> str:
    """An http(s) address as it is sent, the user's name and the fragment still in it. Rejected for anything else."""
    prepared = PreparedRequest()
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
        if "%" in host and ":" not in host:  # as redirects spell a host in another script
            parts = parts._replace(netloc=unquote(parts.netloc))
        prepared.prepare_url(parts.geturl(), None)
        sent = urlsplit(prepared.url or "")
        usable = sent.scheme in ("http", "https") and bool(sent.hostname) and port != 0
    except (ValueError, RequestException):
        usable = False
    if not usable:
        raise Rejected(Reason.BAD_ADDRESS, f"{redact(url)[:200]}: not an http(s) address")
    return str(prepared.url)


def _open(url: str, limits: Limits, more: Mapping[str, str]) -> Any:
    url = as_requested(url)
    handlers = (urllib.request.ProxyHandler({}), _Http(limits), _Https(limits), _Redirects())
    opener = urllib.request.OpenerDirector()
    for handler in (*handlers, urllib.request.HTTPErrorProcessor(), urllib.request.HTTPDefaultErrorHandler()):
        opener.add_handler(handler)
    headers = {"User-Agent": "hdvila", "Accept-Encoding": "identity", **more}
    request = urllib.request.Request(urldefragauth(url), headers=headers)
    user, password = get_auth_from_url(url)
    if user or password:
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {login}")
    return opener.open(request, timeout=limits.timeout_s)


def _copy(answer: Any, file: Any, limits: Limits) -> None:
    started, n_bytes = time.monotonic(), 0
    announced = _length(answer)
    if announced.isdecimal() and int(announced) > limits.max_bytes:
        raise Rejected(Reason.OVERSIZED, f"{announced} bytes, the limit is {limits.max_bytes}")
    while block := answer.read(BLOCK_BYTES):
        n_bytes += len(block)
        seconds = time.monotonic() - started
        if n_bytes > limits.max_bytes:
            raise Rejected(Reason.OVERSIZED, f"more than {limits.max_bytes} bytes")
        slow = seconds > SPEED_AFTER_S and n_bytes / seconds < limits.slowest_bytes_per_s
        if slow or seconds > limits.total_s:
            raise Rejected(Reason.STALLED, f"{n_bytes} bytes in {seconds:.0f} s")
        file.write(block)
    if announced.isdecimal() and n_bytes < int(announced):
        raise Rejected(Reason.CONNECTION_RESET, f"{n_bytes} of {announced} bytes arrived")


def _of_status(error: urllib.error.HTTPError) -> Rejected:
    reasons = {404: Reason.UNAVAILABLE, 410: Reason.UNAVAILABLE, 451: Reason.UNAVAILABLE, 429: Reason.RATE_LIMITED}
    if error.code < 400:
        return Rejected(Reason.BAD_ADDRESS, f"HTTP {error.code}: the redirect is not followed")
    fallback = Reason.SERVER_ERROR if error.code >= 500 else Reason.FORBIDDEN
    asked = error.headers.get("Retry-After", "").strip()
    retry_after_s = min(float(asked), LONGEST_RETRY_AFTER_S) if asked.isdecimal() else 0.0
    return Rejected(reasons.get(error.code, fallback), f"HTTP {error.code}", retry_after_s=retry_after_s)


def _of_error(error: Exception) -> Rejected | Exception:
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, Rejected):
        return cause
    if isinstance(cause, socket.gaierror):
        passing = cause.errno == socket.EAI_AGAIN
        return Rejected(Reason.CONNECTION_RESET if passing else Reason.UNAVAILABLE, f"no such host ({cause})")
    if isinstance(cause, TimeoutError):
        return Rejected(Reason.STALLED, "timed out")
    if isinstance(cause, ConnectionError | ssl.SSLError | http.client.HTTPException) or error is not cause:
        return Rejected(Reason.CONNECTION_RESET, f"{type(cause).__name__}: {cause}"[:200])
    return error  # a disk error, not a network error


def _connect(host: str, port: int, limits: Limits, timeout: float) -> socket.socket:
    """Connects to an address of the host that passed the check. Raises Rejected if none may be contacted."""
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [entry for entry in entries if limits.may_ask(ip_address(str(entry[4][0]).partition("%")[0]))]
    if not allowed:
        raise Rejected(Reason.BAD_ADDRESS, f"{host} is not a public machine; set urls.allow_private to allow it")
    for family, kind, protocol, _, address in allowed:
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            failure = error
            continue
        return connection
    raise failure


class _Http(urllib.request.HTTPHandler):
    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits

    def http_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._connection, request)  # type: ignore[arg-type]

    def _connection(self, host: str, *, timeout: float, **_: Any) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection(host, timeout=timeout)
        connection._create_connection = (  # type: ignore[attr-defined]
            lambda address, timeout, _source: _connect(address[0], address[1], self._limits, timeout)
        )
        return connection


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self._limits = limits

    def https_open(self, request: urllib.request.Request) -> Any:
        return self.do_open(self._connection, request)  # type: ignore[arg-type]

    def _connection(self, host: str, *, timeout: float, **_: Any) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(host, timeout=timeout, context=ssl.create_default_context())
        connection._create_connection = (  # type: ignore[attr-defined]
            lambda address, timeout, _source: _connect(address[0], address[1], self._limits, timeout)
        )
        return connection


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request: Any, file: Any, code: int, message: str, headers: Any, url: str) -> Any:
        asked = urldefragauth(as_requested(url))
        return super().redirect_request(request, file, code, message, headers, asked)
