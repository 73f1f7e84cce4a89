"""What a run would take, estimated before it does anything: `estimate`, and `run --dry-run`.

Costs are those of costs.json, each with its unit and source. Yield and size are HD-VILA-100M's; for a crawl that has
begun, `status` knows better.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from manifests.categories import category_name
from pipeline.balance.quotas import balance_of
from pipeline.config import RunConfig
from pipeline.crawl.plan import BATCH_VIDEOS, MOST_GROWN
from pipeline.crawl.sources import LISTS
from pipeline.crawl.sources.folder import media_files
from pipeline.crawl.sources.lists import heads_of
from pipeline.crawl.sources.registry import asks_site
from pipeline.run.aims import aim
from pipeline.run.costs import read_costs
from pipeline.run.first_clip import first_clip_line
from pipeline.run.looks import Looks, Size, lists_not_there, looks_for, n_within_reach, reach_of, size_of
from pipeline.site.rates import Pace, pace_of

METADATA_TASKS_A_BATCH = 3
"""Units per batch of candidates: extraction, transcripts, clips."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a crawl of a given size takes. `days`: for each possible bottleneck, the days that it alone takes."""

    size: Size
    looks: Looks
    requests: dict[str, float]
    """By kind: list page player caption media, scripts of the player, data_api."""
    core_hours: dict[str, float]
    """By stage."""
    bytes_in: float
    bytes_clips: float
    bytes_before: float
    """What lies before remuxed clips, from the keyframe on; neighbours have it too."""
    bytes_members: float
    n_objects: dict[str, float]
    n_cores: int
    n_identities: int
    days: dict[str, float] = field(default_factory=dict)

    @property
    def bytes_out(self) -> float:
        """Of all shards."""
        return self.bytes_clips + self.bytes_before + self.bytes_members

    @property
    def bottleneck(self) -> str:
        """The name of what takes the most days."""
        return max(self.days, key=lambda name: self.days[name])


def estimate_crawl(
    config: RunConfig, size: Size, *, n_cores: int = 0, n_identities: int = 0, gbit_a_second: float = 1.0
) -> Estimate:
    """What a crawl takes with this many cores (0: as configured) and identities (0: the pool as configured)."""
    cost = {name: cost.value for name, cost in read_costs().items()}
    cores = n_cores or config.engine.n_cpus or os.cpu_count() or 1
    identities = n_identities or len(config.crawl.pool())
    pace = _pace(config, identities)
    looks = looks_for(size, pace, has_key=bool(config.crawl.data_api.key))
    bytes_in = size.source_hours * cost["source_bytes_an_hour"]
    bytes_in += looks.n_at_the_site * cost["metadata_bytes_a_candidate"]
    heard_hours = size.source_hours if config.media.heard.model else 0.0  # their audio is fetched once more, alone
    bytes_in += heard_hours * cost["audio_bytes_an_hour"]
    members = cost["proxy_bytes_a_clip_second"] * config.media.members.proxy
    members += cost["stills_bytes_a_clip_second"] * config.media.members.stills
    bytes_clips = size.clip_hours * cost["source_bytes_an_hour"]
    # a remuxed clip begins with the keyframe before it, half an interval earlier in the mean
    hours_before = 0.0 if config.media.cut.mode == "exact" else size.n_clips * cost["keyframe_s"] / 2 / 3600
    bytes_before = hours_before * cost["source_bytes_an_hour"]
    bytes_members = size.clip_hours * 3600 * members
    extractions = looks.n_at_the_site + looks.n_fetches
    core_hours = {
        "extract": extractions * (cost["extract_cpu_s_a_candidate"] + cost["javascript_cpu_s_a_candidate"]) / 3600,
        "text": size.n_videos * cost["text_cpu_s_a_video"] / 3600,
        "media": size.source_hours * cost["media_cpu_s_a_source_hour"] / 3600,
        "shards": size.n_clips * cost["shards_cpu_s_a_clip"] / 3600,
    }
    if heard_hours:
        core_hours["recognise"] = heard_hours * cost["recognise_cpu_s_an_hour"] / 3600
    made = Estimate(
        size=size,
        looks=looks,
        requests=_requests(size, looks, identities, cost, heard_hours),
        core_hours=core_hours,
        bytes_in=bytes_in,
        bytes_clips=bytes_clips,
        bytes_before=bytes_before,
        bytes_members=bytes_members,
        n_objects=_objects(config, size, bytes_clips + bytes_before + bytes_members, cost),
        n_cores=cores,
        n_identities=identities,
    )
    made.days[f"asking ({pace.binds})"] = looks.days
    made.days.update(_days_of_requests(config, made))
    made.days[f"{cores:,} CPU cores"] = sum(core_hours.values()) / cores / 24
    # besides input and output, packs are written once and read again for the shards
    moved = bytes_in + 3 * made.bytes_out
    made.days[f"{gbit_a_second:g} Gbit/s of network"] = moved * 8 / (gbit_a_second * 1e9) / 86400
    return made


