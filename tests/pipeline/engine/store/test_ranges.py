"""Rows of a Parquet file are read by its end and by what holds them, whatever its size is known to be; those of a
segment wherever a column lies.
"""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdvila_testing.requests import count_requests
from manifests.files import Files
from manifests.parquet import parquet_bytes
from pipeline.engine.store import ranges
from pipeline.engine.store.ranges import TAIL_BYTES, RowFile, SegmentRows, read_rows
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import UNITS, fill, merge_all

N_ROWS, A_GROUP = 100_000, 1_000
TABLE = pa.table(
    {
        "name": [f"row {i}" for i in range(N_ROWS)],
        "number": list(range(N_ROWS)),
        "list": [[i, i + 1] for i in range(N_ROWS)],
        "noise": [str(hash(("noise", i))) * 3 for i in range(N_ROWS)],
    }
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranges")
    (folder / "t.parquet").write_bytes(parquet_bytes(TABLE, row_group_size=A_GROUP))
    return folder


@pytest.mark.parametrize(("first", "n_rows"), [(0, 1), (999, 2), (50_500, 2_100), (99_999, 1), (0, N_ROWS)])
def test_the_rows_are_those_of_the_file(folder: Path, first: int, n_rows: int) -> None:
    columns = ["list", "number"]
    assert read_rows(Files(str(folder)), "t.parquet", first, n_rows, columns).equals(
        TABLE.select(columns).slice(first, n_rows)
    )


def test_one_row_takes_two_requests_and_few_bytes(folder: Path) -> None:
    files, size = Files(str(folder)), (folder / "t.parquet").stat().st_size
    with count_requests() as counted:
        read_rows(files, "t.parquet", 42_000, 10, ["name", "number"], size)
    assert counted.n == 2 and counted.n_bytes < size / 4


def test_a_small_file_comes_whole_by_one_request(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(parquet_bytes(TABLE.slice(0, 10)))
    size = (tmp_path / "t.parquet").stat().st_size
    with count_requests() as counted:
        assert read_rows(Files(str(tmp_path)), "t.parquet", 3, 2, ["name"], size).num_rows == 2
    assert counted.n == 1 and counted.n_bytes == size


def test_of_a_file_longer_than_its_end_no_byte_comes_twice(tmp_path: Path) -> None:
    some = TABLE.slice(0, 10_000)
    (tmp_path / "t.parquet").write_bytes(parquet_bytes(some, row_group_size=A_GROUP))
    files, size = Files(str(tmp_path)), (tmp_path / "t.parquet").stat().st_size
    assert size > TAIL_BYTES
    with count_requests() as counted:
        read = read_rows(files, "t.parquet", 0, some.num_rows, TABLE.column_names, size)
    assert read.equals(some)
    assert counted.n == 2 and counted.n_bytes <= size


def test_a_missing_file_is_named_as_such(folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_rows(Files(str(folder)), "gone.parquet", 0, 1, ["name"])
    with pytest.raises(FileNotFoundError):
        read_rows(Files(str(folder)), "gone.parquet", 0, 1, ["name"], 5_000)


@pytest.mark.parametrize("other", [-1_000, 1_000, 10**9])
def test_a_file_that_was_rewritten_since_its_size_was_told_is_read_as_it_is(folder: Path, other: int) -> None:
    size = (folder / "t.parquet").stat().st_size + other
    read = read_rows(Files(str(folder)), "t.parquet", 42_000, 10, ["name"], size)
    assert read.equals(TABLE.select(["name"]).slice(42_000, 10))


@pytest.mark.parametrize(("first", "n_rows"), [(0, N_ROWS), (1_300, 40_000), (99_999, 1)])
def test_pieces_are_whole_row_groups_and_together_the_rows_that_were_asked_for(
    folder: Path, first: int, n_rows: int
) -> None:
    file = RowFile(Files(str(folder)), "t.parquet")
    pieces = list(file.pieces(first, n_rows, ["noise"], 200_000))
    assert pieces[0][0] == first and sum(n for _, n in pieces) == n_rows
    assert all(begin % A_GROUP == 0 for begin, _ in pieces[1:]) and max(n for _, n in pieces) <= 10_000
    read = pa.concat_tables([file.read(begin, n, ["noise"]) for begin, n in pieces])
    assert read.equals(TABLE.select(["noise"]).slice(first, n_rows))


def test_a_file_that_is_read_again_keeps_its_end_alone(folder: Path) -> None:
    file = RowFile(Files(str(folder)), "t.parquet")
    for first in (0, 50_000):
        assert file.read(first, 10).equals(TABLE.slice(first, 10))
    for first in (30_000, 0, 50_000):
        with count_requests() as counted:
            file.read(first, 10, ["number"])
        assert counted.n == 1, "its end is not read again, all else is"
    assert list(file.pieces(N_ROWS, 5, ["number"], 1)) == []


@pytest.fixture
def some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Files, list[tuple[int, int]]]:
    """A file of 200 bytes whose last 20 are its end, and the spans that are asked for."""
    monkeypatch.setattr(ranges, "TAIL_BYTES", 20)
    monkeypatch.setattr(ranges, "SPAN_BYTES", 10)
    (tmp_path / "f").write_bytes(bytes(range(196)) + ranges.MAGIC)
    asked: list[tuple[int, int]] = []
    read = Files.read_range
    monkeypatch.setattr(Files, "read_range", lambda f, p, a, b: [asked.append((a, b)), read(f, p, a, b)][1])
    return Files(str(tmp_path)), asked


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-30, 220), st.integers(-1, 60)), max_size=12))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_read_by_ranges_reads_like_any_other(
    some: tuple[Files, list[tuple[int, int]]], steps: list[tuple[int, int, int]]
) -> None:
    held, plain = ranges._Spans(some[0], "f", 200), io.BytesIO(some[0].read("f"))
    assert held.readable() and held.seekable()
    for whence, offset, size in steps:
        if whence == io.SEEK_SET or plain.tell() + offset < 0 or 200 + offset < 0:
            whence, offset = io.SEEK_SET, abs(offset)
        assert held.seek(offset, whence) == plain.seek(offset, whence)
        assert held.read(size) == plain.read(size) and held.tell() == plain.tell()


