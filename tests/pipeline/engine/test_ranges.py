"""Rows of a Parquet file are read by its end and by what holds them, whatever its size is known to be."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.scaling.requests import count_requests
from pipeline.engine.files import Files
from pipeline.engine.ranges import TAIL_BYTES, RowFile, read_rows

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
    pq.write_table(TABLE, folder / "t.parquet", row_group_size=A_GROUP)
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


def test_of_a_file_longer_than_its_end_no_byte_comes_twice(tmp_path: Path) -> None:
    some = TABLE.slice(0, 10_000)
    pq.write_table(some, tmp_path / "t.parquet", row_group_size=A_GROUP, compression="none")
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


@pytest.mark.parametrize(("first", "n_rows"), [(0, N_ROWS), (1_500, 40_000), (99_999, 1)])
def test_pieces_are_whole_row_groups_and_together_the_rows_that_were_asked_for(
    folder: Path, first: int, n_rows: int
) -> None:
    file = RowFile(Files(str(folder)), "t.parquet")
    pieces = list(file.pieces(first, n_rows, ["noise"], 200_000))
    assert pieces[0][0] == first and sum(n for _, n in pieces) == n_rows
    assert all(begin % A_GROUP == 0 for begin, _ in pieces[1:]) and max(n for _, n in pieces) <= 10_000
    read = pa.concat_tables([file.read(begin, n, ["noise"]) for begin, n in pieces])
    assert read.equals(TABLE.select(["noise"]).slice(first, n_rows))
