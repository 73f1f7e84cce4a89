"""Parquet files of strangers: what stands for gigabytes is refused before it is read."""

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import DamagedFile
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
