"""Reads some rows of a Parquet file in a bucket with two requests: for its end, and for the bytes of the rows.

Many rows are read in pieces, so that no more of a file is in memory than is being worked on.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import IO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import DamagedFile
from manifests.files import Files
from manifests.parquet import damage_named, open_parquet
from manifests.schema import WIDE
from pipeline.engine.store.unit_parts import cure_of

TAIL_BYTES = 128 * 1024
"""Bytes read at once from the end: most files' whole footer."""
MAGIC = b"PAR1"
"""The last bytes of every Parquet file."""
SPAN_BYTES = 1024**2
"""Wanted spans up to this many bytes apart are read in one request, with what is between them: 1 Gbit/s brings that in
less than the 30 ms that a request takes, since several are made at a time.
"""
AT_ONCE = 8
"""Concurrent requests for bytes of one file."""
FETCH_BYTES = 16 * 1024**2
"""Bytes of a file that may be fetched ahead; of larger ones only the end is."""
Spans = Sequence[tuple[int, int]]
"""(first row, rows)."""


def read_rows(files: Files, path: str, first: int, n_rows: int, columns: Sequence[str], size: int = 0) -> pa.Table:
    """Reads rows first … first + n_rows - 1: only the row groups and columns that hold them.

    `size`: the file's bytes according to the head; 0: ask the store. Raises FileNotFoundError.
    """
    return RowFile(files, path, size).read(first, n_rows, columns)


