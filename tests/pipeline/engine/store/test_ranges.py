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
from pipeline.engine.store.ranges import read_rows
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


# a segment's two files


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS[:3])
    merge_all(store)
    return store
