"""Asking for what lies at an address of a list: politely, within limits, and of buckets only those that are named."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import fsspec

from manifests.origin import is_of_site
from manifests.reasons import Reason, ReasonClass
from pipeline.config.crawl import CrawlConfig
from pipeline.config.sources import UrlsConfig
from pipeline.engine.work.unit import Rejected
from pipeline.site.addresses import (
    SLOWEST_BYTES_PER_S,
    SOCKET_TIMEOUT_S,
    VIDEO_TRIES,
    Limits,
    as_requested,
    download,
)
from pipeline.site.hosts import PoliteHosts
from pipeline.site.networks import is_public
from pipeline.site.redact import redact

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
    if url.partition("://")[0] in ("s3", "gs"):
        if not any(url.startswith(f"{bucket.rstrip('/')}/") for bucket in config.buckets) or "/../" in url:
            raise Rejected(Reason.BAD_ADDRESS, f"{redact(url)[:200]}: not in a bucket that urls.buckets names")
        return
    as_requested(url)
    if is_of_site(url):
        why = "a video of the site in a list whose first rows name none; give such rows a file of their own"
        raise Rejected(Reason.BAD_ADDRESS, f"{redact(url)[:200]}: {why}")


def fetch(url: str, target: Path, by: Asker, patience_s: float, max_bytes: int) -> None:
    """Downloads an address into a file, retrying where it may help. Raises Rejected; HostPaused after the patience."""
    config, crawl = by.config, by.crawl
    refuse_address(url, config)
    if url.partition("://")[0] in ("s3", "gs"):
        _from_bucket(url, target, max_bytes)
        return
    limits = Limits(
        max_bytes,
        timeout_s=SOCKET_TIMEOUT_S,
        total_s=crawl.fetch_time_limit_s,
        slowest_bytes_per_s=SLOWEST_BYTES_PER_S,
        may_ask=(lambda _: True) if config.allow_private else is_public,
    )
    host = urlsplit(as_requested(url)).hostname or ""
    n_tries = n_refused = 0
    while True:
        if (paused_s := by.hosts.turn(host, config.gap_s, patience_s)) > 0:
            raise HostPaused(host, paused_s)
        try:
            download(url, target, limits)
            by.hosts.answered(host)
            return
        except Rejected as error:
            if error.reason is Reason.RATE_LIMITED:  # charged to no address: the host is paused for every worker
                paused_s = by.hosts.refused(host, error.retry_after_s)
                if (n_refused := n_refused + 1) == REFUSALS_OF_ONE_ADDRESS:
                    raise Rejected(error.reason, error.detail, retry_after_s=paused_s) from None
                continue
            n_tries += 1
            if n_tries == VIDEO_TRIES or error.reason.class_ is not ReasonClass.LATER:
                raise Rejected(error.reason, error.detail, retry_after_s=crawl.politeness.later_s) from None
            time.sleep(crawl.retry_wait_s * 2 ** (n_tries - 1))


def _from_bucket(url: str, target: Path, max_bytes: int) -> None:
    try:
        with fsspec.open(url, "rb") as remote, target.open("wb") as file:
            while block := remote.read(1 << 22):
                if file.tell() + len(block) > max_bytes:
                    raise Rejected(Reason.OVERSIZED, f"more than {max_bytes} bytes")
                file.write(block)
    except FileNotFoundError:
        raise Rejected(Reason.UNAVAILABLE, "no such object") from None
