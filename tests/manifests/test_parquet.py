"""A flipped byte never changes what is read of our own files; of strangers', what stands for gigabytes is refused."""

import io
import random
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import DamagedFile
from manifests.parquet import is_whole, open_parquet, parquet_bytes, parquet_writer
from manifests.schema import SHARD_ROWS
from manifests.shards import (
    rows_of_shard,
)


def a_bomb(schema: pa.Schema, n_rows: int) -> bytes:
    """A small file whose text column comes to a gigabyte and more."""
    columns = {}
    for field in schema:
        if field.name == "url":
            text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(n_rows, np.int32)), pa.array(["x" * 1_000_000]))
            columns[field.name] = text
        else:
            columns[field.name] = pa.array(["" if pa.types.is_string(field.type) else 0] * n_rows, field.type)
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, compression="zstd")
    return buffer.getvalue()


def test_a_small_parquet_that_stands_for_gigabytes_is_refused_before_it_is_read() -> None:
    data = a_bomb(SHARD_ROWS, 3000)
    assert len(data) < 50_000
    before = pa.total_allocated_bytes()

    with pytest.raises(DamagedFile, match="come to more than"):
        rows_of_shard(data, "a shard")
    with pytest.raises(DamagedFile, match="rows, more than"):
        rows_of_shard(a_bomb(SHARD_ROWS, 300_000), "a shard")

    assert pa.total_allocated_bytes() - before < 2**20


def a_table(n_rows: int = 200) -> pa.Table:
    numbers = list(range(n_rows))
    return pa.table({"video_id": [f"v{i // 7}" for i in numbers], "n": numbers, "pairs": [[i, i] for i in numbers]})


def read(data: bytes, is_foreign: bool) -> pa.Table | None:
    """What a reader gets of a file; None if it says that the file is damaged."""
    try:
        return open_parquet(data, is_foreign=is_foreign).read()
    except (pa.ArrowException, OSError, ValueError):
        return None


@pytest.mark.parametrize("is_foreign", [False, True])
def test_no_flipped_byte_changes_what_is_read(is_foreign: bool) -> None:
    table, rng = a_table(), random.Random(0)
    data = parquet_bytes(table, row_group_size=100)
    assert read(data, is_foreign) == table
    assert is_whole(io.BytesIO(data))
    n_found = 0
    for at in range(len(data)):
        harmed = bytearray(data)
        harmed[at] ^= rng.randrange(1, 256)
        made = read(bytes(harmed), is_foreign)
        assert made is None or made == table, f"byte {at}"
        assert not is_whole(io.BytesIO(harmed)) and not is_whole(io.BytesIO(data[:at])), f"byte {at}"
        n_found += made is None
    assert n_found > len(data) / 2


def test_without_their_checksums_our_files_are_refused_and_those_of_strangers_read() -> None:
    buffer = io.BytesIO()
    pq.write_table(a_table(), buffer)
    assert read(buffer.getvalue(), is_foreign=True) == a_table() and read(buffer.getvalue(), is_foreign=False) is None


def test_others_read_files_with_checksums_as_they_read_any(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    table = a_table()
    (tmp_path / "whole.parquet").write_bytes(parquet_bytes(table, row_group_size=100))
    with parquet_writer(tmp_path / "groups.parquet", table.schema) as writer:
        for begin in (0, 100):
            writer.write_table(table.slice(begin, 100))
    for file in tmp_path.iterdir():
        assert pq.read_table(file) == table == open_parquet(file.read_bytes()).read()
        assert is_whole(io.BytesIO(file.read_bytes()))
        assert duckdb.sql(f"SELECT count(*), sum(n) FROM '{file}'").fetchall() == [(200, 19900)]


def test_a_footer_longer_than_the_first_read_of_it_is_verified_too() -> None:
    wide = pa.table({f"column {i}": [i] for i in range(1500)})
    data = parquet_bytes(wide)
    harmed = bytearray(data)
    harmed[len(data) - 70_000] ^= 1
    assert int.from_bytes(data[-8:-4], "little") > 70_000
    assert read(data, False) == wide and read(bytes(harmed), False) is None


def test_no_file_of_the_program_writes_or_reads_parquet_by_another_door() -> None:
    root = Path(__file__).parents[2]
    doors = re.compile(r"\bpq\.(write_table|ParquetWriter|ParquetFile|read_table)\(")
    files = [path for room in ("manifests", "pipeline", "train") for path in (root / room).rglob("*.py")]
    others = [str(path.relative_to(root)) for path in files if doors.search(path.read_text())]
    assert others == ["manifests/parquet.py"]