def test_what_is_kept_is_read_without_a_request_and_too_much_is_not_fetched(folder: Path) -> None:
    file = RowFile(Files(str(folder)), "t.parquet")
    spans, columns = [(10_500, 2), (50_000, 1_000)], ["number", "noise"]
    assert not file.fetch(spans, columns, 10_000)
    assert file.fetch(spans, columns, 1 << 30)
    with count_requests() as counted:
        for _ in range(2):
            for first, n_rows in spans:
                assert file.read(first, n_rows, columns).equals(TABLE.select(columns).slice(first, n_rows))
    assert counted.n == 0
    assert file.read(90_000, 1, ["number"]).equals(TABLE.select(["number"]).slice(90_000, 1))


# a segment's two files

COLUMNS = ["text", "video_id", "clip_id"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS[:3])
    merge_all(store)
    return store


def rows_of_clips(store: Store) -> SegmentRows:
    (segment,) = read_head(store)[0].segments
    return SegmentRows(store, "clips", segment.path("clips"), {})


def test_what_was_fetched_is_read_without_a_request_and_the_rest_when_it_is_asked_for(store: Store) -> None:
    whole = store.read_table("clips", COLUMNS)
    rows = rows_of_clips(store)
    assert rows.fetch([(0, 9)], COLUMNS)
    with count_requests() as counted:
        assert rows.read(0, 9, COLUMNS).equals(whole) and rows.read(2, 3, COLUMNS).equals(whole.slice(2, 3))
        assert list(rows.pieces(0, 9, COLUMNS, 1 << 30)) == [(0, 9)]
    assert counted.n == 0

    narrow = rows_of_clips(store)
    with count_requests() as counted:
        assert narrow.read(0, 9, ["video_id", "gone"]).equals(whole.select(["video_id"]))
    assert counted.n == 2, "its size and its end, of the narrow file alone"
