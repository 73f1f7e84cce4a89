"""A segment's rows of a table: in a file, and those of its wide columns in another.

A file is opened when a column of it is first asked for. What is fetched ahead stays in memory until the rows are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from manifests.schema import WIDE
from pipeline.engine.store.files import Files
from pipeline.engine.store.ranges import RowFile

FETCH_BYTES = 16 * 1024**2
"""Bytes of a file that may be fetched ahead; of larger ones only the end is."""
Spans = Sequence[tuple[int, int]]
"""(first row, rows)."""


def wide_path(path: str) -> str:
    """The path of the file with the wide columns of a segment's table."""
    return f"{path.removesuffix('.parquet')}.wide.parquet"


class SegmentRows:
    """See the module. `path`: of the table's file; `sizes`: bytes of files by path, as far as known."""

    def __init__(self, files: Files, table: str, path: str, sizes: Mapping[str, int]) -> None:
        self._files, self._sizes = files, sizes
        self._wide = WIDE.get(table, ())
        self._paths = {False: path, True: wide_path(path)}
        self._opened: dict[bool, RowFile] = {}

    def fetch(self, spans: Spans, columns: Sequence[str]) -> bool:
        """Opens the files with these columns and fetches what of them the rows need; False if that is too much at once:
        then it is fetched when rows are read.
        """
        is_here = True
        for is_wide, own in self._by_file(columns):
            is_here &= self._file(is_wide).fetch(spans, own, FETCH_BYTES)
        return is_here

    def read(self, first: int, n_rows: int, columns: Sequence[str]) -> pa.Table:
        """Rows first … first + n_rows - 1; columns that the files lack are left out."""
        tables = [self._file(is_wide).read(first, n_rows, own) for is_wide, own in self._by_file(columns)]
        arrays = {name: table.column(name) for table in tables for name in table.column_names}
        return pa.table({name: arrays[name] for name in columns if name in arrays})

    def pieces(self, first: int, n_rows: int, columns: Sequence[str], max_bytes: int) -> Iterator[tuple[int, int]]:
        """Yields the same rows as (first row, rows): whole row groups of about `max_bytes` in memory each."""
        last = self._by_file(columns)[-1][0]
        return self._file(last).pieces(first, n_rows, columns, max_bytes)

    def _by_file(self, columns: Sequence[str]) -> list[tuple[bool, list[str]]]:
        own = {is_wide: [name for name in columns if (name in self._wide) == is_wide] for is_wide in (False, True)}
        return [(is_wide, names) for is_wide, names in own.items() if names] or [(False, [])]

    def _file(self, is_wide: bool) -> RowFile:
        if is_wide not in self._opened:
            path = self._paths[is_wide]
            self._opened[is_wide] = RowFile(self._files, path, self._sizes.get(path, 0))
        return self._opened[is_wide]
