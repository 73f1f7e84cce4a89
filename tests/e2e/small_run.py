"""A small crawl to try whole runs on: videos of a quarter of a minute, batches of two, shards of two samples."""

import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

from manifests.shards import read_manifest, read_published
from miniyoutube.big_catalogue import a_catalogue, category_sizes
from miniyoutube.catalogue import Catalogue
from miniyoutube.demo import CONFIG, demo_config, pointed_at
from miniyoutube.server import MiniYouTube
from pipeline.config import RunConfig
from pipeline.engine.store.store import Store

N_VIDEOS = 24
BEHAVIOURS = ("private", "only_480p", "no_captions", "reupload")
SETTINGS = (
    f"crawl.categories={list(category_sizes(N_VIDEOS))[:6]}",
    "crawl.limits.min_duration_s=5",
    "text.transcript.min_words=3",
    "balance.total=16",
    "balance.batch_videos=2",
    "balance.batch_candidates=4",
    "shards.max_samples=2",
    "shards.split.val=0.3",
)


@cache
def small_catalogue() -> Catalogue:
    """What the site serves: four files of video under many ids, a fifth of which cannot be had."""
    return a_catalogue(N_VIDEOS, misbehaving=0.2, behaviours=BEHAVIOURS)


def small_config(site: MiniYouTube, out: Path, *changes: str) -> RunConfig:
    """The demo's settings with smaller batches and shards."""
    return pointed_at(site, demo_config(out, None, [*SETTINGS, *changes]))


def command(site: MiniYouTube, out: Path, *changes: str, videos_per_hour: int = 100_000) -> list[str]:
    """The command of the same run."""
    identity = f"{{name: demo, proxy: '{site.proxy_url}', videos_per_hour: {videos_per_hour}}}"
    to_the_site = (f"crawl.identities=[{identity}]", "crawl.ydl_opts={nocheckcertificate: true}")
    sets = [part for text in (f"out={out}", *SETTINGS, *to_the_site, *changes) for part in ("--set", text)]
    return [sys.executable, "-P", "-m", "pipeline", "run", str(CONFIG), *sets]


def log_of(out: Path) -> Path:
    """Where the processes of a run write."""
    return out.parent / f"{out.name}.log"


def n_commits(out: Path) -> int:
    """Units that are committed."""
    store = Store(str(out))
    return sum(len(store.committed(stage)) for stage in store.stages())


def bytes_of(out: Path) -> dict[str, str]:
    """Hashes of tars, their rows, what is selected and what was planned."""
    globs = ("shards/*/*.tar", "shards/*/*.parquet", "*.parquet", "batches/*.json", "generations/*.json")
    files = [file for pattern in globs for file in out.glob(pattern)]
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def line_of(out: Path) -> list[dict[str, Any]]:
    """What the manifest in force and its parents say, the times of their making and the names of parents apart."""
    said, sha256 = [], read_manifest(str(out)).sha256
    while sha256:
        head = dict(read_published(str(out), sha256).head)
        sha256 = head.pop("parent")
        head.pop("created_at")
        said.append(json.loads(json.dumps(head)))
    return said
