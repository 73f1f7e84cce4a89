"""What was committed of a table since the last look: each unit's rows come once, wherever they lie by then.

A driver that plans again and again keeps one follower a table. It remembers 8 bytes a unit and which segments it has
read to the end, so that a look at a table in which nothing is new costs no file.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.hashing import hash_texts
from manifests.schema import REJECTS, TABLES, completed
from pipeline.engine.segments import Head, Segment
from pipeline.engine.store import Part, Store

MOST_SPANS = 8
"""Of a segment with more separate spans of new rows than this, all rows are read."""


@dataclass(slots=True)
class _Look:
    """What one look found."""

    tables: list[pa.Table] = field(default_factory=list)
    units: list[NDArray[np.uint64]] = field(default_factory=list)
    segments: set[str] = field(default_factory=set)


class Follower:
    """See the module. `table`: one of TABLES, or `rejects` for those of all stages."""

    def __init__(self, store: Store, table: str, columns: Sequence[str]) -> None:
        self._store, self._table, self._columns = store, table, list(columns)
        schema = REJECTS if table == "rejects" else TABLES[table]
        self._schema = pa.schema([schema.field(name) for name in columns])
        self._units = np.zeros(0, np.uint64)
        self._segments: set[str] = set()

    def new(self) -> list[pa.Table]:
        """The rows of units that were committed since the last call, in no promised order."""
        look = self._store.steadily(self._look)
        self._units = np.unique(np.concatenate([self._units, *look.units]))
        self._segments = look.segments
        return look.tables

    def _look(self, head: Head) -> _Look:
        look = _Look()
        self._store.segments.follow(head)
        for segment in head.segments:
            if segment.rows.get(self._table):
                look.segments.add(segment.id)
                if segment.id not in self._segments:
                    self._read_segment(segment, look)
        for part in self._loose(head):
            name = _hashes(part.stage, pa.array([part.unit]))
            if not self._is_known(name)[0]:
                look.units.append(name)
                look.tables.append(self._read(part))
        return look

    def _loose(self, head: Head) -> list[Part]:
        if self._table != "rejects":
            return self._store.loose_parts(head, self._table)
        stages = self._store.folders("rejects")
        return [part for stage in stages for part in self._store.loose_parts(head, f"rejects/{stage}")]

    def _read_segment(self, segment: Segment, look: _Look) -> None:
        units = self._store.segments.live(segment)
        names = _hashes(segment.stage, units.column("unit").combine_chunks())
        first, n_rows = (units.column(f"{what}:{self._table}").to_numpy() for what in ("first", "n"))
        is_new = ~self._is_known(names) & (n_rows > 0)
        if not is_new.any():
            return
        look.units.append(names[is_new])
        first, end = first[is_new], first[is_new] + n_rows[is_new]
        breaks = np.flatnonzero(first[1:] != end[:-1]) + 1
        begins, ends = first[np.append(0, breaks)], end[np.append(breaks - 1, len(end) - 1)]
        path = segment.path(self._table)
        if len(begins) <= MOST_SPANS:
            spans = zip(begins.tolist(), ends.tolist(), strict=True)
            look.tables += [self._read(Part(segment.stage, "", path, a, b - a)) for a, b in spans]
            return
        rows = self._read(Part(segment.stage, "", path, 0, segment.rows[self._table]))
        wanted = np.zeros(rows.num_rows + 1, np.int64)
        np.add.at(wanted, begins, 1)
        np.add.at(wanted, ends, -1)
        look.tables.append(rows.filter(pa.array(np.cumsum(wanted[:-1]) > 0)))

    def _read(self, part: Part) -> pa.Table:
        return completed(self._store.read_part(part, self._columns), self._schema)

    def _is_known(self, names: NDArray[np.uint64]) -> NDArray[np.bool_]:
        if not len(self._units):
            return np.zeros(len(names), np.bool_)
        index = np.minimum(np.searchsorted(self._units, names), len(self._units) - 1)
        return np.asarray(self._units[index] == names)


def _hashes(stage: str, units: pa.Array) -> NDArray[np.uint64]:
    return hash_texts(units.cast(pa.string()), zlib.crc32(stage.encode()))
