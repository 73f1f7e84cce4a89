"""What is told of one clip: how it was lost, or where it is kept."""

from collections import Counter
from pathlib import Path

from typer.testing import CliRunner

import hdvila_testing.shards as toys
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig
from pipeline.engine.store.store import Store
from pipeline.query.ask import ask
from pipeline.query.funnel import funnel
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


def test_why_the_tables_for_sql_and_the_funnel_tell_the_same_of_every_clip(tmp_path: Path) -> None:
    """Both left-out clips of `a` are like others, and only one of them is left out as a repeat; `b` is no more needed,
    `c` was refused, a clip of `d` was rejected alone, and one of `e` repeats another although a later one is kept.
    """
    world = World(tmp_path)
    names = "abcde"
    world.add("videos", *({"video_id": v, "title": v} for v in names))
    world.add("clips", *(row for v in names for row in clips(v, 6)))
    world.add("packs", packed("a", 0, "silent"), *(packed("a", n) for n in range(1, 5)))
    world.add("packs", *(packed(v, n) for v in "bde" for n in range(6)))
    for v, n in (("a", 3), ("a", 4), ("b", 0), ("e", 5)):
        world.add("matches", {"what": "clips", "video_id": v, "n": n, "other_video_id": "z", "other_n": 7})
    world.reject("media", "truncated", "c")
    world.reject("clips", "too_few_words", "d", clip_id="d.6")
    world.select(
        {"video_id": "a", "kept": True, "n_clips": 3, "clips_kept": [1, 2]},
        {"video_id": "b", "reason": "not_needed", "n_clips": 5},
        {"video_id": "d", "kept": True, "n_clips": 6, "clips_kept": [0, 1]},
        {"video_id": "e", "kept": True, "n_clips": 4, "clips_kept": [0, 2, 3]},
    )

    text = "SELECT clip_id, status = 'kept', stage, reason, detail FROM all_clips ORDER BY video_id, n"
    with ask(world.store, text) as answer:
        by_sql = [row for rows in answer.rows for row in rows]
    fates = [fate for v in names for fate in where_did_it_go(world.store, v).clips]
    assert [(fate.clip_id, fate.is_kept, fate.stage, fate.reason, fate.note) for fate in fates] == by_sql
    lost = Counter((stage, reason) for _, is_kept, stage, reason, _ in by_sql if reason and not is_kept)
    counted = funnel(world.store).clips.rejected
    assert lost == Counter({(one.stage, one.reason): one.count for one in counted})
    assert [reason for name, _, _, reason, _ in by_sql if name[0] in "ae"] == [
        *("silent", "", "", "duplicate_clip", "over_quota", ""),
        *("", "duplicate_clip", "", "", "over_quota", "duplicate_clip"),
    ]


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
