"""Scans indexed hashes for those near a query's, band by band (bands.py).

Query hashes are sorted by group and held in memory. The index, which is far larger, is scanned once, in its order: a
bitmap per band skips hashes that no query can match.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.likeness.bands import (
    CROWD,
    HALF,
    LOW,
    OF_A_CROWD,
    SHIFTS,
    Groups,
    HashQuery,
    Int32,
    Int64,
    Room,
    group_of,
    in_order,
    nth_of_run,
    starts_of_runs,
)
from pipeline.likeness.together import Nearness, are_together
from pipeline.media.phash import NOTHING, Hashes

_AT_A_TIME = 1 << 17
"""Index rows whose groups are looked up at a time: they stay in the processor's cache."""
_PAIRS = 1 << 22
"""Pairs compared at a time."""

_FEW = 8
"""A row is compared with all queries of its slot up to this many, with those of its group beyond."""

_NONE = np.zeros(0, np.int64)
_Some = tuple[Int64, Int64]
"""The columns of _Matches."""


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


class Search:
    """A search: call `scan` for all hashes of the index, in their order, then `found`."""

    def __init__(self, asked: HashQuery, nearness: Nearness) -> None:
        self._asked, self._nearness = asked, nearness
        shifts = SHIFTS if nearness.max_distance else (0,)
        parts = [(bits, np.flatnonzero(asked.bits == bits)) for bits in np.unique(asked.bits).tolist()]
        self._bands = [_Band(asked, rows, shift, bits, nearness) for bits, rows in parts for shift in shifts]
        self._room = Room(_AT_A_TIME)

    def scan(self, hashes: Hashes, owners: Owners) -> None:
        """Takes the hashes of the next items."""
        near = [band.near(hashes, self._maybe(band, hashes), owners) for band in self._bands]
        if self._nearness.apart is not None and near:
            near = self._of_two(hashes, owners, near)
        for band, some_near in zip(self._bands, near, strict=True):
            band.keep(some_near, owners)

    def _maybe(self, band: _Band, hashes: Hashes) -> list[tuple[Int64, Int64]]:
        found = [(_NONE, _NONE)]
        for begin in range(0, len(hashes), _AT_A_TIME):
            rows, slots = band.maybe_near(hashes[begin : begin + _AT_A_TIME], self._room)
            found.append((begin + rows, slots))
        return found

    def found(self) -> Int64:
        """Distinct (index owner << 32 | query owner) of the matches so far."""
        return np.unique(np.concatenate([_NONE, *(band.found() for band in self._bands)]))

    def _of_two(self, hashes: Hashes, owners: Owners, near: Sequence[_Matches]) -> list[_Matches]:
        """Keeps matches whose wholes also match by a second picture."""
        row = np.concatenate([one.row for one in near])
        asked = np.concatenate([band.query_rows(one) for band, one in zip(self._bands, near, strict=True)])
        runs = self._asked.runs
        pairs = owners.wholes_of(row) << HALF | runs[asked]
        each, which = np.unique(pairs, return_inverse=True)
        run = each & LOW
        begins, ends = np.searchsorted(runs, run), np.searchsorted(runs, run, side="right")
        kept = are_together(hashes, owners.spans_of(each >> HALF), self._asked.hashes, (begins, ends), self._nearness)
        of_band = np.split(kept[which], np.cumsum([len(one.row) for one in near])[:-1])
        return [one.part(some) for one, some in zip(near, of_band, strict=True)]


@dataclass(frozen=True, slots=True)
class _Matches:
    """Matches [N]: query index in the band, index row."""

    query: Int64
    row: Int64

    def part(self, kept: NDArray[np.bool_]) -> _Matches:
        return _Matches(self.query[kept], self.row[kept])