class RowFile:
    """A Parquet file of which only the end is in memory, plus the rows being read. What does not fit its checksums is
    read once more: a bit may flip on its way.
    """

    def __init__(self, files: Files, path: str, size: int = 0) -> None:
        self._named = partial(damage_named, f"{files.url}/{path}", cure_of(path))
        self._opened = partial(_opened, files, path, size)
        try:
            self._open()
        except DamagedFile:
            self._open()

    def _open(self) -> None:
        with self._named():
            self._spans = self._opened()
            self._file = open_parquet(cast(IO[bytes], self._spans))

    def fetch(self, spans: Sequence[tuple[int, int]], columns: Sequence[str], most_bytes: int) -> bool:
        """Fetches what some rows (first, number) need of these columns, and keeps it for `read`. False, with nothing
        fetched, if that is more than `most_bytes`.
        """
        names = set(columns)
        groups = sorted({group for span in spans for group in _groups_of(self._file.metadata, *span)[0]})
        return self._spans.keep_all(sorted(self._places(groups, names)), most_bytes)

    def _places(self, groups: Sequence[int], names: Set[str]) -> list[tuple[int, int]]:
        metadata = self._file.metadata
        return [_place(column) for group in groups for column in _columns_of(metadata.row_group(group), names)]

    def read(self, first: int, n_rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Reads rows first … first + n_rows - 1, or fewer where the file ends; `columns` None: all."""
        columns = self._file.schema_arrow.names if columns is None else columns
        try:
            return self._read(first, n_rows, columns)
        except DamagedFile:
            self._open()
            return self._read(first, n_rows, columns)

    def _read(self, first: int, n_rows: int, columns: Sequence[str]) -> pa.Table:
        groups, skipped = _groups_of(self._file.metadata, first, n_rows)
        self._spans.fetch_all(sorted(self._places(groups, set(columns))))
        with self._named():
            rows = self._file.read_row_groups(groups, columns=list(columns)).slice(skipped, n_rows)
        self._spans.drop()
        return rows

    def spans_with(self, column: str, values: Sequence[int]) -> list[tuple[int, int]]:
        """(first row, rows) of the row groups that may hold one of some numbers in a column, by their statistics."""
        metadata, at = self._file.metadata, self._file.schema_arrow.names.index(column)
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        ends = np.cumsum([group.num_rows for group in groups])
        sides = [group.column(at).statistics for group in groups]
        return [
            (int(end) - group.num_rows, group.num_rows)
            for group, end, side in zip(groups, ends, sides, strict=True)
            if side is None or any(side.min <= value <= side.max for value in values)
        ]

    def pieces(self, first: int, n_rows: int, columns: Sequence[str], max_bytes: int) -> Iterator[tuple[int, int]]:
        """Yields the same rows as (first row, rows) of pieces: whole row groups of about `max_bytes` in memory each."""
        metadata, names = self._file.metadata, set(columns)
        groups, skipped = _groups_of(metadata, first, n_rows)
        begin = at = first
        end, n_bytes = first - skipped, 0
        for group in groups:
            end += metadata.row_group(group).num_rows
            at = min(end, first + n_rows)
            n_bytes += sum(column.total_uncompressed_size for column in _columns_of(metadata.row_group(group), names))
            if n_bytes >= max_bytes:
                yield begin, at - begin
                begin, n_bytes = at, 0
        if at > begin:
            yield begin, at - begin


def _columns_of(group: pq.RowGroupMetaData, names: Set[str]) -> list[pq.ColumnChunkMetaData]:
    columns = (group.column(i) for i in range(group.num_columns))
    return [column for column in columns if column.path_in_schema.partition(".")[0] in names]


def _opened(files: Files, path: str, size: int) -> _Spans:
    """The file with its end read. Asks for its size if the given size is wrong: a purge rewrites files in place."""
    if size:
        try:
            spans = _Spans(files, path, size)
        except FileNotFoundError:
            raise
        except OSError:  # a bucket refuses a range that begins past the file's end
            return _Spans(files, path, files.size(path))
        if spans.ends_as_parquet():
            return spans
    return _Spans(files, path, files.size(path))


def _groups_of(metadata: pq.FileMetaData, first: int, n_rows: int) -> tuple[list[int], int]:
    """The row groups that contain some rows, and how many rows of the first group precede them."""
    groups: list[int] = []
    begin = skipped = 0
    for i in range(metadata.num_row_groups):
        end = begin + metadata.row_group(i).num_rows
        if begin < first + n_rows and end > first:
            skipped = skipped if groups else first - begin
            groups.append(i)
        begin = end
    return groups, skipped


def _place(column: pq.ColumnChunkMetaData) -> tuple[int, int]:
    """The offset of a column's first byte, and of the byte after its last."""
    start = column.data_page_offset
    start = min(start, column.dictionary_page_offset or start)
    return start, start + column.total_compressed_size


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted spans, joined where they are near each other."""
    wanted: list[tuple[int, int]] = []
    for start, stop in spans:
        if wanted and start - wanted[-1][1] <= SPAN_BYTES:
            wanted[-1] = wanted[-1][0], max(wanted[-1][1], stop)
        else:
            wanted.append((start, stop))
    return wanted


def wide_path(path: str) -> str:
    """The path of the file with the wide columns of a segment's table."""
    return f"{path.removesuffix('.parquet')}.wide.parquet"


class SegmentRows:
    """A segment's rows of a table: in a file, and those of its wide columns in another, each opened when a column of it
    is first asked for. `path`: of the table's file; `sizes`: bytes of files by path, as far as known.
    """

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


class _Spans(io.RawIOBase):
    """A file of which some spans are in memory; reads outside them fetch more."""

    def __init__(self, files: Files, path: str, size: int) -> None:
        self._files, self._path, self._size, self._at = files, path, size, 0
        self._spans: list[tuple[int, bytes]] = []
        self._n_kept = 1
        self._fetch(max(0, size - TAIL_BYTES), size)

    def ends_as_parquet(self) -> bool:
        """Whether the file ends as a Parquet file does."""
        return self._held(self._size - 4, self._size) == MAGIC

    def fetch_all(self, spans: Sequence[tuple[int, int]]) -> None:
        """Fetches sorted spans of bytes, merging those near each other, several at a time."""
        if all(self._held(*span) is not None for span in spans):
            return
        missing = [span for span in _merged(spans) if self._held(*span) is None]
        if len(missing) < 2:
            for span in missing:
                self._fetch(*span)
            return
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="spans") as readers:
            list(readers.map(lambda span: self._fetch(*span), missing))

    def keep_all(self, spans: Sequence[tuple[int, int]], most_bytes: int) -> bool:
        """Fetches sorted spans of bytes to keep them, if together they are at most `most_bytes`."""
        if sum(stop - start for start, stop in _merged(spans)) > most_bytes:
            return False
        self.fetch_all(spans)
        self._n_kept = len(self._spans)
        return True

    def drop(self) -> None:
        """Drops everything fetched except the file's end and what is to be kept."""
        del self._spans[self._n_kept :]

    def _fetch(self, start: int, end: int) -> bytes:
        """Fetches the bytes start … end - 1, except for those already held with the file's end."""
        here, tail = self._spans[0] if self._spans else (end, b"")
        stop = here if start < here < end else end
        data = self._files.read_range(self._path, start, stop) + tail[: end - stop]
        self._spans.append((start, data))
        return data

    def _held(self, start: int, end: int) -> bytes | None:
        for begin, data in self._spans:
            if begin <= start and end <= begin + len(data):
                return data[start - begin : end - begin]
        return None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        if end <= self._at:
            return b""
        data = self._held(self._at, end)
        if data is None:
            data = self._fetch(self._at, end)
        self._at += len(data)
        return data
