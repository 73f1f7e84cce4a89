"""Columns in files give back what was added, whatever was read in between, and cannot be changed."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests.columns import Column, in_a_file, table_in_a_file


def test_a_column_holds_what_was_added_in_its_order_and_type() -> None:
    column = Column(np.int32)
    assert column.all().tolist() == []
    column.add(np.array([3, 1], np.uint16))
    first = column.all()
    column.add(np.arange(5)[::2])
    assert (first.tolist(), column.all().tolist(), column.all().dtype) == ([3, 1], [3, 1, 0, 2, 4], np.int32)
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 9


def test_pieces_become_one_column() -> None:
    assert in_a_file((np.array([n, n]) for n in (1, 2)), np.int64).tolist() == [1, 1, 2, 2]
    assert in_a_file([], np.int64).tolist() == []


@pytest.mark.parametrize("ids", [["a", None, "bc"], []])
def test_a_table_is_the_same_in_a_file(ids: list[str | None]) -> None:
    channel = pa.array(["x"] * len(ids), pa.string()).dictionary_encode()
    table = pa.table({"id": pa.array(ids, pa.string()), "channel": channel, "n": pa.array(range(len(ids)), pa.int32())})
    filed = table_in_a_file(table)
    assert filed.equals(table)
    assert filed.column("id").num_chunks <= 1


def n_open() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_file_ends_with_what_is_read_of_it() -> None:
    before = n_open()
    read = in_a_file([np.arange(1000)], np.int64)
    assert read.sum() == 499_500
    del read
    assert n_open() == before
