"""The story of one video."""

from pathlib import Path

import pytest

from pipeline.report.story import where_did_it_go
from tests.pipeline.query.worlds import World, clips


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_video_says_where_it_went(world: World) -> None:
    world.add("listings", {"video_id": "a", "source": "search", "query": "guitar", "position": 3, "round": 1})
    world.add("candidates", {"video_id": "a"})
    world.reject("extract", "rate_limited", "a", at="2025-01-01T00:00:00Z")
    world.add("videos", {"video_id": "a", "title": "Six strings", "category": "Music", "duration_s": 61.0})
    world.add("clips", *clips("a", 3))
    world.reject("clips", "too_few_words", "a", clip_id="a.7")
    world.select({"video_id": "a", "reason": "over_quota", "n_clips": 3, "rank": 12})
    steps = where_did_it_go(world.store, "a").steps
    assert [step.stage for step in steps] == ["list", "extract", "extract", "clips", "clips", "balance"]
    text = " | ".join(step.what for step in steps)
    for part in (
        "'guitar', position 3",
        "Six strings",
        "rate_limited",
        "no longer in force",
        "3 clips planned",
        "rank 12",
    ):
        assert part in text
    assert "its category is full" in steps[-1].what
    assert where_did_it_go(world.store, "nobody").steps == ()


def test_a_repeated_video_names_the_one_that_it_repeats(world: World) -> None:
    world.add("videos", {"video_id": "b", "title": "Six strings again", "category": "Music", "duration_s": 61.0})
    world.add("matches", {"video_id": "b", "n": 0, "what": "clips", "other_video_id": "a", "other_n": 2})
    world.select({"video_id": "b", "reason": "duplicate_video", "n_clips": 0, "rank": 1})
    assert "alike: a" in where_did_it_go(world.store, "b").steps[-1].what
