"""The funnel: candidates = kept + rejected + missing, and the latest outcome wins."""

from pathlib import Path

import pytest

from manifests.funnel import RejectCount
from pipeline.query.funnel import funnel
from pipeline.query.rejects import rejects_in_force
from tests.pipeline.query.worlds import World, clips


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


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
