"""A follower gives each unit's rows once, wherever they lie by then."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvila_testing.requests import count_requests
from manifests import parallel as ahead
from pipeline.engine.store import follow, ranges, segment_files
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.segments import read_head
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


def test_segments_whose_units_alternate_by_name_are_read_once_each(tmp_path: Path) -> None:
    out = Store(str(tmp_path / "out"))
    sizes = MergeSizes(n_units=20, fan_in=9, grace_s=0)
    names = [f"u{i:02}" for i in range(40)]
    for half in (names[::2], names[1::2]):
        fill(out, half, a_group=20)
        merge_all(out, sizes)

    with count_requests() as counted:
        read = list(out.read_runs("clips", ["clip_id"]))

    assert sum(table.num_rows for table in read) == 3 * len(names)
    assert len(read) == 2, "a table a segment"
    assert counted.n < len(names), "and not a read or more for each unit"


def segments_of(out: Store, n: int) -> None:
    """Many segments of three units each."""
    for i in range(n):
        fill(out, [f"u{3 * i + k:03}" for k in range(3)], a_group=3)
        merge_all(out, MergeSizes(n_units=3, fan_in=99, grace_s=0))


def test_many_segments_take_the_turns_of_few_requests_and_come_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Store(str(tmp_path / "out"))
    segments_of(out, 16)
    with count_requests(0.02) as counted:
        tables = list(Follower(Store(out.url), "clips", ["video_id"]).new())

    assert counted.n > 2 * 16 and counted.n_sequential < 16
    names = [table.column("video_id")[0].as_py() for table in tables]
    heads = [segment.id for segment in read_head(out)[0].segments]
    assert len(names) == 16 and names == [first_of(out, name) for name in heads]

    monkeypatch.setattr(ranges, "FETCH_BYTES", 1)
    unfetched = list(Follower(out, "clips", ["video_id"]).new())
    assert pa.concat_tables(unfetched).equals(pa.concat_tables(tables)), "what is too much at once is read in turn"


def first_of(out: Store, segment: str) -> str:
    (path,) = out.fs.glob(f"{out.root}/segments/*/{segment}/clips.parquet")
    return str(pq.read_table(path).column("video_id")[0].as_py())


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


def test_where_no_id_is_wanted_the_wide_columns_are_not_opened(tmp_path: Path) -> None:
    out = Store(str(tmp_path / "out"))
    segments_of(out, 2)
    follower = Follower(out, "clips", ["video_id", "text"], lambda ids: np.zeros(len(ids), np.bool_))
    with count_requests() as counted:
        assert list(follower.new()) == []
    assert counted.kinds["cat_file"] == 2 + 2, "the head twice, and the end of each narrow file, which is all of it"
    wanted = Follower(out, "clips", ["video_id", "text"], lambda ids: np.ones(len(ids), np.bool_))
    assert sum(table.num_rows for table in wanted.new()) == 18
