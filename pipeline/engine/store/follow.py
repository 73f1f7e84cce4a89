"""What was committed of a table since the last look: each unit's rows come once, wherever they are by then.

A driver that plans repeatedly keeps a follower per table. It remembers 8 bytes per unit and which segments it has
read completely, so that a look at a table with nothing new reads no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.parallel import ahead, side_by_side
from manifests.schema import REJECTS, TABLES, completed
from pipeline.engine.store.commits import part_name
from pipeline.engine.store.new_parts import KnownUnits, hash_units, hashes_of
from pipeline.engine.store.ranges import FETCH_BYTES, SegmentRows
from pipeline.engine.store.segments import MAX_MOVED, Head, Segment
from pipeline.engine.store.unit_parts import Part

if TYPE_CHECKING:
    from pipeline.engine.store.store import Store

Rows = NDArray[np.int64]

PARTS_AT_A_TIME = 200
"""Parts of single units read before their rows are handed on."""
PART = "part"
FETCHED_PIECE_BYTES = 4 * 1024**2
"""Bytes in memory of a piece that needs no request of its own."""
MOST_SPANS = 8
"""If a segment has more separate spans of new rows than this, all its rows are read."""


@dataclass(frozen=True, slots=True)
class _New:
    """What is new in a segment. `names`, `units`, `first`, `end` [N]: its new units, by hash and name; their rows."""

    names: NDArray[np.uint64]
    units: pa.ChunkedArray
    first: Rows
    end: Rows
    spans: list[tuple[int, int]]
    opened: SegmentRows | None = None
    is_fetched: bool = False


class Follower:
    """See the module docstring. `table`: a name in TABLES, or `rejects` for those of all stages.

    `wanted`: tells for an array of video ids [N] whether rows of each are wanted. Of a segment's piece with no wanted
    id only the ids are read; of any other piece all rows are returned.

    `named`: adds the column PART, the name by which a table's parts are ordered: of rows that say different things of
    the same clip, those of the last part count.
    """

    def __init__(
        self,
        store: Store,
        table: str,
        columns: Sequence[str],
        wanted: Callable[[pa.ChunkedArray], NDArray[np.bool_]] | None = None,
        *,
        named: bool = False,
    ) -> None:
        self._wanted, self._named = wanted, named
        self._store, self._table, self._columns = store, table, list(columns)
        schema = REJECTS if table == "rejects" else TABLES[table]
        self._schema = pa.schema([schema.field(name) for name in columns])
        self._known = KnownUnits()
        self._segments: set[str] = set()

    def new(self) -> Iterator[pa.Table]:
        """Yields the rows of units committed since the last call, one file's at a time, in no particular order.

        Rows that a merge moves meanwhile come once; files that it removed are looked for again in their new place.
        """
        for _ in range(MAX_MOVED):
            head, seen = self._store.head()
            try:
                yield from self._look(head)
            except FileNotFoundError:
                self._store.look_again()
                continue
            if self._store.head()[1] == seen:
                return
        yield from self._look(self._store.head()[0])

    def _look(self, head: Head) -> Iterator[pa.Table]:
        self._store.segments.follow(head)
        segments = [it for it in head.segments if it.rows.get(self._table) and head.counts(self._table, it.stage)]
        unread = [segment for segment in segments if segment.id not in self._segments]
        for segment, new in ahead(self._new_of, unread, self._most_bytes):
            yield from self._read_segment(segment, new)
            self._segments.add(segment.id)
        self._segments &= {segment.id for segment in segments}
        parts = self._store.loose_parts(head, self._table)
        for some in (parts[i : i + PARTS_AT_A_TIME] for i in range(0, len(parts), PARTS_AT_A_TIME)):
            names = hashes_of(some)
            is_new = self._known.are_new(names)
            tables = side_by_side(self._read, compress(some, is_new.tolist()))
            self._known.add(names[is_new])
            yield from tables

    def _most_bytes(self, segment: Segment) -> int:
        """The most that is fetched ahead of a segment's rows."""
        path = segment.path(self._table).rpartition("/")[2]
        return min(segment.sizes.get(path, FETCH_BYTES), FETCH_BYTES)

    def _new_of(self, segment: Segment) -> _New:
        """What is new in a segment, with its bytes fetched: of ids alone, where only some ids are wanted."""
        units = self._store.segments.live(segment)
        names = hash_units(segment.stage, units.column("unit").combine_chunks())
        first, n_rows = (units.column(f"{what}:{self._table}").to_numpy() for what in ("first", "n"))
        is_new = self._known.are_new(names) & (n_rows > 0)
        first, end = first[is_new], (first + n_rows)[is_new]
        new = _New(names[is_new], units.column("unit").filter(pa.array(is_new)), first, end, _spans_of(first, end))
        if not new.spans:
            return new
        columns = ["video_id"] if self._wanted else self._columns
        opened, is_fetched = self._store.opened(self._part(segment, new.spans[0]), new.spans, columns)
        return replace(new, opened=opened, is_fetched=is_fetched)

    def _part(self, segment: Segment, span: tuple[int, int]) -> Part:
        return Part(segment.stage, "", segment.path(self._table), *span)

    def _read_segment(self, segment: Segment, new: _New) -> Iterator[pa.Table]:
        """Yields the rows of a segment's new units piece by piece; each unit's are in one piece, since row groups hold
        whole units.
        """
        n_read = 0
        try:
            for stop, rows in self._read_spans(segment, new):
                n_read = int(np.searchsorted(new.first, stop))
                if self._named:
                    owners = np.searchsorted(new.first, rows.column(PART).to_numpy(), side="right") - 1
                    rows = _named(rows, segment.stage, new.units, owners)
                yield rows
        finally:
            self._known.add(new.names[:n_read])

    def _read_spans(self, segment: Segment, new: _New) -> Iterator[tuple[int, pa.Table]]:
        """Yields (row after the last read, the wanted rows before it), piece by piece."""
        is_wanted = _mask_of(new.first, new.end, segment.rows[self._table])
        piece_bytes = FETCHED_PIECE_BYTES if new.is_fetched and not self._wanted else 0
        for span in new.spans:
            part = self._part(segment, span)
            if not self._wants(part, new.opened):
                continue
            for piece in self._store.pieces(part, self._columns, piece_bytes, new.opened):
                stop = piece.first + piece.n_rows
                if self._wanted is None or self._wanted(piece.read(["video_id"]).column("video_id")).any():
                    rows = completed(piece.read(self._columns), self._schema)
                    if self._named:
                        rows = rows.append_column(PART, pa.array(np.arange(piece.first, stop)))
                    mask = is_wanted[piece.first : stop]
                    yield stop, rows if mask.all() else rows.filter(pa.array(mask))

    def _wants(self, part: Part, opened: SegmentRows | None) -> bool:
        """Whether any row of a part is wanted. Of most parts none is: they are not opened for more than their ids."""
        if self._wanted is None:
            return True
        pieces = self._store.pieces(part, ["video_id"], 0, opened)
        return any(self._wanted(piece.read(["video_id"]).column("video_id")).any() for piece in pieces)

    def _read(self, part: Part) -> pa.Table:
        rows = completed(self._store.read_part(part, self._columns), self._schema)
        if not self._named:
            return rows
        return _named(rows.append_column(PART, pa.nulls(rows.num_rows)), part.stage, pa.array([part.unit]), None)


