"""What is told of one clip: how it was lost, or where it is kept."""

from pathlib import Path

from typer.testing import CliRunner

import hdvila_testing.shards as toys
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig
from pipeline.engine.store.store import Store
from pipeline.report.clip_story import lost_clips
from pipeline.report.story import where_did_it_go
from tests.pipeline.query.worlds import World, clips


def packed(video_id: str, n: int, reason: str = "") -> dict:
    return {
        "video_id": video_id,
        "clip_id": f"{video_id}.{n}",
        "n": n,
        "status": "failed_to_cut" if reason else "success",
        "reason": reason,
    }


def test_a_clip_that_repeats_another_is_lost_as_that_and_the_next_as_one_too_many(tmp_path: Path) -> None:
    """Of five clips one fails, one repeats a clip of another film, and the quota takes one of the other three."""
    world = World(tmp_path)
    world.add("videos", {"video_id": "a", "title": "t"})
    world.add("clips", *clips("a", 6))
    world.add("packs", packed("a", 0, "silent"), *(packed("a", n) for n in range(1, 5)))
    world.add("matches", {"what": "clips", "video_id": "a", "n": 3, "other_video_id": "b", "other_n": 7})
    world.select({"video_id": "a", "kept": True, "n_clips": 3, "clips_kept": [1, 2]})

    fates = where_did_it_go(world.store, "a").clips

    assert [(fate.n, fate.is_kept, fate.stage, fate.reason) for fate in fates] == [
        (0, False, "media", "silent"),
        (1, True, "", ""),
        (2, True, "", ""),
        (3, False, "balance", "duplicate_clip"),
        (4, False, "balance", "over_quota"),
        (5, False, "", ""),
    ]
    assert (
        "balance",
        "1 of 6 clips lost: duplicate_clip (the same pictures as another clip), for example a.3 (as b.7)",
    ) in [*lost_clips(fates)]


def test_the_clips_of_a_video_that_is_left_out_are_lost_with_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.add("clips", *clips("a", 2))
    world.reject("media", "truncated", "a")
    story = where_did_it_go(world.store, "a")

    assert [fate.words for fate in story.clips] == [
        "lost at media: truncated, shorter than its header says, or cut off (with its video)"
    ] * 2
    assert not [step for step in story.steps if "clips lost" in step.what], "said once, of the video"


def test_a_clip_in_a_shard_is_told_with_shard_split_and_key_and_one_that_never_was_is_refused(tmp_path: Path) -> None:
    toys.a_data_set(tmp_path, n_videos=3, n_clips=2, prefix="video", config=ShardsConfig(card=toys.NO_CARD))
    (split,) = {
        folder.name
        for folder in (tmp_path / "shards").iterdir()
        if any(b"video-00001_00001" in tar.read_bytes() for tar in folder.glob("*.tar"))
    }

    by_key = CliRunner().invoke(app, ["why", "video-00001_00001", "--out", str(tmp_path)])
    by_id = CliRunner().invoke(app, ["why", "video-00001.1", "--out", str(tmp_path)])
    none = CliRunner().invoke(app, ["why", "video-00001.9", "--out", str(tmp_path)])

    assert by_key.stdout == by_id.stdout
    told = " ".join(by_key.stdout.split())
    assert f"kept: shards/{split}/00000.tar, split {split}, key video-00001_00001" in told
    assert "no such clip; it has video-00001.0 … video-00001.1" in " ".join(none.stdout.split())


def test_where_no_run_is_that_is_said_as_status_says_it(tmp_path: Path) -> None:
    Store(str(tmp_path)).write("notes.txt", b"mine")
    said = [
        CliRunner().invoke(app, command).exception
        for command in (["why", "a", "--out", str(tmp_path)], ["status", str(tmp_path)])
    ]

    assert str(said[0]) == str(said[1]) and "holds no run" in str(said[0])
