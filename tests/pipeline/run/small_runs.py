"""Whole runs in this process on a few films of four seconds: one video a batch, one sample a shard."""

import hashlib
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from hdvila_testing.video import Film, a_video
from manifests.settings import parse_config
from pipeline.config import RunConfig
from pipeline.report.summary import Delivered
from pipeline.run import road

N_FILMS = 3


def films_in(folder: Path) -> Path:
    """Films of music with a sentence each."""
    film = a_video(folder / "film-0.mp4", Film(seconds=4, fps=Fraction(10), gop=10, width=320, height=180))
    for k in range(N_FILMS):
        path = folder / f"film-{k}.mp4"
        if k:
            path.symlink_to(film)
        describe(path, k)
    return folder


def describe(film: Path, k: int) -> None:
    """Its category and channel, and captions with one sentence, beside a film."""
    film.with_suffix(".info.json").write_text(json.dumps({"categories": ["Music"], "channel_id": f"channel-{k}"}))
    film.with_suffix(".en.vtt").write_text(
        f"WEBVTT\n\n00:00.200 --> 00:03.800\nHere horse number {k} of three runs to the old gate.\n"
    )


def start(
    out: Path | str,
    films: Path,
    *,
    compares: bool = False,
    redo: str = "",
    opt_out: Sequence[str] = (),
    keep_packs: bool = False,
    **balance: Any,
) -> Delivered:
    """A run to its end, or to what stops it. `compares`: what films show is compared. `redo`: from where."""
    tree = {
        "out": str(out),
        "crawl": {"sources": ["folder"], "opt_out": opt_out},
        "folder": {"path": str(films)},
        "text": {"transcript": {"min_words": 3}},
        "media": {"duplicates": {"action": "drop" if compares else "off"}, "cut": {"min_short_side": 180}},
        "balance": {"batch_videos": 1, "unit": "clips", "text_duplicates": {"reuploads": False}, **balance},
        "shards": {"max_samples": 1, "split": {"val": 0}, "keep_packs": keep_packs},
        "engine": {"executor": "local"},
    }
    return road.run_pipeline(parse_config(RunConfig, tree, source="test"), redo=redo)


def bytes_of(out: Path) -> dict[str, str]:
    """Hashes of what a run planned, selected and made."""
    globs = ("shards/*/*.tar", "shards/*/*.parquet", "*.parquet", "batches/*.json", "generations/*.json")
    files = [file for pattern in globs for file in out.glob(pattern)]
    return {str(file.relative_to(out)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
