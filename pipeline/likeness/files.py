"""Index files: how many hashes each item has, then the hashes, column by column.

Items and their hashes stand in the order in which they were added. A scan of one column reads only its bytes; each part
has a checksum. Hashes do not compress, so they are stored raw, 8 bytes each.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.engine.store.files import Files
from pipeline.likeness.bands import Int64
from pipeline.media.phash import Hashes

FORMAT = 5
"""Rises when what is stored changes: files of another format are made again from the tables."""

_WIDE = 4096
"""Hashes in a row of the table whose rows and columns are summed up for a column's checksum."""

_ZSTD = pa.Codec("zstd", compression_level=1)


class LostHashes(Exception):
    """A file of hashes is gone or damaged: all of them are made again from the tables."""


@dataclass(frozen=True, slots=True)
class Filed:
    """Index rows: the number of rows of each item, and the hashes of all rows by column, [columns, rows].

    `n_parts`: per video, its number of consecutive clips.
    """

    counts: Int64
    hashes: Hashes
    n_parts: Int64


@dataclass(frozen=True, slots=True)
class Owners:
    """Owners of a file's rows: rows ends[i - 1] … ends[i] - 1 belong to item `first` + i; `whole_ends` likewise."""

    first: int
    ends: Int64
    whole_ends: Int64

    def of(self, rows: Int64) -> Int64:
        """The item number of each row."""
        return self.first + np.searchsorted(self.ends, rows, side="right")

    def wholes_of(self, rows: Int64) -> Int64:
        """The whole of each row, counted in this file."""
        return np.searchsorted(self.whole_ends, rows, side="right")

    def spans_of(self, wholes: Int64) -> tuple[Int64, Int64]:
        """Start and end row (exclusive) of each whole."""
        begins = np.concatenate([np.zeros(1, np.int64), self.whole_ends])
        return begins[wholes], begins[wholes + 1]


def checksum(hashes: Hashes) -> int:
    """The CRC-32 of sums of hashes: of each row of a table of them and, without carries, of each of its columns.

    So one that differs, or a block that is empty or stands elsewhere, changes it. It takes a fifth of the time of the
    CRC-32 of all bytes, which would be a tenth of a search.
    """
    n = len(hashes) // _WIDE * _WIDE
    table = hashes[:n].reshape(-1, _WIDE)
    sums = (table.sum(axis=1, dtype=np.uint64), np.bitwise_xor.reduce(table, axis=0), hashes[n:])
    return zlib.crc32(np.concatenate(sums).astype("<u8", copy=False).tobytes())


@dataclass(frozen=True, slots=True)
class NearFile:
    """One file, of the items `first` … first + n_things - 1."""

    path: str
    first: int
    n_things: int
    n_wholes: int
    n_rows: int
    n_columns: int
    n_head: int
    """Bytes before the first column: checksums, and `Filed.counts` and `Filed.n_parts`, compressed."""

    @property
    def n_bytes(self) -> int:
        """All bytes."""
        return self.n_head + self.n_columns * self.n_column

    @property
    def n_column(self) -> int:
        """Bytes of one column."""
        return 8 * self.n_rows

    def span(self, column: int) -> tuple[int, int]:
        """Start and end byte (exclusive) of a column."""
        begin = self.n_head + column * self.n_column
        return begin, begin + self.n_column


def write_filed(files: Files, path: str, filed: Filed, first: int) -> NearFile:
    """Writes the hashes of items numbered from `first` on."""
    columns = [np.ascontiguousarray(column, "<u8").tobytes() for column in filed.hashes]
    counts = _ZSTD.compress(np.concatenate([filed.counts, filed.n_parts]).astype("<u4").tobytes(), asbytes=True)
    checks = [zlib.crc32(counts), *map(checksum, filed.hashes)]
    sums = np.array(checks, "<u4").tobytes()
    head = sums + np.uint32(zlib.crc32(sums)).tobytes() + counts
    files.write(path, b"".join([head, *columns]))
    return NearFile(
        path=path,
        first=first,
        n_things=len(filed.counts),
        n_wholes=len(filed.n_parts),
        n_rows=filed.hashes.shape[1],
        n_columns=len(columns),
        n_head=len(head),
    )


class OpenFile:
    """What a file holds, part by part. LostHashes."""

    def __init__(self, files: Files, file: NearFile) -> None:
        self._files, self._file = files, file
        head = self._read(0, file.n_head)
        n_sums = 4 * (1 + file.n_columns)
        sums = np.frombuffer(head, "<u4", 2 + file.n_columns)
        if zlib.crc32(head[:n_sums]) != sums[-1]:
            raise self._damaged()
        counts = head[n_sums + 4 :]
        if zlib.crc32(counts) != sums[0]:
            raise self._damaged()
        self._sums = sums[1:-1]
        n_bytes = 4 * (file.n_things + file.n_wholes)
        both = np.frombuffer(_ZSTD.decompress(counts, n_bytes, asbytes=True), "<u4")
        self.counts, self.n_parts = both[: file.n_things], both[file.n_things :]

    def owners(self) -> Owners:
        """The owner of each row."""
        ends = np.zeros(len(self.counts) + 1, np.int64)
        ends[1:] = self.counts
        np.cumsum(ends, out=ends)
        return Owners(self._file.first, ends[1:], ends[np.cumsum(self.n_parts, dtype=np.int64)])

    def column(self, column: int) -> Hashes:
        """The hashes of all rows."""
        data = self._read(*self._file.span(column))
        hashes = np.frombuffer(data, "<u8").astype(np.uint64, copy=False)
        if checksum(hashes) != self._sums[column]:
            raise self._damaged()
        return hashes

    def _read(self, begin: int, end: int) -> bytes:
        if begin == end:
            return b""
        try:
            data = self._files.read_range(self._file.path, begin, end)
        except FileNotFoundError:
            raise LostHashes(f"{self._files.url}/{self._file.path}: is gone") from None
        if len(data) != end - begin:
            raise self._damaged()
        return data

    def _damaged(self) -> LostHashes:
        return LostHashes(f"{self._files.url}/{self._file.path}: is damaged")


def merged_files(files: Files, some: Sequence[NearFile], path: str) -> NearFile:
    """Files of things that were added one after the other as one. LostHashes."""
    opened = [OpenFile(files, file) for file in some]
    counts, n_parts = (
        np.concatenate(some) for some in zip(*((one.counts, one.n_parts) for one in opened), strict=True)
    )
    hashes = np.stack([np.concatenate([one.column(i) for one in opened]) for i in range(some[0].n_columns)])
    return write_filed(files, path, Filed(counts, hashes, n_parts), some[0].first)


def columns_of(files: Files, some: Sequence[NearFile], column: int) -> Iterator[tuple[Hashes, Owners]]:
    """One column of these files, one after the other. LostHashes."""
    for file in some:
        opened = OpenFile(files, file)
        yield opened.column(column), opened.owners()
