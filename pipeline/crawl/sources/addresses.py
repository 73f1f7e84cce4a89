"""Asking for what lies at an address of a list: politely, within limits, and of buckets only those that are named."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import fsspec

from manifests.content import HEAD_BYTES, PIECES, head_hash, pieces_hash, starts_of_pieces
from manifests.origin import is_of_site
from manifests.reasons import Reason, ReasonClass
from pipeline.config.crawl import CrawlConfig
from pipeline.config.sources import UrlsConfig
from pipeline.engine.work.unit import Rejected
from pipeline.media.source_files import FileSeen
from pipeline.site import addresses as web
from pipeline.site.hosts import PoliteHosts
from pipeline.site.networks import is_public
from pipeline.site.redact import redact

Answer = TypeVar("Answer")

REFUSALS_OF_ONE_ADDRESS = 6
"""An address refused by its host this many times is deferred: it would keep the host paused for all others."""


class Asker(Protocol):
    """Who asks: a stage, with its settings and the turns at each host."""

    @property
    def config(self) -> UrlsConfig: ...
    @property
    def crawl(self) -> CrawlConfig: ...
    @property
    def hosts(self) -> PoliteHosts: ...


class HostPaused(Exception):
    """The host asked for fewer requests and is paused for longer than the work may wait: another `paused_s`."""

    def __init__(self, host: str, paused_s: float) -> None:
        super().__init__(f"{host} pauses for another {paused_s:.0f} s (HTTP 429)")
        self.paused_s = paused_s


def refuse_address(url: str, config: UrlsConfig) -> None:
    """Raises Rejected for an address that is neither http(s) nor in a configured bucket."""
    if is_in_bucket(url):
        if not any(url.startswith(f"{bucket.rstrip('/')}/") for bucket in config.buckets) or "/../" in url:
            raise Rejected(Reason.BAD_ADDRESS, f"{redact(url)[:200]}: not in a bucket that urls.buckets names")
        return
    web.as_requested(url)
    if is_of_site(url):
        why = "a video of the site in a list whose first rows name none; give such rows a file of their own"
        raise Rejected(Reason.BAD_ADDRESS, f"{redact(url)[:200]}: {why}")


def fetch(url: str, target: Path, by: Asker, patience_s: float, max_bytes: int) -> str:
    """Downloads an address into a file, retrying where it may help; returns its ETag, "" if it has none that names its
    bytes. Raises Rejected; HostPaused after the patience.
    """
    if is_in_bucket(url):
        refuse_address(url, by.config)
        return _from_bucket(url, target, max_bytes)
    return _asked(url, by, patience_s, max_bytes, lambda limits: web.download(url, target, limits))


def look(url: str, by: Asker, patience_s: float, *, by_tag: bool = True) -> FileSeen:
    """What lies at an address: its length, its first bytes, and its ETag, if it has one and `by_tag`; else, where the
    host gives parts, its middle and tail. Raises what `fetch` raises.
    """

    def piece(start: int) -> web.Piece:
        if is_in_bucket(url):
            return _piece_of_object(url, start)
        return _asked(url, by, patience_s, HEAD_BYTES, lambda limits: web.piece_of(url, start, HEAD_BYTES, limits))

    refuse_address(url, by.config)
    head = piece(0)
    stamp = head.etag if by_tag else ""
    if not stamp and head.is_part and head.bytes_ > HEAD_BYTES:
        pieces = [head, *map(piece, starts_of_pieces(head.bytes_, HEAD_BYTES)[1:])]
        stamp = pieces_hash(each.data for each in pieces) if all(each.is_part for each in pieces) else ""
    return FileSeen(head.bytes_, head_hash(head.data, head.bytes_), stamp)


def change_of(path: Path, etag: str, video: Mapping[str, Any]) -> str:
    """How what was fetched differs from what was looked at, by the video's row; "" if it does not. What either does not
    know is no change.
    """
    was_bytes, was_stamp, now_bytes = video["media_bytes"], video["media_stamp"], path.stat().st_size
    if was_bytes not in (-1, now_bytes):
        return f"{was_bytes} bytes when it was looked at, {now_bytes} now"
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if video["media_hash"] not in ("", head_hash(head, was_bytes)):
        return "its first bytes are others than when it was looked at"
    if was_stamp.startswith(PIECES):
        is_other = was_stamp != pieces_hash(_pieces_of(path))
        return "its middle or tail is another than when it was looked at" if is_other else ""
    return f"ETag {was_stamp} when it was looked at, {etag} now" if was_stamp and etag not in ("", was_stamp) else ""


def _pieces_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for start in starts_of_pieces(path.stat().st_size, HEAD_BYTES):
            file.seek(start)
            yield file.read(HEAD_BYTES)


def is_in_bucket(url: str) -> bool:
    """Whether an address is that of an object in a bucket."""
    return url.partition("://")[0] in ("s3", "gs")


def _asked(url: str, by: Asker, patience_s: float, max_bytes: int, ask: Callable[[web.Limits], Answer]) -> Answer:
    config, crawl = by.config, by.crawl
    refuse_address(url, config)
    limits = web.Limits(
        max_bytes,
        timeout_s=web.SOCKET_TIMEOUT_S,
        total_s=crawl.fetch_time_limit_s,
        slowest_bytes_per_s=web.SLOWEST_BYTES_PER_S,
        may_ask=(lambda _: True) if config.allow_private else is_public,
    )
    host = urlsplit(web.as_requested(url)).hostname or ""
    n_tries = n_refused = 0
    while True:
        if (paused_s := by.hosts.turn(host, config.gap_s, patience_s)) > 0:
            raise HostPaused(host, paused_s)
        try:
            answer = ask(limits)
            by.hosts.answered(host)
            return answer
        except Rejected as error:
            if error.reason is Reason.RATE_LIMITED:  # charged to no address: the host is paused for every worker
                paused_s = by.hosts.refused(host, error.retry_after_s)
                if (n_refused := n_refused + 1) == REFUSALS_OF_ONE_ADDRESS:
                    raise Rejected(error.reason, error.detail, retry_after_s=paused_s) from None
                continue
            n_tries += 1
            if n_tries == web.VIDEO_TRIES or error.reason.class_ is not ReasonClass.LATER:
                raise Rejected(error.reason, error.detail, retry_after_s=crawl.politeness.later_s) from None
            time.sleep(crawl.retry_wait_s * 2 ** (n_tries - 1))


def _from_bucket(url: str, target: Path, max_bytes: int) -> str:
    try:
        with fsspec.open(url, "rb") as remote, target.open("wb") as file:
            while block := remote.read(1 << 22):
                if file.tell() + len(block) > max_bytes:
                    raise Rejected(Reason.OVERSIZED, f"more than {max_bytes} bytes")
                file.write(block)
            return _tag_of(remote)
    except FileNotFoundError:
        raise Rejected(Reason.UNAVAILABLE, "no such object") from None


def _piece_of_object(url: str, start: int) -> web.Piece:
    try:
        with fsspec.open(url, "rb") as remote:
            remote.seek(start)
            return web.Piece(remote.read(HEAD_BYTES), int(remote.size), _tag_of(remote), is_part=True)
    except FileNotFoundError:
        raise Rejected(Reason.UNAVAILABLE, "no such object") from None


def _tag_of(remote: Any) -> str:
    return str(remote.details.get("ETag") or "")