def _pace(config: RunConfig, n_identities: int) -> Pace:
    return pace_of(config.crawl.politeness, _videos_per_hour(config, n_identities))


def _requests(
    size: Size, looks: Looks, n_identities: int, cost: dict[str, float], heard_hours: float
) -> dict[str, float]:
    media = size.source_hours * cost["source_bytes_an_hour"] / cost["media_bytes_a_request"]
    audio = max(heard_hours * cost["audio_bytes_an_hour"] / cost["media_bytes_a_request"], size.n_videos)
    both = {
        kind: looks.n_at_the_site * cost[f"{kind}_requests_a_candidate"]
        + looks.n_fetches * cost[f"{kind}_requests_a_fetch"]
        for kind in ("page", "player")
    }
    return {
        "list": size.n_candidates * cost["list_requests_a_listed"] if size.n_named is None else 0.0,
        **both,
        "caption": 0.0 if size.has_texts else size.n_videos * cost["caption_requests_a_video"],
        # one video and one audio file, however short; the audio once more to hear it
        "media": max(media, 2 * size.n_videos) + (audio if heard_hours else 0.0),
        "script": n_identities * math.ceil(looks.days * cost["scripts_an_identity_day"]),
    }


def _objects(config: RunConfig, size: Size, bytes_out: float, cost: dict[str, float]) -> dict[str, float]:
    batches = size.n_candidates / BATCH_VIDEOS
    return {
        "packs": size.n_videos,
        "shards": 2 * max(1.0, bytes_out / config.shards.max_bytes),  # a tar and its table
        "tables before they are merged": cost["objects_a_unit"] * (METADATA_TASKS_A_BATCH * batches + size.n_videos),
    }


def _days_of_requests(config: RunConfig, made: Estimate) -> dict[str, float]:
    """Days that the rates of lists and media take; those of other kinds are in the pace."""
    politeness = config.crawl.politeness
    days = {}
    for kind in ("list", "media"):
        per_minute = made.n_identities * politeness.identity_requests_per_minute.get(kind, 60.0)
        days[f"{kind} requests ({per_minute:,.0f} a minute of {made.n_identities:,})"] = (
            made.requests[kind] / per_minute / 1440
        )
    return days


def _videos_per_hour(config: RunConfig, n_identities: int) -> dict[str, float]:
    """Of so many identities, like those of the pool in turn (0: of the pool)."""
    pool = config.crawl.pool()
    return {f"{i}": pool[i % len(pool)].videos_per_hour for i in range(n_identities or len(pool))}


def estimate(
    config: RunConfig, *, n_cores: int = 0, n_identities: int = 0, gbit_a_second: float = 1.0
) -> Iterator[str]:
    """Lines to display: sources, amounts by category, requests, days, core-hours, bytes, objects, the bottleneck."""
    yield f"out: {config.out} (nothing is written now)"
    yield f"sources: {', '.join(config.crawl.sources)}"
    if "folder" in config.crawl.sources:
        yield _folder_line(config)
    missing = lists_not_there(config)
    if LISTS in config.crawl.sources and not missing and any(head.media for head in heads_of(config.crawl.lists)):
        yield "lists: they name media elsewhere; what other hosts send is not known, so its cost is not either"
    if missing or asks_site(config):
        size = size_of(config)
        yield from _balance_lines(config, size.n_named if size else None)
        if size:
            yield from _reach_lines(config, size)
            made = estimate_crawl(config, size, n_cores=n_cores, n_identities=n_identities, gbit_a_second=gbit_a_second)
            yield from lines_of(made)
            yield from _key_lines(config, made)
        yield first_clip_line(config, _videos_per_hour(config, n_identities))
    yield f"runs on: {config.engine.executor}" + (
        f" at {config.engine.ray_address}" if config.engine.ray_address else ""
    )


