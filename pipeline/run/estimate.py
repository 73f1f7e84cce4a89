"""What a run would do and cost, said before it does anything: `run --dry-run`.

Yield and size are HD-VILA-100M's (3.3 M videos, 103 M clips, 371.5 K hours: 31 clips and 6.8 minutes of clips a video)
and those of a usual 720p stream; a crawl that has begun says better by `status`.
"""

from collections.abc import Iterator

from manifests.categories import category_name
from pipeline.config import RunConfig
from pipeline.crawl.sources.folder import media_files
from pipeline.run.gather import aim

CLIPS_A_VIDEO = 103e6 / 3.3e6
HOURS_A_VIDEO = 371.5e3 / 3.3e6
GB_AN_HOUR = 1.1
"""Of clips with their members: a 720p stream has about 2.5 Mbit/s."""


def estimate(config: RunConfig) -> Iterator[str]:
    """Lines for people: sources, amounts by category, videos, hours of crawl, disk."""
    yield f"out: {config.out} (nothing is written now)"
    yield f"sources: {', '.join(config.crawl.sources)}"
    if "folder" in config.crawl.sources:
        yield _folder_line(config)
    if any(source != "folder" for source in config.crawl.sources):
        yield from _crawl_lines(config)
    yield f"runs on: {config.engine.executor}" + (
        f" at {config.engine.ray_address}" if config.engine.ray_address else ""
    )


def _folder_line(config: RunConfig) -> str:
    folder = config.folder.path
    if folder is None or not folder.is_dir():
        return f"folder: {folder} is not a folder; set folder.path"
    files = list(media_files(folder))
    size = sum(file.stat().st_size for file in files)
    return f"folder: {len(files):,} files that may be videos in {folder}, {size / 1e9:,.2f} GB"


def _crawl_lines(config: RunConfig) -> Iterator[str]:
    balance = config.balance
    if balance.total is None:
        yield "balance: everything that is found (balance.total is not set)"
        return
    each = HOURS_A_VIDEO if balance.unit == "hours" else CLIPS_A_VIDEO
    n_videos = balance.total / each
    hours = n_videos * HOURS_A_VIDEO
    yield f"balance: {balance.total:,.10g} {balance.unit}, policy {balance.policy}"
    for category_id, amount in aim(balance, {}).quotas.items():
        if amount:
            yield f"  {category_name(category_id):24}{amount:>12,.4g} {balance.unit}"
    pace = sum(identity.videos_per_hour for identity in config.crawl.pool())
    yield f"videos to fetch: about {n_videos:,.0f} (at HD-VILA-100M's yield: 31 clips, 6.8 minutes a video)"
    yield f"crawl: about {n_videos / max(pace, 1e-9):,.1f} hours at {pace:g} videos an hour from all identities"
    yield f"disk: about {hours * GB_AN_HOUR:,.1f} GB of shards ({hours:,.1f} hours of clips)"
