"""What a run would take, estimated before it does anything: `estimate`, and `run --dry-run`.

Costs are those of costs.json, each with its unit and source. Yield and size are HD-VILA-100M's; for a crawl that has
begun, `status` knows better.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from manifests.categories import category_name
from pipeline.config import RunConfig
from pipeline.crawl.sources.folder import media_files
from pipeline.crawl.sources.registry import asks_site
from pipeline.run.costs import read_costs
from pipeline.run.gather import aim
from pipeline.site.pace import pace_of

METADATA_TASKS_A_BATCH = 3
"""Units per batch of candidates: extraction, transcripts, clips."""


@dataclass(frozen=True, slots=True)
class Size:
    """The amounts a run handles."""

    n_candidates: float
    n_videos: float
    n_clips: float
    clip_hours: float
    source_hours: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a crawl of a given size takes. `days`: for each possible bottleneck, the days that it alone takes."""

    size: Size
    requests: dict[str, float]
    """By kind: list page player caption media."""
    core_hours: dict[str, float]
    """By stage."""
    bytes_in: float
    bytes_clips: float
    bytes_members: float
    n_objects: dict[str, float]
    n_cores: int
    n_identities: int
    days: dict[str, float] = field(default_factory=dict)

    @property
    def bottleneck(self) -> str:
        """The name of what takes the most days."""
        return max(self.days, key=lambda name: self.days[name])


def size_of(config: RunConfig) -> Size | None:
    """The amounts for what the balance asks for, at HD-VILA-100M's yield; None if no total is set."""
    balance = config.balance
    if balance.total is None:
        return None
    wanted = sum(aim(balance, {}).quotas.values())  # less than the total if a category's cap applies
    cost = {name: cost.value for name, cost in read_costs().items()}
    n_videos = wanted / (cost["clip_hours_a_video"] if balance.unit == "hours" else cost["clips_a_video"])
    clip_hours = n_videos * cost["clip_hours_a_video"]
    return Size(
        n_candidates=n_videos * cost["candidates_a_video"],
        n_videos=n_videos,
        n_clips=n_videos * cost["clips_a_video"],
        clip_hours=clip_hours,
        source_hours=clip_hours * cost["source_hours_a_clip_hour"],
    )


def estimate_crawl(
    config: RunConfig, size: Size, *, n_cores: int = 0, n_identities: int = 0, gbit_a_second: float = 1.0
) -> Estimate:
    """What a crawl takes with this many cores (0: as configured) and identities (0: the pool as configured)."""
    cost = {name: cost.value for name, cost in read_costs().items()}
    bytes_in = size.source_hours * cost["source_bytes_an_hour"] + size.n_candidates * cost["metadata_bytes_a_candidate"]
    members = cost["proxy_bytes_a_clip_second"] * config.media.members.proxy
    members += cost["stills_bytes_a_clip_second"] * config.media.members.stills
    bytes_clips = size.clip_hours * cost["source_bytes_an_hour"]
    bytes_members = size.clip_hours * 3600 * members
    core_hours = {
        "extract": size.n_candidates
        * (cost["extract_cpu_s_a_candidate"] + cost["javascript_cpu_s_a_candidate"])
        / 3600,
        "text": size.n_videos * cost["text_cpu_s_a_video"] / 3600,
        "media": size.source_hours * cost["media_cpu_s_a_source_hour"] / 3600,
        "shards": size.n_clips * cost["shards_cpu_s_a_clip"] / 3600,
    }
    cores = n_cores or config.engine.n_cpus or os.cpu_count() or 1
    identities = n_identities or len(config.crawl.pool())
    made = Estimate(
        size=size,
        requests=_requests(size, cost),
        core_hours=core_hours,
        bytes_in=bytes_in,
        bytes_clips=bytes_clips,
        bytes_members=bytes_members,
        n_objects=_objects(config, size, bytes_clips + bytes_members, cost),
        n_cores=cores,
        n_identities=identities,
    )
    made.days.update(_days_of_asking(config, made))
    made.days[f"{cores:,} CPU cores"] = sum(core_hours.values()) / cores / 24
    # besides input and output, packs are written once and read again for the shards
    moved = bytes_in + 3 * (bytes_clips + bytes_members)
    made.days[f"{gbit_a_second:g} Gbit/s of network"] = moved * 8 / (gbit_a_second * 1e9) / 86400
    return made


def _requests(size: Size, cost: dict[str, float]) -> dict[str, float]:
    media = size.source_hours * cost["source_bytes_an_hour"] / cost["media_bytes_a_request"]
    both = {
        kind: size.n_candidates * cost[f"{kind}_requests_a_candidate"]
        + size.n_videos * cost[f"{kind}_requests_a_fetch"]
        for kind in ("page", "player")
    }
    return {
        "list": size.n_candidates * cost["list_requests_a_listed"],
        **both,
        "caption": size.n_videos * cost["caption_requests_a_video"],
        "media": max(media, 2 * size.n_videos),  # one video and one audio file, however short
    }


