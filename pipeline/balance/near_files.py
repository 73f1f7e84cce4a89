"""Files of sorted hashes: cell by cell of the highest bits, in each the entries of every band.

A search of some cells reads only their bytes of each file; each cell has a checksum. Of an entry's 12 bytes 8 to 10 are
stored, fewer if there are more entries. Entries are sorted, so the upper halves of their keys are stored as the small
steps between them; owners need fewer than 32 bits. Both are stored byte plane by byte plane, the lowest first, and
compressed; the lower halves of keys are noise and stay as they are.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.balance.bands import ENTRY, HALF, LEAST_BITS, Entries
from pipeline.engine.files import Files

FORMAT = 2
"""Raised when what is stored changes: files of another format are made again from the tables."""

CELL_BITS = 9
N_CELLS = 1 << CELL_BITS
assert CELL_BITS <= LEAST_BITS, "a group lies in one cell"
_EDGES = np.arange(1, N_CELLS, dtype=np.uint64)
_LOWER, _UPPER, _OWNER = range(3)
"""The three words of an entry: the halves of its key, and its owner."""
_ZSTD = pa.Codec("zstd", compression_level=1)


class LostHashes(Exception):
    """A file of hashes is missing or damaged: the whole index is made again from the tables."""


@dataclass(frozen=True, slots=True)
class NearFile:
    """One file, with the cells `first_cell` … first_cell + n_cells - 1."""

    path: str
    n_bands: int
    first_cell: int
    n_cells: int
    n_bytes: int

    @property
    def cells(self) -> range:
        """The cells in the file."""
        return range(self.first_cell, self.first_cell + self.n_cells)


def write_cells(files: Files, path: str, cells: Sequence[Sequence[Entries]], first_cell: int = 0) -> NearFile:
    """Writes the entries of each band, by cell."""
    bodies = [_packed(np.concatenate(bands)) for bands in cells]
    sizes = np.array([[len(entries) for entries in bands] for bands in cells], "<u8")
    lengths = np.array([len(body) for body in bodies], "<u8")
    sums = np.array([zlib.crc32(body) for body in bodies], "<u4")
    head = sizes.tobytes() + lengths.tobytes() + sums.tobytes()
    data = b"".join([head, np.uint32(zlib.crc32(head)).tobytes(), *bodies])
    files.write(path, data)
    return NearFile(path, sizes.shape[1], first_cell, len(cells), len(data))


def cells_of(bands: Sequence[Entries]) -> list[list[Entries]]:
    """Divides the entries of each band into cells."""
    edges = _EDGES << np.uint64(HALF - CELL_BITS)
    cut = [np.split(entries, np.searchsorted(entries["key"] >> np.uint64(HALF), edges)) for entries in bands]
    return [[of_band[cell] for of_band in cut] for cell in range(N_CELLS)]


def read_run(files: Files, run: Sequence[NearFile], cells: range) -> list[list[Entries]]:
    """Like `read_cells`, for files that together have all cells."""
    found = []
    for file in run:
        begin, stop = max(cells.start, file.cells.start), min(cells.stop, file.cells.stop)
        if begin < stop:
            found += read_cells(files, file, range(begin, stop))
    return found


def read_cells(files: Files, file: NearFile, cells: range) -> list[list[Entries]]:
    """Reads the entries of each band, by cell; `cells` are some of the file's. Raises LostHashes."""
    n_head = file.n_cells * (8 * file.n_bands + 12)
    try:
        head = files.read_range(file.path, 0, n_head + 4)
        if len(head) != n_head + 4 or np.uint32(zlib.crc32(head[:-4])).tobytes() != head[-4:]:
            raise LostHashes(f"{files.url}/{file.path}: is damaged")
        sizes = np.frombuffer(head, "<u8", file.n_cells * file.n_bands).reshape(-1, file.n_bands).astype(np.int64)
        lengths = np.frombuffer(head, "<u8", file.n_cells, sizes.nbytes).astype(np.int64)
        sums = np.frombuffer(head, "<u4", file.n_cells, sizes.nbytes + lengths.nbytes)
        ends = n_head + 4 + np.cumsum(lengths)
        begins = ends - lengths
        a, b = cells.start - file.first_cell, cells.stop - file.first_cell
        body = files.read_range(file.path, int(begins[a]), int(ends[b - 1])) if ends[b - 1] > begins[a] else b""
    except FileNotFoundError:
        raise LostHashes(f"{files.url}/{file.path}: is gone") from None
    found = []
    for cell in range(a, b):
        part = body[begins[cell] - begins[a] : ends[cell] - begins[a]]
        if len(part) != ends[cell] - begins[cell] or zlib.crc32(part) != sums[cell]:
            raise LostHashes(f"{files.url}/{file.path}: is damaged")
        entries = _unpacked(part, int(sizes[cell].sum()))
        found.append(np.split(entries, np.cumsum(sizes[cell])[:-1]))
    return found


def _packed(entries: Entries) -> bytes:
    """Encodes a cell's entries, band after band."""
    if not len(entries):
        return b""
    words = np.ascontiguousarray(entries).view("<u4").reshape(-1, 3)
    columns = [_planes(np.diff(words[:, _UPPER], prepend=np.uint32(0))), _planes(words[:, _OWNER])]
    blocks = [_ZSTD.compress(column, asbytes=True) for column in columns]
    sizes = np.array([[len(column), len(block)] for column, block in zip(columns, blocks, strict=True)], "<u4")
    return b"".join([sizes.tobytes(), *blocks, words[:, _LOWER].tobytes()])


def _unpacked(body: bytes, n: int) -> Entries:
    """Decodes a cell with n entries."""
    words = np.zeros((n, 3), "<u4")
    if n:
        (n_steps, of_steps), (n_owners, of_owners) = np.frombuffer(body, "<u4", 4).reshape(2, 2).tolist()
        at = 16 + of_steps
        steps = _from_planes(_ZSTD.decompress(body[16:at], n_steps, asbytes=True), n)
        np.cumsum(steps, dtype=np.uint32, out=words[:, _UPPER])
        words[:, _OWNER] = _from_planes(_ZSTD.decompress(body[at : at + of_owners], n_owners, asbytes=True), n)
        words[:, _LOWER] = np.frombuffer(body, "<u4", n, at + of_owners)
    return words.view(ENTRY)[:, 0]


def _planes(values: NDArray[np.uint32]) -> bytes:
    """The lowest bytes of all values, then their second bytes …, as far as any value has them."""
    n_planes = -(-int(values.max()).bit_length() // 8)
    bytes_of = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 4)
    return b"".join(bytes_of[:, plane].tobytes() for plane in range(n_planes))


def _from_planes(planes: bytes, n: int) -> NDArray[np.uint32]:
    bytes_of = np.zeros((n, 4), np.uint8)
    for plane, column in enumerate(np.frombuffer(planes, np.uint8).reshape(-1, n)):
        bytes_of[:, plane] = column
    return bytes_of.view("<u4")[:, 0]
