"""Where the rows of each video are in segments: sorted hashes of ids, of which a request reads what it needs.

    segments/<stage>/<id>/ids.bin    of a segment, written with it
    segments/ids/<id>/ids.bin        of many; the head tells for each segment which file has its entries

An entry stands for consecutive rows of a segment's table, all of one unit, whose video id has this hash.
Hashes are evenly distributed, so an entry's position in the sorted file is known roughly: only that window is read.
Entries of a segment that no longer exists are ignored. The reader of the rows compares the ids in full.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.hashing import hash_texts
from manifests.schema import TABLES
from pipeline.engine.store.files import Files

NAME = "ids.bin"
ENTRY = np.dtype(
    [("hash", "<u8"), ("segment", "<u8"), ("first", "<u4"), ("n_rows", "<u2"), ("table", "u1"), ("spare", "u1")]
)
Entries = NDArray[Any]
"""[N] of ENTRY, sorted by hash."""

TABLES_WITH_IDS = (*(table for table, schema in TABLES.items() if "video_id" in schema.names), "rejects")
"""An entry names a table by its index here: a change is another LAYOUT_VERSION (manifests/version.py)."""

MOST_ROWS = 2**16 - 1
WHOLE_BYTES = 1 << 18
"""Files up to this size in bytes are read whole."""
WINDOW = 6.0
"""Half the size of the window read around the expected index, in square roots of the number of entries."""
AT_A_TIME = 1 << 20
"""Entries of each file held in memory while files are merged."""


def entries_of(segment: str, table: str, video_ids: pa.Array, first: int, units: Sequence[int]) -> Entries:
    """Entries for rows of a table that begin at row `first` of its file. `units`: the number of rows of each unit in
    turn.
    """
    hashes = hash_texts(video_ids, 0)
    begins = np.ones(len(hashes), np.bool_)
    begins[1:] = hashes[1:] != hashes[:-1]
    bounds = np.cumsum(np.asarray(units, np.int64))[:-1]
    begins[bounds[bounds < len(hashes)]] = True
    at = np.flatnonzero(begins)
    sizes = np.diff(np.append(at, len(hashes)))
    n_pieces = -(-sizes // MOST_ROWS)
    piece = np.arange(int(n_pieces.sum())) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    made = np.zeros(len(piece), ENTRY)
    made["hash"] = np.repeat(hashes[at], n_pieces)
    made["segment"] = np.uint64(int(segment, 16))
    made["first"] = first + np.repeat(at, n_pieces) + piece * MOST_ROWS
    made["n_rows"] = np.minimum(np.repeat(sizes, n_pieces) - piece * MOST_ROWS, MOST_ROWS)
    made["table"] = TABLES_WITH_IDS.index(table)
    return made


def sorted_entries(pieces: Sequence[Entries]) -> Entries:
    """All entries, sorted as in a file."""
    whole = np.concatenate([np.zeros(0, ENTRY), *pieces])
    order: Entries = whole[np.lexsort((whole["first"], whole["table"], whole["segment"], whole["hash"]))]
    return order


def hash_of(video_id: str) -> int:
    """The hash of an id."""
    return int(hash_texts(pa.array([video_id], pa.string()), 0)[0])


def entries_with(files: Files, path: str, n_entries: int, wanted: int) -> Entries:
    """Reads the entries with a given hash from a file."""
    size = ENTRY.itemsize
    half = int(WINDOW * math.sqrt(n_entries)) + 1 if n_entries * size > WHOLE_BYTES else n_entries
    likely = (wanted * n_entries) >> 64
    while True:
        low, high = max(0, likely - half), min(n_entries, likely + half)
        window = np.frombuffer(files.read_range(path, low * size, high * size), ENTRY)
        begins = low == 0 or int(window["hash"][0]) < wanted
        ends = high == n_entries or int(window["hash"][-1]) > wanted
        if begins and ends:
            key = np.uint64(wanted)
            return window[np.searchsorted(window["hash"], key) : np.searchsorted(window["hash"], key, side="right")]
        half *= 4


class _Source:
    """A sorted file read from start to end."""

    def __init__(self, files: Files, path: str, n_entries: int) -> None:
        self._files, self._path, self._n = files, path, n_entries
        self._at = 0
        self._held = np.zeros(0, ENTRY)

    def up_to(self, bound: int) -> list[Entries]:
        """The entries not returned yet whose hash is below a bound."""
        pieces = []
        while True:
            below = self._held["hash"] < np.uint64(bound) if bound < 1 << 64 else np.ones(len(self._held), np.bool_)
            cut = int(below.sum())
            pieces.append(self._held[:cut])
            self._held = self._held[cut:]
            if len(self._held) or self._at >= self._n:
                return pieces
            end = min(self._n, self._at + AT_A_TIME)
            data = self._files.read_range(self._path, self._at * ENTRY.itemsize, end * ENTRY.itemsize)
            self._held, self._at = np.frombuffer(data, ENTRY), end


def merge_files(files: Files, sources: Sequence[tuple[str, int]], live: set[str], out: BinaryIO) -> int:
    """Merges several (path, entries) into one sorted file, without the entries of segments that are not `live`.

    Returns how many it wrote. Holds at most AT_A_TIME entries of each file in memory.
    """
    named = np.array(sorted(int(name, 16) for name in live), np.uint64)
    n_written = 0
    for entries in _by_ranges([_Source(files, path, n) for path, n in sources], sum(n for _, n in sources)):
        kept = entries[np.isin(entries["segment"], named)]
        out.write(kept.tobytes())
        n_written += len(kept)
    return n_written


def _by_ranges(sources: Sequence[_Source], n_entries: int) -> Iterator[Entries]:
    n_ranges = -(-n_entries // AT_A_TIME) or 1
    for number in range(1, n_ranges + 1):
        bound = (number << 64) // n_ranges
        yield sorted_entries([piece for source in sources for piece in source.up_to(bound)])
