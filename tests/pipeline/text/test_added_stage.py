"""Stages of other packages: what they leave of `clips` is all that anybody reads."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hdvila_testing.rows import a_clip_row, commit_rows
from manifests.plugins import register
from manifests.reasons import OwnReason, Reason
from manifests.rows import ClipRow
from manifests.settings import parse_config
from pipeline.config import RunConfig
from pipeline.dataset.purge import purge
from pipeline.engine.store.segments import change_head
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import attempt_unit
from pipeline.engine.work.unit import Reject
from pipeline.outdir.retries import request_retries, uncommit_requested
from pipeline.query.rejects import rejects_in_force
from pipeline.text.added_stage import AddedStage, Stage, added_stages
from tests.pipeline.engine.merges import SIZES, merge_all

LONG = OwnReason("mine.long", "too long")
STAGES = ["clips__brief", "clips__brief__shout"]


def brief(clips: Sequence[ClipRow], settings: Any) -> Iterator[ClipRow | Reject]:
    """Drops what lasts more than two seconds."""
    for clip in clips:
        is_long = clip["end_ms"] - clip["start_ms"] > 2000
        yield Reject(LONG, clip["video_id"], clip["clip_id"]) if is_long else clip


def shout(clips: Sequence[ClipRow], settings: Any) -> list[ClipRow]:
    """Changes texts."""
    return [{**clip, "text": clip["text"].upper()} for clip in clips]


def forget(clips: Sequence[ClipRow], settings: Any) -> list[ClipRow]:
    """Loses a clip, as no stage may."""
    return list(clips[1:])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two units of the stage clips, three videos: with clips of both lengths, short ones, long ones."""
    store = Store(str(tmp_path / "out"))
    lengths = {"first": [("a", 0, 1000), ("a", 1, 3000), ("b", 0, 1500)], "second": [("c", 0, 4000)]}
    for unit, clips in lengths.items():
        rows = [a_clip_row(video, n, 0, length) for video, n, length in clips]
        commit_rows(store, "clips", unit, {"clips": rows})
    return store


def stages_of(*names: str) -> list[AddedStage]:
    for name, decide in (("brief", brief), ("shout", shout), ("forget", forget)):
        register("stages", name, Stage(decide))
    tree = {"out": "out", "stages": {name: {} for name in names}}
    return added_stages(parse_config(RunConfig, tree, source="test").stages)


def run(store: Store, tmp_path: Path, *names: str) -> None:
    stages = stages_of(*names)
    change_head(store, lambda head: head.model_copy(update={"last": {"clips": stages[-1].name}}))
    for stage in stages:
        for unit in list(stage.units(store)):
            if unit.name not in store.committed(stage.name):
                outcome = attempt_unit(stage, unit, store, tmp_path / "scratch", 1)
                store.commit(stage.name, unit.name, outcome.facts)


def read_in_every_way(store: Store) -> dict[str, list[str]]:
    """The ids of clips, as each way of reading finds them."""
    everyone = {video: store.rows_of(video, {"clips": ["clip_id", "video_id"]})["clips"] for video in "abc"}
    return {
        "table": sorted(store.read_table("clips")["clip_id"].to_pylist()),
        "runs": sorted(i for rows in store.read_runs("clips", ["clip_id"]) for i in rows["clip_id"].to_pylist()),
        "parts": sorted(i for part in store.parts("clips") for i in store.read_part(part)["clip_id"].to_pylist()),
        "by video": sorted(i for rows in everyone.values() for i in rows["clip_id"].to_pylist()),
        "counted": ["clip"] * store.count_rows("clips"),
    }


def test_what_the_last_stage_wrote_is_all_that_is_read_before_and_after_merges(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, "brief", "shout")

    for _ in ("before", "after"):
        read = read_in_every_way(store)
        assert read.pop("counted") == ["clip"] * 2
        assert read == {way: ["a.0", "b.0"] for way in read}
        assert {text.isupper() for text in store.read_table("clips")["text"].to_pylist()} == {True}
        assert all("shout" in part.path for part in store.parts("clips"))
        merge_all(store, replace(SIZES, n_units=1))
    assert {part.n_rows >= 0 for part in store.parts("clips")} == {True}
    assert sorted(store.stages()) == ["clips", *STAGES]


def test_rejects_name_the_stage_and_a_video_without_clips_is_one(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, "brief")

    found = rejects_in_force(store).to_pylist()

    assert sorted((row["stage"], row["clip_id"] or row["video_id"], row["reason"]) for row in found) == [
        ("clips__brief", "a.1", "mine.long"),
        ("clips__brief", "c", "no_clips"),
        ("clips__brief", "c.0", "mine.long"),
    ]


def test_a_clip_that_is_neither_returned_nor_rejected_costs_its_video_alone(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, "forget")

    rejects = {row["video_id"]: row for row in store.read_rejects().to_pylist()}
    assert rejects["a"]["reason"] == Reason.INTERNAL_ERROR
    assert "was given the clips ['a.0', 'a.1'] and decided on ['a.1']" in rejects["a"]["detail"]


def test_what_is_tried_again_is_decided_on_again(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, "brief", "shout")
    request_retries(store, ["no_clips"])

    uncommit_requested(store, ())

    assert len(store.committed("clips")) == 2
    assert [len(store.committed(stage)) for stage in STAGES] == [1, 1]


def test_a_purge_empties_what_a_later_stage_wrote_over(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, "brief")

    purge(store, {"a": "removed-a"})

    parts = [part for stage in ("clips", "clips__brief") for part in store.parts(f"clips/{stage}")]
    rows = [row for part in parts for row in store.read_part(part).to_pylist()]
    assert {row["text"] for row in rows if row["video_id"] == "removed-a"} == {""}
    assert len([row for row in rows if row["video_id"] == "removed-a"]) == 3
