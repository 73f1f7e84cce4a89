"""From a row of packs to a row of a shard: where its bytes lie, or why there are none."""

import json
from pathlib import Path

from hdvila_testing.shards import commit_video
from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.shards.clips import PlanClip, PlanVideo
from pipeline.shards.files import FAILED, SUCCESS
from pipeline.shards.pieces import failed_piece, piece_of, pieces_of_video


def rows_of(tmp_path: Path) -> tuple[Store, list]:
    store = Store(str(tmp_path))
    commit_video(store, "video000000", n_clips=2, failed={1: "silent"})
    return store, sorted(store.read_table("packs").to_pylist(), key=lambda row: row["n"])


def test_a_made_clip_says_where_its_bytes_lie_and_a_failed_one_why_there_are_none(tmp_path: Path) -> None:
    store, (made, failed) = rows_of(tmp_path)
    good, bad = piece_of(store, made, "https://x"), piece_of(store, failed, "https://x")

    assert good.row["status"] == SUCCESS and good.tar == made["pack"] and good.sample is not None
    assert (good.sample.key, good.sample.offset) == (made["key"], made["pack_offset"])
    assert good.row["caption"] == made["text"] and json.loads(good.row["clips"]) == [[made["start_ms"], made["end_ms"]]]
    assert (bad.row["status"], bad.row["reason"], bad.sample, bad.tar) == (FAILED, "silent", None, "")


def test_a_clip_whose_pack_is_lost_keeps_its_row_and_nothing_else(tmp_path: Path) -> None:
    store, (made, _) = rows_of(tmp_path)
    good = piece_of(store, made, "https://x")
    lost = failed_piece(good, Reason.PACK_LOST, "gone")

    assert (lost.row["status"], lost.row["reason"], lost.row["error_message"]) == (FAILED, "pack_lost", "gone")
    assert lost.sample is None and lost.row["key"] == made["key"] and good.row["status"] == SUCCESS


def test_of_a_part_that_holds_several_videos_the_planned_clips_of_one_are_taken(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("video000000", "video000001"):
        commit_video(store, name, n_clips=3, failed={1: "silent"})
    rows = sorted(store.read_table("packs").to_pylist(), key=lambda row: (row["n"], row["video_id"]))
    store.write_part("packs", "media", "both", rows)
    store.commit("media", "both", {})
    part = next(part for part in store.parts("packs") if store.read_part(part, ["n"]).num_rows == 6)
    video = PlanVideo("video000001", "", "video000001", (PlanClip(2, 512), PlanClip(1, 0)))

    pieces = pieces_of_video(store, video, part, "https://x")

    assert [(p.row["key"], p.row["status"], p.row["url"]) for p in pieces] == [
        ("video000001_00001", FAILED, "https://x"),
        ("video000001_00002", SUCCESS, "https://x"),
    ]