def _objects(config: RunConfig, size: Size, bytes_out: float, cost: dict[str, float]) -> dict[str, float]:
    batches = size.n_candidates / config.crawl.batch_videos
    return {
        "packs": size.n_videos,
        "shards": 2 * max(1.0, bytes_out / config.shards.max_bytes),  # a tar and its table
        "tables before they are merged": cost["objects_a_unit"] * (METADATA_TASKS_A_BATCH * batches + size.n_videos),
    }


def _days_of_asking(config: RunConfig, made: Estimate) -> dict[str, float]:
    """Days that politeness takes: each video is looked at once, and again for its media if it is kept."""
    pool = config.crawl.pool()
    politeness = config.crawl.politeness
    repeated = [pool[i % len(pool)] for i in range(made.n_identities)]
    pace = pace_of(politeness, {f"{i}": identity.videos_per_hour for i, identity in enumerate(repeated)})
    days = {f"asking ({pace.binds})": pace.days_for(made.size.n_candidates + made.size.n_videos)}
    for kind in ("list", "media"):  # the others are in the pace
        per_minute = made.n_identities * politeness.identity_requests_per_minute.get(kind, 60.0)
        per_minute = min(per_minute, politeness.most_requests_per_minute.get(kind, per_minute))
        days[f"{kind} requests ({per_minute:,.0f} a minute of {made.n_identities:,})"] = (
            made.requests[kind] / per_minute / 1440
        )
    return days


def estimate(
    config: RunConfig, *, n_cores: int = 0, n_identities: int = 0, gbit_a_second: float = 1.0
) -> Iterator[str]:
    """Lines to display: sources, amounts by category, requests, days, core-hours, bytes, objects, the bottleneck."""
    yield f"out: {config.out} (nothing is written now)"
    yield f"sources: {', '.join(config.crawl.sources)}"
    if "folder" in config.crawl.sources:
        yield _folder_line(config)
    if asks_site(config):
        yield from _balance_lines(config)
        if size := size_of(config):
            made = estimate_crawl(config, size, n_cores=n_cores, n_identities=n_identities, gbit_a_second=gbit_a_second)
            yield from lines_of(made)
    yield f"runs on: {config.engine.executor}" + (
        f" at {config.engine.ray_address}" if config.engine.ray_address else ""
    )


def lines_of(made: Estimate) -> Iterator[str]:
    """An estimate as lines to display."""
    size = made.size
    yield (
        f"videos to fetch: about {size.n_videos:,.0f} of {size.n_candidates:,.0f} candidates "
        f"({size.n_clips:,.0f} clips, {size.clip_hours:,.0f} hours; at HD-VILA-100M's yield)"
    )
    yield f"requests: {_listed(made.requests)}"
    yield f"core-hours: {sum(made.core_hours.values()):,.0f} ({_listed(made.core_hours)})"
    yield f"bytes in: {_bytes(made.bytes_in)}"
    out = made.bytes_clips + made.bytes_members
    yield f"bytes out: {_bytes(out)} (clips {_bytes(made.bytes_clips)}, members {_bytes(made.bytes_members)})"
    yield "twice that while both packs and shards exist"
    yield f"objects: {_listed(made.n_objects)}"
    for name, days in sorted(made.days.items(), key=lambda item: -item[1]):
        yield f"  {days:>12,.1f} days  {name}"
    yield f"bottleneck: {made.bottleneck}, {made.days[made.bottleneck]:,.1f} days"


def _listed(amounts: dict[str, float]) -> str:
    return ", ".join(f"{name} {amount:,.0f}" for name, amount in amounts.items())


def _bytes(n: float) -> str:
    return f"{n / 1e12:,.1f} TB" if n >= 1e12 else f"{n / 1e9:,.1f} GB"


def _folder_line(config: RunConfig) -> str:
    folder = config.folder.path
    if folder is None or not folder.is_dir():
        return f"folder: {folder} is not a folder; set folder.path"
    files = list(media_files(folder))
    size = sum(file.stat().st_size for file in files)
    cost = {name: cost.value for name, cost in read_costs().items()}
    core_hours = size / cost["source_bytes_an_hour"] * cost["media_cpu_s_a_source_hour"] / 3600
    return (
        f"folder: {len(files):,} files that may be videos in {folder}, {size / 1e9:,.2f} GB, "
        f"about {core_hours:,.1f} core-hours"
    )


def _balance_lines(config: RunConfig) -> Iterator[str]:
    balance = config.balance
    if balance.total is None:
        yield "balance: everything that is found (balance.total is not set), so its cost is not known"
        return
    yield f"balance: {balance.total:,.10g} {balance.unit}, policy {balance.policy}"
    for category_id, amount in aim(balance, {}).quotas.items():
        if amount:
            yield f"  {category_name(category_id):24}{amount:>12,.4g} {balance.unit}"
