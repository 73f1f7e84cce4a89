"""Long columns in files: a process that plans for weeks keeps a hundred million numbers and no memory.

A file has no name and ends with the process, or before if nobody needs it any more. What is read of it stays in memory
only as long as there is room.
"""

import mmap
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import DTypeLike, NDArray


class Column:
    """A column to which numbers are added at the end."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile(prefix="hdvila-column-")  # noqa: SIM115  # open as long as the column

    def add(self, numbers: NDArray[Any]) -> None:
        """Adds numbers. OSError if the disk is full."""
        self._file.write(np.ascontiguousarray(numbers, self._dtype).data)

    def all(self) -> NDArray[Any]:
        """All of them, which cannot be changed."""
        self._file.flush()
        if not self._file.tell():
            return np.zeros(0, self._dtype)
        return np.asarray(np.memmap(self._file, self._dtype, "r"))


def in_a_file(pieces: Iterable[NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
    """The numbers of all pieces as one column."""
    column = Column(dtype)
    for piece in pieces:
        column.add(piece)
    return column.all()


def table_in_a_file(table: pa.Table) -> pa.Table:
    """The same table. Its dictionaries must be the same in all chunks."""
    with tempfile.TemporaryFile(prefix="hdvila-table-") as file:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        file.flush()
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))).read_all()


def whole(column: pa.ChunkedArray) -> pa.Array:
    """The column in one piece; Arrow would also copy one that is."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
