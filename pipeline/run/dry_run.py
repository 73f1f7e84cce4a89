"""What a run will ask for, before it does anything: `run --dry-run`. Quotas, requests, and the days that asking takes.

The yield is HD-VILA-100M's as published: 14 M candidates, 3.3 M videos, 100 M clips, 371.5 K hours of clips, 250 TB.
For a crawl that has begun, `status` knows better.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from manifests.categories import category_name
from pipeline.balance.quotas import balance_of
from pipeline.config import RunConfig
from pipeline.crawl.plan import PAGE
from pipeline.crawl.sources import LISTS
from pipeline.crawl.sources.folder import media_files
from pipeline.crawl.sources.lists import heads_of
from pipeline.crawl.sources.registry import asks_site
from pipeline.run.aims import aim
from pipeline.site.rates import REQUESTS_PER_VIDEO, Pace, pace_of

CANDIDATES_A_VIDEO, CLIPS_A_VIDEO, CLIP_HOURS_A_VIDEO = 4.24, 30.3, 0.1126
"""Of a video that is kept: candidates looked at for it, clips, and their hours."""
SOURCE_HOURS_A_CLIP_HOUR = 1.25
"""Assumed: speech fills four fifths of a video."""
SOURCE_BYTES_AN_HOUR = 672.9e6
MEDIA_BYTES_A_REQUEST = 10.49e6
"""yt-dlp's chunk of a download."""


@dataclass(frozen=True, slots=True)
class Size:
    """The amounts that a run handles. `n_named`: about how many videos its lists name; None: others may be found."""

    n_candidates: float
    n_videos: float
    n_named: int | None = None
    has_texts: bool = False
    """Whether all of it comes with the texts of its clips, so that no captions are fetched."""


def size_of(config: RunConfig) -> Size | None:
    """The amounts for what the balance asks for, and no more than lists name where all videos come from lists; None if
    neither is known. Candidates are looked at for the reserve too.
    """
    heads = [] if config.crawl.sources != (LISTS,) or lists_not_there(config) else heads_of(config.crawl.lists)
    # HD-VILA-100M's own files name the videos that it kept; how many of them are gone by now is not known
    is_kept = bool(heads) and all(head.form == "hd-vila" for head in heads)
    each = 1.0 if is_kept else CANDIDATES_A_VIDEO
    named = sum(head.n_videos for head in heads) if heads else None
    sizes = [_videos_wanted(config), None if named is None else named / each]
    known = [n for n in sizes if n is not None]
    if not known:
        return None
    n_candidates = min(known) * each * (1 + config.crawl.reserve)
    has_texts = bool(heads) and (bool(config.crawl.lists.texts) or all(head.has_texts for head in heads))
    return Size(n_candidates if named is None else min(n_candidates, named), min(known), named, has_texts)


def _videos_wanted(config: RunConfig) -> float | None:
    balance = balance_of(config)
    if balance.total is None:
        return None
    wanted = sum(aim(balance, {}).quotas.values())  # less than the total if a category's cap applies
    return wanted / {"hours": CLIP_HOURS_A_VIDEO, "clips": CLIPS_A_VIDEO, "videos": 1.0}[balance.unit]


def lists_not_there(config: RunConfig) -> list[str]:
    """The configured lists on this machine's disk that are not there yet."""
    files = config.crawl.lists.files if LISTS in config.crawl.sources else ()
    return [file for file in files if "://" not in file and not Path(file).exists()]


def pace_in(config: RunConfig) -> Pace:
    """How many videos an hour the configured identities may look at."""
    return pace_of(
        config.crawl.politeness, {identity.name: identity.videos_per_hour for identity in config.crawl.pool()}
    )


