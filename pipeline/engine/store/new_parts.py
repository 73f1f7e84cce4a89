"""Which units of a table are new since the last look, so that nothing is walked twice: 8 bytes for each unit seen."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.hashing import UInt64, hash_texts
from manifests.membership import are_in, distinct
from pipeline.engine.store.commits import part_name
from pipeline.engine.store.unit_parts import Part

if TYPE_CHECKING:
    from pipeline.engine.store.segments import Head, Segment
    from pipeline.engine.store.store import Store


def hash_units(stage: str, units: pa.Array) -> UInt64:
    """[N] the hashes of a stage's units."""
    return hash_texts(units.cast(pa.string()), zlib.crc32(stage.encode()))


class KnownUnits:
    """A set of units, by hash, to which many are added at a time."""

    def __init__(self) -> None:
        self._runs: list[UInt64] = []  # each ascending, and at least twice as long as the next

    def add(self, names: UInt64) -> None:
        """Adds units."""
        if not len(names):
            return
        self._runs.append(np.sort(names))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs.append(distinct(np.concatenate([self._runs.pop(), self._runs.pop()])))

    def are_new(self, names: UInt64) -> NDArray[np.bool_]:
        """[N] whether each unit is not in the set."""
        is_new = np.ones(len(names), np.bool_)
        for run in self._runs:
            is_new &= ~are_in(run, names)
        return is_new


class NewParts:
    """The parts of a table committed since the last look: each once, wherever its rows are by then.

    `folder`: a table, or the rows that one stage wrote in it (`clips/clips`). A look reads the commits that are
    in no segment, and of segments only those that were made since the last look.
    """

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._known = KnownUnits()
        self._segments: set[str] = set()

    def new(self) -> list[Part]:
        """The new parts, in the order of their names."""
        parts, segments, names = self._store.steadily(self._look)
        self._known.add(names)
        self._segments = segments
        return sorted(parts, key=lambda part: part_name(part.stage, part.unit))

    def _look(self, head: Head) -> tuple[list[Part], set[str], UInt64]:
        self._store.segments.follow(head)
        table, segments = self._store.segments_of(head, self._folder)
        unread = [segment for segment in segments if segment.id not in self._segments]
        self._store.segments.load(unread)
        parts = [part for segment in unread for part in self._new_of(segment, table)]
        loose = self._store.loose_parts(head, self._folder)
        is_new = self._known.are_new(hashes_of(loose))
        parts += [part for part, new in zip(loose, is_new.tolist(), strict=True) if new]
        return parts, {segment.id for segment in segments}, hashes_of(parts)

    def _new_of(self, segment: Segment, table: str) -> list[Part]:
        units = self._store.segments.live(segment)
        n_rows = units.column(f"n:{table}").to_numpy()
        is_new = self._known.are_new(hash_units(segment.stage, units.column("unit").combine_chunks())) & (n_rows > 0)
        rows = np.flatnonzero(is_new)
        names = units.column("unit").take(pa.array(rows)).to_pylist()
        first = units.column(f"first:{table}").to_numpy()[rows]
        path = segment.path(table)
        return [
            Part(segment.stage, name, path, begin, n)
            for name, begin, n in zip(names, first.tolist(), n_rows[rows].tolist(), strict=True)
        ]


def hashes_of(parts: list[Part]) -> UInt64:
    """[N] the hashes of the units of parts, a stage's at once."""
    hashes = np.zeros(len(parts), np.uint64)
    stages = np.array([part.stage for part in parts])
    for stage in {part.stage for part in parts}:
        rows = np.flatnonzero(stages == stage)
        hashes[rows] = hash_units(stage, pa.array([parts[row].unit for row in rows]))
    return hashes