def _named(rows: pa.Table, stage: str, units: pa.Array | pa.ChunkedArray, owners: Rows | None) -> pa.Table:
    """The rows with the names of their parts. `owners` [N]: the unit of each row; None: the first."""
    some = np.zeros(rows.num_rows, np.int64) if owners is None else owners
    used, which = np.unique(some, return_inverse=True)
    names = pa.array([part_name(stage, unit) for unit in units.take(pa.array(used)).to_pylist()], pa.string())
    at = rows.schema.get_field_index(PART)
    return rows.set_column(at, PART, names.take(pa.array(which)))


def _spans_of(first: Rows, end: Rows) -> list[tuple[int, int]]:
    """(first row, rows) of what is to be read, of units with rows from `first` to `end`."""
    if not len(first):
        return []
    breaks = np.flatnonzero(first[1:] != end[:-1]) + 1
    begins, ends = first[np.append(0, breaks)], end[np.append(breaks - 1, len(end) - 1)]
    if len(begins) > MOST_SPANS:
        begins, ends = begins[:1], ends[-1:]
    return [(begin, stop - begin) for begin, stop in zip(begins.tolist(), ends.tolist(), strict=True)]


def _mask_of(first: Rows, end: Rows, n_rows: int) -> NDArray[np.bool_]:
    """[n_rows] which rows are those from `first` to `end` of a unit."""
    edges = np.zeros(n_rows + 1, np.int8)
    np.add.at(edges, first, 1)
    np.add.at(edges, end, -1)
    return np.asarray(np.cumsum(edges[:-1], dtype=np.int8) > 0)