def requests_of(size: Size) -> dict[str, float]:
    """Requests by kind. A video whose media is fetched may need a second look, for addresses that still hold."""
    n_looks = size.n_candidates + size.n_videos
    source_bytes = size.n_videos * CLIP_HOURS_A_VIDEO * SOURCE_HOURS_A_CLIP_HOUR * SOURCE_BYTES_AN_HOUR
    return {
        "list": size.n_candidates / PAGE if size.n_named is None else 0.0,
        **{kind: n_looks * n for kind, n in REQUESTS_PER_VIDEO.items()},
        "caption": 0.0 if size.has_texts else size.n_candidates * REQUESTS_PER_VIDEO["caption"],
        "media": max(source_bytes / MEDIA_BYTES_A_REQUEST, 2 * size.n_videos),  # a video and an audio file, at least
    }


def days_of(config: RunConfig, size: Size) -> dict[str, float]:
    """The days that each limit on asking takes alone, by its name: the longest decides."""
    pace, politeness, n = pace_in(config), config.crawl.politeness, len(config.crawl.pool())
    days = {f"looks ({pace.binds})": (size.n_candidates + size.n_videos) / pace.videos_per_hour / 24}
    requests = requests_of(size)
    for kind in ("list", "media"):
        per_minute = n * politeness.identity_requests_per_minute[kind]
        days[f"{kind} requests ({per_minute:,.0f} a minute)"] = requests[kind] / per_minute / 1440
    return dict(sorted(days.items(), key=lambda item: -item[1]))


def dry_run(config: RunConfig) -> Iterator[str]:
    """Lines to display: sources, amounts by category, videos, requests, days."""
    yield f"out: {config.out} (nothing is written now)"
    yield f"sources: {', '.join(config.crawl.sources)}"
    if "folder" in config.crawl.sources:
        yield _folder_line(config)
    missing = lists_not_there(config)
    yield from (f"lists: {file} is not there yet; a run needs it" for file in missing)
    if LISTS in config.crawl.sources and not missing and any(head.media for head in heads_of(config.crawl.lists)):
        yield "lists: they name media elsewhere; what other hosts send is not known"
    if missing or asks_site(config):
        size = size_of(config)
        yield from _balance_lines(config, size)
        if size:
            yield from _size_lines(config, size)
    yield f"runs on: {config.engine.executor}" + (
        f" at {config.engine.ray_address}" if config.engine.ray_address else ""
    )


def _folder_line(config: RunConfig) -> str:
    folder = config.folder.path
    if folder is None or not folder.is_dir():
        return f"folder: {folder} is not a folder; set folder.path"
    sizes = [file.stat().st_size for file in media_files(folder)]
    return f"folder: {len(sizes):,} files that may be videos in {folder}, {sum(sizes) / 1e9:,.2f} GB"


def _balance_lines(config: RunConfig, size: Size | None) -> Iterator[str]:
    balance = config.balance
    if size and size.n_named is not None:
        yield f"lists: about {size.n_named:,} videos are named"
    if balance.total is None:
        yield "balance: everything that is found (balance.total is not set)"
        return
    yield f"balance: {balance.total:,.10g} {balance.unit}, policy {balance.policy}"
    for category_id, amount in aim(balance_of(config), {}).quotas.items():
        if amount:
            yield f"  {category_name(category_id):24}{amount:>12,.4g} {balance.unit}"


def _size_lines(config: RunConfig, size: Size) -> Iterator[str]:
    n_clips, hours = size.n_videos * CLIPS_A_VIDEO, size.n_videos * CLIP_HOURS_A_VIDEO
    yield (
        f"videos to fetch: about {size.n_videos:,.0f} of {size.n_candidates:,.0f} candidates "
        f"({n_clips:,.0f} clips, {hours:,.0f} hours; at HD-VILA-100M's yield, with the reserve)"
    )
    yield f"requests: {', '.join(f'{kind} {n:,.0f}' for kind, n in requests_of(size).items())}"
    for name, days in days_of(config, size).items():
        yield f"  {days:>12,.1f} days  {name}"
