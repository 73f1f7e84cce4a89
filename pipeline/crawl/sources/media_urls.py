"""Media and captions at addresses of a list: read through fsspec, and only below what `media_urls.allow` names.

Redirects are not followed, since they lead elsewhere, and proxies of the environment are not used.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO, Any, TypeVar
from urllib.parse import unquote, urlsplit

import fsspec

from manifests.addresses import without_secrets
from manifests.content import HEAD_BYTES, head_hash
from manifests.origin import is_of_site
from manifests.reasons import Reason, ReasonClass
from pipeline.config.crawl import CrawlConfig
from pipeline.config.sources import MediaUrlsConfig
from pipeline.engine.work.unit import Rejected
from pipeline.media.source_files import FileSeen
from pipeline.site.redact import redact
from pipeline.site.transfers import SLOWEST_BYTES_PER_S, SOCKET_TIMEOUT_S, SPEED_AFTER_S, VIDEO_TRIES

Answer = TypeVar("Answer")

BLOCK_BYTES = 1 << 20
LONGEST_WAIT_S = 60.0
"""Seconds that a server which asks for patience gets before the second attempt."""
_BY_STATUS = {404: Reason.UNAVAILABLE, 410: Reason.UNAVAILABLE, 451: Reason.UNAVAILABLE, 429: Reason.RATE_LIMITED}


def refuse_address(url: str, config: MediaUrlsConfig) -> None:
    """Raises Rejected for an address that may not be asked for."""
    why = ""
    if without_secrets(url) != url:
        why = "it is signed or holds a login; give an address that anybody in this network may read, or a bucket"
    elif is_of_site(url):
        why = "a video of the site in a list whose first rows name none; give such rows a file of their own"
    elif not url.startswith(config.allow) or ".." in PurePosixPath(unquote(urlsplit(url).path)).parts:
        why = "not below a prefix that media_urls.allow names"
    if why:
        raise Rejected(Reason.BAD_ADDRESS, f"{redact(without_secrets(url))[:200]}: {why}")


@dataclass(frozen=True, slots=True)
class MediaReader:
    """Reads what lies at the addresses of a list."""

    config: MediaUrlsConfig
    crawl: CrawlConfig

    def fetch(self, url: str, target: Path, max_bytes: int) -> None:
        """Downloads an address into a file. Raises Rejected, of class `later` if it may be temporary."""

        def download() -> None:
            with _opened(url) as remote, target.open("wb") as file:
                _copy(remote, file, max_bytes, self.crawl.fetch_time_limit_s)

        self._asked(url, download)

    def look(self, url: str) -> FileSeen:
        """What lies at an address: its length, if its server says it, and its first bytes. Raises what `fetch` does."""

        def head() -> FileSeen:
            with _opened(url) as remote:
                data = _read(remote, HEAD_BYTES)
                bytes_ = _length(remote)
                return FileSeen(bytes_, head_hash(data, bytes_), "")

        return self._asked(url, head)

    def _asked(self, url: str, ask: Callable[[], Answer]) -> Answer:
        refuse_address(url, self.config)
        for n in count(1):
            try:
                with _told_why():
                    return ask()
            except Rejected as error:
                if n == VIDEO_TRIES or error.reason.class_ is not ReasonClass.LATER:
                    later_s = max(error.retry_after_s, self.crawl.politeness.later_s)
                    raise Rejected(error.reason, error.detail, retry_after_s=later_s) from None
                time.sleep(max(min(error.retry_after_s, LONGEST_WAIT_S), self.crawl.retry_wait_s))
        raise AssertionError("the last try returns or raises")


def change_of(path: Path, video: Mapping[str, Any]) -> str:
    """How what was fetched differs from what was looked at, by the video's row; "" if it does not. What the look did
    not tell is no change.
    """
    was_bytes, now_bytes = video["media_bytes"], path.stat().st_size
    if was_bytes not in (-1, now_bytes):
        return f"{was_bytes} bytes when it was looked at, {now_bytes} now"
    with path.open("rb") as file:
        is_other = video["media_hash"] not in ("", head_hash(file.read(HEAD_BYTES), was_bytes))
    return "its first bytes are others than when it was looked at" if is_other else ""


def _opened(url: str) -> AbstractContextManager[IO[bytes]]:
    """An address, to be read from its first byte on."""
    if not url.startswith(("http://", "https://")):
        store, path = fsspec.url_to_fs(url)
        opened: AbstractContextManager[IO[bytes]] = store.open(path, "rb", block_size=BLOCK_BYTES)
        return opened
    import aiohttp  # not needed where no list names media

    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SOCKET_TIMEOUT_S, sock_read=SOCKET_TIMEOUT_S)
    web = fsspec.filesystem(
        "http",
        allow_redirects=False,
        headers={"User-Agent": "hdvila", "Accept-Encoding": "identity"},
        client_kwargs={"raise_for_status": _refuse_status, "timeout": timeout},
    )
    streamed: AbstractContextManager[IO[bytes]] = web.open(url, block_size=0, size=1)  # with a size it asks for none
    return streamed


async def _refuse_status(answer: Any) -> None:
    """Raises Rejected for what is no answer, a redirect among it."""
    status = int(answer.status)
    if status < 300:
        return
    asked = answer.headers.get("Retry-After", "").strip()
    answer.close()
    if status < 400:
        raise Rejected(Reason.BAD_ADDRESS, f"HTTP {status}: redirects are not followed; list the address it leads to")
    fallback = Reason.SERVER_ERROR if status >= 500 else Reason.FORBIDDEN
    retry_after_s = min(float(asked), 86_400.0) if asked.isdecimal() else 0.0
    raise Rejected(_BY_STATUS.get(status, fallback), f"HTTP {status}", retry_after_s=retry_after_s)


@contextmanager
def _told_why() -> Iterator[None]:
    """What goes wrong on the way becomes Rejected."""
    import aiohttp

    try:
        yield
    except FileNotFoundError:
        raise Rejected(Reason.UNAVAILABLE, "nothing lies there") from None
    except PermissionError:
        raise Rejected(Reason.FORBIDDEN, "its server does not let us read it", retry_after_s=0.0) from None
    except TimeoutError:
        raise Rejected(Reason.STALLED, "timed out", retry_after_s=0.0) from None
    except ValueError as error:  # fsspec and aiohttp, of an address that is none
        raise Rejected(Reason.BAD_ADDRESS, f"not an address that can be read ({type(error).__name__})") from None
    except aiohttp.ClientError as error:
        why = f"{type(error).__name__}: {error}"[:200]
        raise Rejected(Reason.CONNECTION_RESET, why, retry_after_s=0.0) from None


def _length(remote: Any) -> int:
    """How long an open address is; -1 if its server does not say."""
    answer = getattr(remote, "r", None)  # of HTTP, whose `size` is unknown
    said = str(answer.headers.get("Content-Length", "") if answer is not None else remote.size)
    return int(said) if said.isdecimal() else -1


def _read(remote: IO[bytes], n_bytes: int) -> bytes:
    data = b""
    while len(data) < n_bytes and (block := remote.read(n_bytes - len(data))):
        data += block
    return data


def _copy(remote: IO[bytes], file: IO[bytes], max_bytes: int, total_s: float) -> None:
    started, n_bytes, announced = time.monotonic(), 0, _length(remote)
    if announced > max_bytes:
        raise Rejected(Reason.OVERSIZED, f"{announced} bytes, the limit is {max_bytes}")
    while block := remote.read(BLOCK_BYTES):
        n_bytes += len(block)
        seconds = time.monotonic() - started
        if n_bytes > max_bytes:
            raise Rejected(Reason.OVERSIZED, f"more than {max_bytes} bytes")
        is_slow = seconds > SPEED_AFTER_S and n_bytes / seconds < SLOWEST_BYTES_PER_S
        if is_slow or seconds > total_s:
            raise Rejected(Reason.STALLED, f"{n_bytes} bytes in {seconds:.0f} s", retry_after_s=0.0)
        file.write(block)
    if n_bytes < announced:
        raise Rejected(Reason.CONNECTION_RESET, f"{n_bytes} of {announced} bytes arrived", retry_after_s=0.0)