class _Band:
    """The query hashes of one band, sorted by group, and their matches so far."""

    def __init__(self, asked: HashQuery, rows: Int64, shift: int, bits: int, nearness: Nearness) -> None:
        hashes = asked.hashes if len(rows) == len(asked.hashes) else asked.hashes[rows]
        order, groups = in_order(group_of(hashes, shift, bits), bits)
        begins = starts_of_runs(groups)
        self._groups = Groups(groups[begins], shift, bits)
        self._begins = np.append(begins, len(rows)).astype(np.int32)
        self._rows = (order if len(rows) == len(asked.hashes) else rows[order]).astype(np.int32)
        self._owners, self._max_distance = asked.owners, nearness.max_distance
        self._hashes = hashes[order]
        self._slot_begins = self._begins[self._groups.first]
        self._only_hash = self._hashes[self._slot_begins[:-1]]
        self._only_hash[np.diff(self._slot_begins) > 1] = NOTHING
        self._n_matches = np.zeros(len(rows), np.uint16)
        self._n_full = np.zeros(len(begins), np.int32)
        self._found = [(_NONE, _NONE)]

    def maybe_near(self, hashes: Hashes, room: Room) -> tuple[Int64, Int64]:
        """(row, slot) of rows near the only query of their slot, and of rows whose slot has several queries."""
        rows, slots = self._groups.asked_for(hashes, room)
        some = hashes.take(rows, mode="clip")
        only = self._only_hash.take(slots, mode="clip")
        maybe = np.flatnonzero(self._is_near(some, only) | (only == NOTHING))
        return rows[maybe], slots[maybe]

    def near(self, hashes: Hashes, maybe: Sequence[tuple[Int64, Int64]], owners: Owners) -> _Matches:
        """Keeps candidates within max_distance of a later query, at most CROWD per query."""
        rows, slots = (np.concatenate(side) for side in zip(*maybe, strict=True))
        begins = self._slot_begins[slots]
        n_queries = self._slot_begins[slots + 1] - begins
        few, many = np.flatnonzero(n_queries <= _FEW), np.flatnonzero(n_queries > _FEW)
        found = [
            *self._of_few(rows[few], begins[few], n_queries[few], hashes, owners),
            *self._of_many(rows[many], slots[many], hashes, owners),
            (_NONE, _NONE),
        ]
        return _Matches(*(np.concatenate(side) for side in zip(*found, strict=True)))

    def _of_few(self, rows: Int64, begins: Int32, n_queries: Int32, hashes: Hashes, owners: Owners) -> Iterator[_Some]:
        """Matches of rows whose slots have few queries; `begins`: the first query of each slot."""
        for first in range(0, len(rows), max(1, _PAIRS // _FEW)):
            some = slice(first, first + max(1, _PAIRS // _FEW))
            query, member = _each_of(begins[some], n_queries[some])
            is_near = np.flatnonzero(self._is_near(hashes[rows[some]][member], self._hashes[query]))
            query, row = query[is_near], rows[some][member[is_near]]
            same = self._groups.of(hashes[row]) == self._groups.of(self._hashes[query])
            yield self._first_ones(query[same], row[same], hashes, owners)

    def _of_many(self, rows: Int64, slots: Int64, hashes: Hashes, owners: Owners) -> Iterator[_Some]:
        """Matches of rows whose slots have many queries."""
        group = self._groups.numbers(hashes[rows], slots)
        rows, group = rows[group >= 0], group[group >= 0]
        some = hashes[rows]
        for query, member in self._pairs(group):
            is_near = self._is_near(some[member], self._hashes[query])
            yield self._first_ones(query[is_near], rows[member[is_near]], hashes, owners)

    def query_rows(self, near: _Matches) -> Int64:
        """[N] the query row of each match, over all bands."""
        return self._rows[near.query].astype(np.int64)

    def keep(self, near: _Matches, owners: Owners) -> None:
        """Records matches."""
        codes = owners.of(near.row) << HALF | self._owners[self.query_rows(near)]
        self._found.append((codes, near.query))

    def found(self) -> Int64:
        """The codes of the matches that count: of a crowd the first ones."""
        codes, query = (np.concatenate(some) for some in zip(*self._found, strict=True))
        order = np.argsort(query, kind="stable")
        query, codes = query[order], codes[order]
        return np.asarray(codes[(self._n_matches[query] < CROWD) | (nth_of_run(query) < OF_A_CROWD)], np.int64)

    def _is_near(self, some: Hashes, others: Hashes) -> NDArray[np.bool_]:
        return np.asarray(np.bitwise_count(some ^ others) <= self._max_distance)

    def _first_ones(self, query: Int64, row: Int64, hashes: Hashes, owners: Owners) -> _Some:
        """(query, row) of matches older than the query and among its first CROWD; counts them."""
        counts = (hashes[row] != NOTHING) & (owners.of(row) < self._owners[self._rows[query]])
        query, row = query[counts], row[counts]
        order = np.argsort(query, kind="stable")
        query, row = query[order], row[order]
        nth = self._n_matches[query].astype(np.int64) + nth_of_run(query)
        is_first = nth < CROWD
        query, row, nth = query[is_first], row[is_first], nth[is_first]
        np.add.at(self._n_matches, query, 1)
        full = query[nth == CROWD - 1].astype(np.int32)
        np.add.at(self._n_full, np.searchsorted(self._begins, full, side="right") - 1, 1)
        return query, row

    def _pairs(self, group: Int64) -> Iterator[tuple[Int64, Int64]]:
        """Yields (query, member) of these groups in chunks; leaves out groups whose queries all have CROWD matches."""
        begins, n_each = self._begins[group], self._begins[group + 1] - self._begins[group]
        ends = np.cumsum(n_each)
        edges = np.searchsorted(ends, np.arange(_PAIRS, ends[-1] if len(ends) else 0, _PAIRS)) + 1
        for member in np.split(np.arange(len(group)), edges):
            member = member[self._n_full[group[member]] < n_each[member]]
            query, of_member = _each_of(begins[member], n_each[member])
            yield query, member[of_member]


def _each_of(begins: Int64 | Int32, n_each: Int64 | Int32) -> tuple[Int64, Int64]:
    """(place, which): the places of ranges laid end to end, and the range that each belongs to."""
    which = np.repeat(np.arange(len(begins)), n_each)
    first = np.cumsum(n_each, dtype=np.int64) - n_each
    return np.arange(len(which)) + (begins - first)[which], which