def _reach_lines(config: RunConfig, size: Size) -> Iterator[str]:
    """How far the configured lists of the site go, beside what is needed."""
    cost = {name: cost.value for name, cost in read_costs().items()}
    reach = reach_of(config.crawl, cost["candidates_a_video"])
    if not reach or not size.looks:
        return
    n_lists, n_results = sum(one.n_lists for one in reach.values()), sum(one.n_results for one in reach.values())
    n_channels = sum(one.n_with_channels for one in reach.values())
    grown = f", {n_channels:,.0f} with the channels of kept videos" if n_channels > n_results else ""
    n_enough = n_within_reach({category: one.n_with_channels for category, one in reach.items()}, size.looks)
    yield (
        f"sources end: {n_lists:,} lists have {n_results:,} results at most{grown}; "
        f"enough for {n_enough} of {len(size.looks)} categories"
    )
    if n_enough < len(size.looks) and config.crawl.grow_from_words:
        n_enough = n_within_reach({category: one.n_with_words for category, one in reach.items()}, size.looks)
        yield (
            f"  then words that kept videos share are searched for, up to {MOST_GROWN:,} times a category: "
            f"enough for {n_enough} of {len(size.looks)} categories, if the site has so many"
        )
    if n_enough < len(size.looks):
        yield "  for the others add queries or channels, or raise crawl.max_per_query"


def _key_lines(config: RunConfig, made: Estimate) -> Iterator[str]:
    """What a key of the Data API would gain, if there is none."""
    if config.crawl.data_api.key:
        return
    looks = looks_for(made.size, _pace(config, made.n_identities), has_key=True)
    if looks.days < made.looks.days:
        yield f"with a key of the Data API (crawl.data_api): {looks.days:,.1f} days of asking"


def lines_of(made: Estimate) -> Iterator[str]:
    """An estimate as lines to display."""
    size = made.size
    yield (
        f"videos to fetch: about {size.n_videos:,.0f} of {size.n_candidates:,.0f} candidates "
        f"({size.n_clips:,.0f} clips, {size.clip_hours:,.0f} hours; at HD-VILA-100M's yield, with the reserve)"
    )
    looks = made.looks
    by_api = f"{looks.n_decided:,.0f} decided by the Data API, " if looks.n_decided else ""
    yield (
        f"looks: {by_api}{looks.n_at_the_site:,.0f} at the site, then {looks.n_fetches:,.0f} for media "
        "that comes late: "
        f"{(looks.n_at_the_site + looks.n_fetches) / size.n_videos:,.2f} a video, each with a challenge to solve"
    )
    yield f"requests: {_listed(made.requests)}"
    yield f"core-hours: {sum(made.core_hours.values()):,.0f} ({_listed(made.core_hours)})"
    yield f"bytes in: {_bytes(made.bytes_in)}"
    of = {"clips": made.bytes_clips, "before them from a keyframe on": made.bytes_before, "members": made.bytes_members}
    parts = ", ".join(f"{name} {_bytes(amount)}" for name, amount in of.items() if amount)
    yield f"bytes out: {_bytes(made.bytes_out)} ({parts})"
    yield "twice that while both packs and shards exist"
    yield f"objects: {_listed(made.n_objects)}"
    for name, days in sorted(made.days.items(), key=lambda item: -item[1]):
        yield f"  {days:>12,.1f} days  {name}"
    yield f"bottleneck: {made.bottleneck}, {made.days[made.bottleneck]:,.1f} days"


def _listed(amounts: dict[str, float]) -> str:
    return ", ".join(f"{name} {amount:,.0f}" for name, amount in amounts.items())


def _bytes(n: float) -> str:
    return f"{n / 1e12:,.1f} TB" if n >= 1e12 else f"{n / 1e9:,.1f} GB"


def _core_hours(n_bytes: int) -> float:
    cost = {name: cost.value for name, cost in read_costs().items()}
    return n_bytes / cost["source_bytes_an_hour"] * cost["media_cpu_s_a_source_hour"] / 3600


def _folder_line(config: RunConfig) -> str:
    folder = config.folder.path
    if folder is None or not folder.is_dir():
        return f"folder: {folder} is not a folder; set folder.path"
    files = list(media_files(folder))
    size = sum(file.stat().st_size for file in files)
    return (
        f"folder: {len(files):,} files that may be videos in {folder}, {size / 1e9:,.2f} GB, "
        f"about {_core_hours(size):,.1f} core-hours"
    )


def _balance_lines(config: RunConfig, named: int | None) -> Iterator[str]:
    balance = config.balance
    if named is not None:
        yield f"lists: about {named:,} videos are named"
    yield from (f"lists: {file} is not there yet; a run needs it" for file in lists_not_there(config))
    if balance.total is None:
        unknown = ", so its cost is not known" if named is None else ""
        yield f"balance: everything that is found (balance.total is not set){unknown}"
        return
    yield f"balance: {balance.total:,.10g} {balance.unit}, policy {balance.policy}"
    for category_id, amount in aim(balance_of(config), {}).quotas.items():
        if amount:
            yield f"  {category_name(category_id):24}{amount:>12,.4g} {balance.unit}"
