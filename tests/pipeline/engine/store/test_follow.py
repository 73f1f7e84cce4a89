"""A follower gives each unit's rows once, wherever they lie by then."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvila_testing.requests import count_requests
from manifests import parallel as ahead
from pipeline.engine.store import follow, ranges, segment_files
from pipeline.engine.store.follow import Follower, _New, _spans_of
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Piece, Store
from pipeline.engine.store.unit_parts import Part
from tests.pipeline.engine.merges import UNITS, fill, merge_all
from tests.pipeline.engine.store.test_segments import a_segment


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


def spans_of(
    monkeypatch: pytest.MonkeyPatch, n_rows: int, spans: list[tuple[int, int]], piece: int, wanted: Any = None
) -> tuple[list[tuple[int, list[int]]], list[tuple[int, int]]]:
    """(what comes of these spans of new rows, what is read for it) of a segment whose pieces have so many rows."""
    read: list[tuple[int, int]] = []

    def pieces(part: Part, columns: list[str], n_bytes: int, opened: None) -> Iterator[Piece]:
        if wanted is None or columns != ["video_id"]:
            read.append((part.first, part.n_rows))
        for first in range(part.first, part.first + part.n_rows, piece):
            n = min(piece, part.first + part.n_rows - first)
            rows = pa.table({"video_id": [str(i) for i in range(first, first + n)]})
            yield Piece(first, n, lambda names, rows=rows: rows)

    out: Any = SimpleNamespace(pieces=pieces)
    follower = Follower(out, "videos", ["video_id"], wanted)
    segment = a_segment("s", rows={"videos": n_rows})
    first, end = (np.array(some, np.int64) for some in zip(*spans, strict=True))
    new = _New(np.zeros(0, np.uint64), pa.chunked_array([], pa.string()), first, end, _spans_of(first, end))
    tables = follower._read_spans(segment, new)
    return [(stop, [int(name) for name in rows.column("video_id").to_pylist()]) for stop, rows in tables], read


def test_units_that_lie_together_are_one_span_and_a_gap_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    got, read = spans_of(monkeypatch, 20, [(0, 2), (2, 5), (10, 12)], piece=4)

    assert read == [(0, 5), (10, 2)]
    assert got == [(4, [0, 1, 2, 3]), (5, [4]), (12, [10, 11])]


def test_of_many_spans_all_between_is_read_and_what_is_not_new_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    eight, nine = ([(2 * i, 2 * i + 1) for i in range(n)] for n in (8, 9))
    assert len(spans_of(monkeypatch, 20, eight, piece=100)[1]) == 8
    got, read = spans_of(monkeypatch, 20, nine, piece=100)

    assert read == [(0, 17)] and got == [(17, [0, 2, 4, 6, 8, 10, 12, 14, 16])]
    assert spans_of(monkeypatch, 17, nine, piece=100)[0] == got, "up to the last row"


def test_pieces_with_nothing_that_is_wanted_are_read_for_their_ids_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def odd_tens(names: pa.ChunkedArray) -> Any:
        return np.array([int(name) // 10 % 2 == 1 for name in names.to_pylist()])

    got, _ = spans_of(monkeypatch, 30, [(0, 30)], piece=10, wanted=odd_tens)

    assert got == [(20, list(range(10, 20)))]


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
