"""From a row of packs to a row of a shard: where its bytes lie, or why there are none."""

import json
from pathlib import Path

from manifests.reasons import Reason
from pipeline.engine.store import Store
from pipeline.shards.files import FAILED, SUCCESS
from pipeline.shards.pieces import failed_piece, piece_of
from pipeline.testing.shards import commit_video


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
