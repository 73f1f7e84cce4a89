"""Files of sorted hashes: cell by cell of the highest bits, in each the entries of every band.

Who searches some cells reads their bytes of each file and no others; each cell has a checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.balance.bands import ENTRY, HALF, LEAST_BITS, Entries
from pipeline.engine.files import Files

CELL_BITS = 9
N_CELLS = 1 << CELL_BITS
assert CELL_BITS <= LEAST_BITS, "a group lies in one cell"
_EDGES = np.arange(1, N_CELLS, dtype=np.uint64)


class LostHashes(Exception):
    """A file of hashes is gone or damaged: all of them are made again from the tables."""


@dataclass(frozen=True, slots=True)
class NearFile:
    """One file: the cells `first_cell` … first_cell + n_cells - 1."""

    path: str
    n_bands: int
    first_cell: int
    n_cells: int
    n_bytes: int

    @property
    def cells(self) -> range:
        """Its cells."""
        return range(self.first_cell, self.first_cell + self.n_cells)


def write_cells(files: Files, path: str, cells: Sequence[Sequence[Entries]], first_cell: int = 0) -> NearFile:
    """Writes by cell the entries of each band."""
    bodies = [b"".join(entries.tobytes() for entries in bands) for bands in cells]
    sizes = np.array([[len(entries) for entries in bands] for bands in cells], "<u8")
    head = sizes.tobytes() + np.array([zlib.crc32(body) for body in bodies], "<u4").tobytes()
    data = b"".join([head, np.uint32(zlib.crc32(head)).tobytes(), *bodies])
    files.write(path, data)
    return NearFile(path, sizes.shape[1], first_cell, len(cells), len(data))


def cells_of(bands: Sequence[Entries]) -> list[list[Entries]]:
    """Entries of each band, cut into all cells."""
    edges = _EDGES << np.uint64(HALF - CELL_BITS)
    cut = [np.split(entries, np.searchsorted(entries["key"] >> np.uint64(HALF), edges)) for entries in bands]
    return [[of_band[cell] for of_band in cut] for cell in range(N_CELLS)]


def read_run(files: Files, run: Sequence[NearFile], cells: range) -> list[list[Entries]]:
    """The same of files that together hold all cells."""
    found = []
    for file in run:
        begin, stop = max(cells.start, file.cells.start), min(cells.stop, file.cells.stop)
        if begin < stop:
            found += read_cells(files, file, range(begin, stop))
    return found


def read_cells(files: Files, file: NearFile, cells: range) -> list[list[Entries]]:
    """By cell the entries of each band; `cells` are some of the file's. LostHashes."""
    n_head = file.n_cells * (8 * file.n_bands + 4)
    try:
        head = files.read_range(file.path, 0, n_head + 4)
        if len(head) != n_head + 4 or np.uint32(zlib.crc32(head[:-4])).tobytes() != head[-4:]:
            raise LostHashes(f"{files.url}/{file.path}: is damaged")
        sizes = np.frombuffer(head, "<u8", file.n_cells * file.n_bands).reshape(-1, file.n_bands).astype(np.int64)
        sums = np.frombuffer(head, "<u4", file.n_cells, sizes.nbytes)
        ends = n_head + 4 + np.cumsum(sizes.sum(axis=1)) * ENTRY.itemsize
        begins = np.append(n_head + 4, ends[:-1])
        a, b = cells.start - file.first_cell, cells.stop - file.first_cell
        body = files.read_range(file.path, int(begins[a]), int(ends[b - 1])) if ends[b - 1] > begins[a] else b""
    except FileNotFoundError:
        raise LostHashes(f"{files.url}/{file.path}: is gone") from None
    found = []
    for cell in range(a, b):
        part = body[begins[cell] - begins[a] : ends[cell] - begins[a]]
        if len(part) != ends[cell] - begins[cell] or zlib.crc32(part) != sums[cell]:
            raise LostHashes(f"{files.url}/{file.path}: is damaged")
        entries = np.frombuffer(part, ENTRY)
        found.append(np.split(entries, np.cumsum(sizes[cell])[:-1]))
    return found
