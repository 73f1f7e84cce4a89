"""A follower gives each unit's rows once, wherever they lie by then."""

from pathlib import Path

import pytest

from manifests import parallel as ahead
from pipeline.engine.store import follow, segment_files
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import UNITS, fill, merge_all


def ids(follower: Follower) -> list[str]:
    return sorted(name for table in follower.new() for name in table.column("video_id").to_pylist())


def test_rows_come_once_before_and_after_a_merge_and_rejects_with_them(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    videos, rejects = Follower(store, "videos", ["video_id"]), Follower(store, "rejects", ["video_id", "reason"])
    assert ids(videos) == ids(rejects) == []
    fill(store, ["u1", "u2"])

    assert (ids(videos), ids(rejects)) == (["u1-0", "u1-1", "u2-0", "u2-1"], ["u2-x"])
    merge_all(store)
    assert ids(videos) == ids(rejects) == []
    fill(store, ["u3", "u4", "u5"])
    merge_all(store)
    assert (ids(videos), ids(rejects)) == ([f"u{n}-{i}" for n in (3, 4, 5) for i in (0, 1)], ["u4-x"])
    assert ids(Follower(store, "videos", ["video_id"])) == [f"u{n}-{i}" for n in range(1, 6) for i in (0, 1)]


def test_a_segment_comes_in_pieces_of_whole_units_each_once_also_where_reading_broke_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_files, "GROUP_ROWS", 4)
    monkeypatch.setattr(follow, "FETCHED_PIECE_BYTES", 1)
    out = Store(str(tmp_path / "out"))
    fill(out, UNITS)
    merge_all(out)
    columns = ["video_id", "n", "text"]
    whole = ids(Follower(out, "clips", columns))
    assert whole == sorted(out.read_table("clips", ["video_id"]).column("video_id").to_pylist())
    assert max(piece.num_rows for piece in Follower(out, "clips", columns).new()) < len(whole) / 2

    follower = Follower(out, "clips", columns)
    read = follower.new()
    first = next(read).column("video_id").to_pylist()
    read.close()
    assert sorted(first + ids(follower)) == whole


def segments_of(out: Store, n: int) -> None:
    """Many segments of three units each."""
    for i in range(n):
        fill(out, [f"u{3 * i + k:03}" for k in range(3)], a_group=3)
        merge_all(out, MergeSizes(n_units=3, fan_in=99, grace_s=0))


def test_a_segment_that_a_merge_removes_while_others_are_read_ahead_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Store(str(tmp_path / "out"))
    segments_of(out, 6)
    monkeypatch.setattr(ahead, "READERS", 2)
    reading = Follower(out, "clips", ["clip_id"]).new()
    read = [next(reading)]
    merge_all(out, MergeSizes(n_units=3, fan_in=6, grace_s=0))
    read += list(reading)

    ids_read = sorted(name for table in read for name in table.column("clip_id").to_pylist())
    assert ids_read == sorted(out.read_table("clips", ["clip_id"]).column("clip_id").to_pylist())
