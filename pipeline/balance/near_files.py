"""Files of the hashes that things are filed by: how many each thing has, then column after column of hashes.

Things and their hashes stand in the order in which they were added. Who looks through a column reads its bytes and
no others; each part has a checksum. Hashes are noise, so they are stored as they are, 8 bytes each.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.balance.bands import Int64, Owners
from pipeline.engine.files import Files
from pipeline.media.phash import Hashes

FORMAT = 3
"""Rises when what is stored changes: files of another format are made again from the tables."""

_ZSTD = pa.Codec("zstd", compression_level=1)


class LostHashes(Exception):
    """A file of hashes is gone or damaged: all of them are made again from the tables."""


@dataclass(frozen=True, slots=True)
class Filed:
    """Hashes that things are filed by: how many rows each thing has, which stand one after the other, and the hashes
    of all rows by column: [columns, rows]."""

    counts: Int64
    hashes: Hashes


@dataclass(frozen=True, slots=True)
class NearFile:
    """One file: of the things `first` … first + n_things - 1."""

    path: str
    first: int
    n_things: int
    n_rows: int
    n_columns: int
    n_head: int
    """Bytes before the first column: checksums, and what `Filed.counts` says, compressed."""

    @property
    def n_bytes(self) -> int:
        """All bytes."""
        return self.n_head + self.n_columns * self._column_bytes

    @property
    def _column_bytes(self) -> int:
        return 8 * self.n_rows

    def span(self, column: int) -> tuple[int, int]:
        """The first byte of a column, and the one after its last."""
        begin = self.n_head + column * self._column_bytes
        return begin, begin + self._column_bytes


def write_filed(files: Files, path: str, filed: Filed, first: int) -> NearFile:
    """Writes hashes of things that are numbered from `first` on."""
    columns = [np.ascontiguousarray(column, "<u8").tobytes() for column in filed.hashes]
    counts = _ZSTD.compress(np.ascontiguousarray(filed.counts, "<u4").tobytes(), asbytes=True)
    sums = np.array([zlib.crc32(part) for part in (counts, *columns)], "<u4").tobytes()
    head = sums + np.uint32(zlib.crc32(sums)).tobytes() + counts
    files.write(path, b"".join([head, *columns]))
    return NearFile(path, first, len(filed.counts), filed.hashes.shape[1], len(columns), len(head))


class OpenFile:
    """What a file holds, part by part. LostHashes."""

    def __init__(self, files: Files, file: NearFile) -> None:
        self._files, self._file = files, file
        head = self._read(0, file.n_head)
        n_sums = 4 * (1 + file.n_columns)
        sums = np.frombuffer(head, "<u4", 2 + file.n_columns)
        if zlib.crc32(head[:n_sums]) != sums[-1]:
            raise self._damaged()
        counts = self._checked(head[n_sums + 4 :], int(sums[0]))
        self._sums = sums[1:-1]
        self.counts = np.frombuffer(_ZSTD.decompress(counts, 4 * file.n_things, asbytes=True), "<u4").astype(np.int64)

    def owners(self) -> Owners:
        """Whose each row is."""
        return Owners(self._file.first, np.cumsum(self.counts))

    def column(self, column: int) -> Hashes:
        """The hashes of all rows."""
        data = self._checked(self._read(*self._file.span(column)), int(self._sums[column]))
        return np.frombuffer(data, "<u8").astype(np.uint64, copy=False)

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

    def _checked(self, data: bytes, crc: int) -> bytes:
        if zlib.crc32(data) != crc:
            raise self._damaged()
        return data

    def _damaged(self) -> LostHashes:
        return LostHashes(f"{self._files.url}/{self._file.path}: is damaged")


def merged_files(files: Files, some: Sequence[NearFile], path: str) -> NearFile:
    """Files of things that were added one after the other as one. LostHashes."""
    opened = [OpenFile(files, file) for file in some]
    counts = np.concatenate([one.counts for one in opened])
    hashes = np.stack([np.concatenate([one.column(i) for one in opened]) for i in range(some[0].n_columns)])
    return write_filed(files, path, Filed(counts, hashes), some[0].first)


def columns_of(files: Files, some: Sequence[NearFile], column: int) -> Iterator[tuple[Hashes, Owners]]:
    """One column of these files, one after the other. LostHashes."""
    for file in some:
        opened = OpenFile(files, file)
        yield opened.column(column), opened.owners()
