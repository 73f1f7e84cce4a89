"""The funnel: candidates = kept + rejected + missing, and the latest outcome wins."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from manifests.funnel import RejectCount, funnel, rejects_in_force
from manifests.schema import REJECTS, SELECTION, TABLES
from manifests.story import where_did_it_go
from pipeline.engine.store import Store


def fill_row(schema: pa.Schema, **known: Any) -> dict[str, Any]:
    """A row with every column: those given, and empty values for the others."""
    row: dict[str, Any] = {}
    for column in schema:
        if column.name in known:
            row[column.name] = known.pop(column.name)
        elif pa.types.is_list(column.type):
            row[column.name] = []
        elif pa.types.is_string(column.type):
            row[column.name] = ""
        elif pa.types.is_binary(column.type):
            row[column.name] = b""
        else:
            row[column.name] = False if pa.types.is_boolean(column.type) else 0
    assert not known, f"no such columns: {known}"
    return row


class World:
    """An output directory written row by row through the real store."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(str(folder))
        self.n = 0

    def add(self, table: str, *rows: dict[str, Any], stage: str = "s") -> None:
        self.n += 1
        self.store.write_part(table, stage, f"u{self.n}", [fill_row(TABLES[table], **row) for row in rows])
        self.store.commit(stage, f"u{self.n}", {})

    def reject(self, stage: str, reason: str, video_id: str, *, clip_id: str = "", at: str = "2025-01-01") -> None:
        self.n += 1
        row = fill_row(REJECTS, stage=stage, reason=reason, video_id=video_id, clip_id=clip_id, at=at)
        self.store.write_rejects(stage, f"u{self.n}", [{**row, "class": "later"}])
        self.store.commit(stage, f"u{self.n}", {})

    def select(self, *rows: dict[str, Any]) -> None:
        table = pa.Table.from_pylist([fill_row(SELECTION, **row) for row in rows], schema=SELECTION)
        self.store.write_table("selection.parquet", table)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def clips(video_id: str, n: int) -> list[dict[str, Any]]:
    return [{"video_id": video_id, "clip_id": f"{video_id}.{k}", "n": k} for k in range(n)]


def test_an_empty_directory_has_an_empty_funnel(world: World) -> None:
    counts = funnel(world.store)
    assert counts.videos.candidates == counts.clips.candidates == 0
    assert counts.videos.adds_up and counts.clips.adds_up


def test_every_candidate_is_kept_or_rejected_or_missing(world: World) -> None:
    names = ["good", "partly", "private", "dull", "silent", "spare", "waiting"]
    world.add("candidates", *({"video_id": v} for v in names))
    world.add("listings", *({"video_id": v} for v in [*names, "never-asked", "good"]))
    with_row = [v for v in names if v != "private"]
    world.add("videos", *({"video_id": v} for v in with_row))
    world.reject("extract", "private", "private")
    world.add("transcripts", *({"video_id": v} for v in with_row))
    world.reject("clips", "no_clips", "dull")
    world.reject("clips", "too_few_words", "dull", clip_id="dull.0")
    planned = ["good", "partly", "silent", "spare", "waiting"]
    world.add("clips", *(row for v in planned for row in clips(v, 4)))
    tried = [row for v in ("good", "partly") for row in clips(v, 4)]
    tried = [{**row, "status": "success"} for row in tried]
    tried[3] |= {"status": "failed", "reason": "across_scene_cut"}
    world.add("packs", *tried, *({**row, "status": "failed", "reason": "silent"} for row in clips("silent", 4)))
    world.select(
        {"video_id": "good", "kept": True, "n_clips": 3, "clips_kept": [0, 1, 2]},
        {"video_id": "partly", "kept": True, "n_clips": 3, "clips_kept": [0]},
        {"video_id": "silent", "reason": "silent"},
        {"video_id": "spare", "reason": "not_needed"},
        {"video_id": "dull", "reason": "no_clips"},
    )
    counts = funnel(world.store)
    assert counts.listed == 8
    videos = counts.videos
    assert (videos.candidates, videos.kept, videos.missing) == (7, 2, 1)
    assert videos.adds_up
    assert videos.rejected == (
        RejectCount("extract", "private", 1),
        RejectCount("clips", "no_clips", 1),
        RejectCount("media", "silent", 1),
        RejectCount("balance", "not_needed", 1),
    )
    level = counts.clips
    assert (level.candidates, level.kept, level.missing) == (21, 4, 4)
    assert level.adds_up
    assert level.by_reason() == {
        "not_needed": 4,
        "silent": 4,
        "over_quota": 2,
        "across_scene_cut": 1,
        "duplicate_clip": 1,
        "too_few_words": 1,
    }


def test_the_latest_outcome_wins(world: World) -> None:
    world.add("candidates", *({"video_id": v} for v in "abc"))
    world.reject("extract", "rate_limited", "a", at="2025-01-01T00:00:00Z")
    world.reject("extract", "private", "a", at="2025-01-02T00:00:00Z")
    world.reject("extract", "rate_limited", "b")
    world.reject("media", "stalled", "c")
    world.add("videos", {"video_id": "b"}, {"video_id": "c"})
    world.add("packs", {"video_id": "c", "clip_id": "c.0", "status": "success"})
    in_force = rejects_in_force(world.store).to_pylist()
    assert [(r["video_id"], r["reason"]) for r in in_force] == [("a", "private")]
    videos = funnel(world.store).videos
    assert (videos.candidates, videos.missing, videos.by_reason()) == (3, 2, {"private": 1})


def test_a_kept_video_whose_pack_was_lost_is_not_counted_as_kept(world: World) -> None:
    world.add("videos", {"video_id": "a"})
    world.add("clips", *clips("a", 2))
    world.add("packs", *({**row, "status": "success"} for row in clips("a", 2)))
    world.select({"video_id": "a", "kept": True, "n_clips": 2, "clips_kept": [0, 1]})
    assert funnel(world.store).videos.kept == 1
    world.reject("shards", "pack_lost", "a")
    counts = funnel(world.store)
    assert counts.videos.kept == 0 and counts.videos.by_reason() == {"pack_lost": 1}
    assert counts.videos.adds_up and counts.clips.adds_up and counts.clips.kept == 0


def test_a_video_says_where_it_went(world: World) -> None:
    world.add("listings", {"video_id": "a", "source": "search", "query": "guitar", "position": 3, "round": 1})
    world.add("candidates", {"video_id": "a"})
    world.reject("extract", "rate_limited", "a", at="2025-01-01T00:00:00Z")
    world.add("videos", {"video_id": "a", "title": "Six strings", "category": "Music", "duration_s": 61.0})
    world.add("clips", *clips("a", 3))
    world.reject("clips", "too_few_words", "a", clip_id="a.7")
    world.select({"video_id": "a", "reason": "over_quota", "n_clips": 3, "rank": 12})
    steps = where_did_it_go(world.store, "a")
    assert [step.stage for step in steps] == ["list", "extract", "extract", "clips", "clips", "balance"]
    told = " | ".join(step.what for step in steps)
    for part in (
        "'guitar', position 3",
        "Six strings",
        "rate_limited",
        "no longer in force",
        "3 clips planned",
        "rank 12",
    ):
        assert part in told
    assert "its category is full" in steps[-1].what
    assert where_did_it_go(world.store, "nobody") == []
