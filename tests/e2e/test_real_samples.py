"""Real videos with real captions, none of which we made: each is kept, or rejected for the right reason.

Eight of them by `make test`, two kept and six rejected for six reasons; all of them by `make test-long`.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from manifests.settings import parse_config
from pipeline.config import RunConfig
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.run.road import run_pipeline

pytestmark = pytest.mark.slow

CAPTIONS = ("en_auto_punct_speakers.json3", "en_manual.json3")
FIRST_MS, STEP_MS = 140_000, 20_000
"""Captions are taken from where people talk, for each video further into the track."""


def cut_to(track: dict[str, Any], first_ms: int, duration_ms: float) -> dict[str, Any]:
    """As much of a json3 track as a video of this length has room for, from `first_ms` on."""
    events = []
    for event in track["events"]:
        start_ms = event["tStartMs"] - first_ms
        if "segs" in event and 0 <= start_ms < duration_ms - 500:
            shown_ms = min(event.get("dDurationMs", 2000), duration_ms - start_ms)
            events.append({**event, "tStartMs": start_ms, "dDurationMs": int(shown_ms)})
    return {**track, "events": events}


def pair(samples: Path, rows: list[dict[str, str]], folder: Path) -> None:
    """Links sample videos into a folder, with real captions cut to its length beside each."""
    tracks = [json.loads((samples / "captions" / name).read_bytes()) for name in CAPTIONS]
    for place, row in enumerate(rows):
        video = samples / "videos" / row["file"]
        (folder / video.name).symlink_to(video)
        captions = cut_to(tracks[place % len(tracks)], FIRST_MS + STEP_MS * place, 1000 * float(row["duration_s"] or 5))
        (folder / f"{video.stem}.en.json3").write_text(json.dumps(captions))


def index_of(samples: Path) -> list[dict[str, str]]:
    """What is known of each sample."""
    with (samples / "videos" / "index.tsv").open() as index:
        return list(csv.DictReader(index, delimiter="\t"))


SOME = ("ForBiggerEscapes", "no_duration", "LatentSync", "aac-tracks", "userdata", "corrupted", "odd-", "cockatoo")


@pytest.mark.parametrize("named", [SOME, pytest.param(("",), marks=pytest.mark.long)], ids=["some", "all"])
def test_every_sample_is_kept_or_rejected_for_the_right_reason(
    samples: Path, tmp_path: Path, named: tuple[str, ...]
) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    rows = [row for row in index_of(samples) if any(name in row["file"] for name in named)]
    assert len(rows) >= (len(SOME) if named == SOME else 28)
    pair(samples, rows, folder)
    tree = {
        "out": str(tmp_path / "out"),
        "crawl": {"sources": ["folder"]},
        "folder": {"path": str(folder)},
        "text": {"transcript": {"min_words": 5}},
        "engine": {"executor": "local", "scratch": str(tmp_path / "scratch")},
    }

    delivered = run_pipeline(parse_config(RunConfig, tree, source="the test"))

    videos = delivered.manifest.head["funnel"]["videos"]
    away = {turned["reason"]: turned["count"] for turned in videos["rejected"]}
    assert videos["missing"] == 0
    assert videos["candidates"] == len(rows) == videos["kept"] + sum(away.values())
    assert videos["kept"] >= (2 if named == SOME else 5)
    assert away["not_a_video"] == 1
    assert away["below_720p"] == sum(is_small(row) for row in rows)
    assert "internal_error" not in away
    assert list(verify(Store(str(tmp_path / "out")), decode=99)) == []


def is_small(row: dict[str, str]) -> bool:
    """Whether a sample's index says that its picture is below 720p."""
    width, height = int(row["width"] or 0), int(row["height"] or 0)
    return 0 < min(width, height) < 704 and not (width >= 1280 and width * 9 > height * 16)
