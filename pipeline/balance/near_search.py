"""Looks through filed hashes for those that are near some that are asked for, by groups (bands.py).

What is looked for is sorted by groups and held in memory; what is filed, which is far more, is read through once, in
its order, and needs no index: by one look a band, at a table of bits, most of it turns out to be asked for by nobody.
Others may look through what is before and after: what they find is joined.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.balance.bands import (
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
from pipeline.balance.near_files import Owners
from pipeline.balance.together import Nearness, are_together
from pipeline.media.phash import NOTHING, Hashes

_AT_A_TIME = 1 << 17
"""Filed hashes whose groups are looked up together: they stay in the processor's cache."""
_PAIRS = 1 << 22
"""Pairs that are compared together."""

_FEW = 8
"""Where a slot has so many askers or fewer, all are compared; where it has more, those of the same group."""

_NONE = np.zeros(0, np.int64)
_Some = tuple[Int64, Int64, Int64]
"""The sides of _Near."""


@dataclass(frozen=True, slots=True)
class InBand:
    """What a piece of the filed hashes holds in one band.

    Of near ones [N], in the order of what is filed: `codes` (owner << 32 | owner asked for), the row asked for, and how
    many that are near it are filed before in this piece. Of rows asked for [M] how many are near them here.
    """

    codes: Int64
    asker: Int64
    nth: Int64
    with_near: Int64
    n_near: Int64


class Search:
    """A search among filed hashes: call `look_through` for all of these, in their order, then `piece`."""

    def __init__(self, asked: HashQuery, nearness: Nearness) -> None:
        self._asked, self._nearness = asked, nearness
        shifts = SHIFTS if nearness.max_distance else (0,)
        parts = [(bits, np.flatnonzero(asked.bits == bits)) for bits in np.unique(asked.bits).tolist()]
        self._bands = [_Band(asked, rows, shift, bits, nearness) for bits, rows in parts for shift in shifts]
        self._room = Room(_AT_A_TIME)

    def look_through(self, hashes: Hashes, owners: Owners) -> None:
        """Takes the filed hashes of the next things."""
        maybe: list[list[tuple[Int64, Int64]]] = [[(_NONE, _NONE)] for _ in self._bands]
        for begin in range(0, len(hashes), _AT_A_TIME):
            some = hashes[begin : begin + _AT_A_TIME]
            for of_band, band in zip(maybe, self._bands, strict=True):
                rows, slots = band.maybe_near(some, self._room)
                of_band.append((begin + rows, slots))
        near = [band.near(hashes, of_band, owners) for of_band, band in zip(maybe, self._bands, strict=True)]
        if self._nearness.apart is not None and near:
            near = self._of_two(hashes, owners, near)
        for band, some_near in zip(self._bands, near, strict=True):
            band.keep(some_near, owners)

    def piece(self) -> list[InBand]:
        """What was found, by band."""
        return [band.found() for band in self._bands]

    def _of_two(self, hashes: Hashes, owners: Owners, near: Sequence[_Near]) -> list[_Near]:
        """Those near ones with which another picture of the same whole is near another of the other."""
        row = np.concatenate([one.row for one in near])
        asked = np.concatenate([band.rows_asked(one) for band, one in zip(self._bands, near, strict=True)])
        runs = self._asked.runs
        pairs = owners.wholes_of(row) << HALF | runs[asked]
        each, which = np.unique(pairs, return_inverse=True)
        run = each & LOW
        begins, ends = np.searchsorted(runs, run), np.searchsorted(runs, run, side="right")
        kept = are_together(hashes, owners.spans_of(each >> HALF), self._asked.hashes, (begins, ends), self._nearness)
        of_band = np.split(kept[which], np.cumsum([len(one.row) for one in near])[:-1])
        return [one.part(some) for one, some in zip(near, of_band, strict=True)]


@dataclass(frozen=True, slots=True)
class _Near:
    """Near ones [N]: who asks, by place in the band; the filed row; how many near the asker are filed before it."""

    asker: Int64
    row: Int64
    nth: Int64

    def part(self, kept: NDArray[np.bool_]) -> _Near:
        return _Near(self.asker[kept], self.row[kept], self.nth[kept])


class _Band:
    """What is looked for in one band, sorted by group, and what was found of it."""

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
        self._n_near = np.zeros(len(rows), np.uint16)
        self._n_full = np.zeros(len(begins), np.int32)
        self._found = [(_NONE, _NONE, _NONE)]

    def maybe_near(self, hashes: Hashes, room: Room) -> tuple[Int64, Int64]:
        """(row, slot) of those that are near the only asker of their slot, or whose slot has several."""
        rows = self._groups.asked_for(hashes, room)
        some = hashes.take(rows, mode="clip")
        slots = self._groups.slots_of(some)
        only = self._only_hash.take(slots, mode="clip")
        maybe = np.flatnonzero(self._is_near(some, only) | (only == NOTHING))
        return rows[maybe], slots[maybe]

    def near(self, hashes: Hashes, maybe: Sequence[tuple[Int64, Int64]], owners: Owners) -> _Near:
        """Of what `maybe_near` named, those near an asker that came later: the first CROWD of each."""
        rows, slots = (np.concatenate(side) for side in zip(*maybe, strict=True))
        begins = self._slot_begins[slots]
        n_asked = self._slot_begins[slots + 1] - begins
        few, many = np.flatnonzero(n_asked <= _FEW), np.flatnonzero(n_asked > _FEW)
        found = [
            *self._of_few(rows[few], begins[few], n_asked[few], hashes, owners),
            *self._of_many(rows[many], slots[many], hashes, owners),
            (_NONE, _NONE, _NONE),
        ]
        return _Near(*(np.concatenate(side) for side in zip(*found, strict=True)))

    def _of_few(self, rows: Int64, begins: Int32, n_asked: Int32, hashes: Hashes, owners: Owners) -> Iterator[_Some]:
        """Of rows whose slots have few askers, from these places on, those that are near one of the same group."""
        for first in range(0, len(rows), max(1, _PAIRS // _FEW)):
            some = slice(first, first + max(1, _PAIRS // _FEW))
            asker, member = _each_of(begins[some], n_asked[some])
            is_near = np.flatnonzero(self._is_near(hashes[rows[some]][member], self._hashes[asker]))
            asker, row = asker[is_near], rows[some][member[is_near]]
            same = self._groups.of(hashes[row]) == self._groups.of(self._hashes[asker])
            yield self._first_ones(asker[same], row[same], hashes, owners)

    def _of_many(self, rows: Int64, slots: Int64, hashes: Hashes, owners: Owners) -> Iterator[_Some]:
        """Of rows whose slots have many askers, those that are near one of the same group."""
        group = self._groups.numbers(hashes[rows], slots)
        rows, group = rows[group >= 0], group[group >= 0]
        some = hashes[rows]
        for asker, member in self._pairs(group):
            is_near = self._is_near(some[member], self._hashes[asker])
            yield self._first_ones(asker[is_near], rows[member[is_near]], hashes, owners)

    def rows_asked(self, near: _Near) -> Int64:
        """The row of each near one in all that is asked for."""
        return self._rows[near.asker].astype(np.int64)

    def keep(self, near: _Near, owners: Owners) -> None:
        """Records near ones."""
        codes = owners.of(near.row) << HALF | self._owners[self.rows_asked(near)]
        self._found.append((codes, near.asker, near.nth))

    def found(self) -> InBand:
        codes, asker, nth = (np.concatenate(some) for some in zip(*self._found, strict=True))
        with_near = np.flatnonzero(self._n_near)
        return InBand(codes, asker, nth, with_near, self._n_near[with_near].astype(np.int64))

    def _is_near(self, some: Hashes, others: Hashes) -> NDArray[np.bool_]:
        return np.asarray(np.bitwise_count(some ^ others) <= self._max_distance)

    def _first_ones(self, asker: Int64, row: Int64, hashes: Hashes, owners: Owners) -> _Some:
        """(asker, row, nth) of near ones that came before the asker and are among its first CROWD; counts these."""
        counts = (hashes[row] != NOTHING) & (owners.of(row) < self._owners[self._rows[asker]])
        asker, row = asker[counts], row[counts]
        order = np.argsort(asker, kind="stable")
        asker, row = asker[order], row[order]
        nth = self._n_near[asker].astype(np.int64) + nth_of_run(asker)
        is_first = nth < CROWD
        asker, row, nth = asker[is_first], row[is_first], nth[is_first]
        np.add.at(self._n_near, asker, 1)
        full = asker[nth == CROWD - 1].astype(np.int32)
        np.add.at(self._n_full, np.searchsorted(self._begins, full, side="right") - 1, 1)
        return asker, row, nth

    def _pairs(self, group: Int64) -> Iterator[tuple[Int64, Int64]]:
        """(asker, member) for members of these groups, some at a time, but for groups of which all askers have CROWD
        by then.
        """
        begins, n_each = self._begins[group], self._begins[group + 1] - self._begins[group]
        ends = np.cumsum(n_each)
        edges = np.searchsorted(ends, np.arange(_PAIRS, ends[-1] if len(ends) else 0, _PAIRS)) + 1
        for member in np.split(np.arange(len(group)), edges):
            member = member[self._n_full[group[member]] < n_each[member]]
            asker, of_member = _each_of(begins[member], n_each[member])
            yield asker, member[of_member]


def _each_of(begins: Int64 | Int32, n_each: Int64 | Int32) -> tuple[Int64, Int64]:
    """(place, which) of places that follow each other, so many from each beginning on."""
    which = np.repeat(np.arange(len(begins)), n_each)
    first = np.cumsum(n_each, dtype=np.int64) - n_each
    return np.arange(len(which)) + (begins - first)[which], which


def joined(pieces: Sequence[Sequence[InBand]]) -> Int64:
    """(owner << 32 | owner asked for) of what is near, given pieces of all that is filed, in their order."""
    found = [_joined_band(of_band) for of_band in zip(*pieces, strict=True)]
    return np.unique(np.concatenate([_NONE, *found]))


def _joined_band(pieces: Sequence[InBand]) -> Int64:
    n_near = np.zeros(1 + max(int(one.with_near.max(initial=0)) for one in pieces), np.int64)
    found = []
    for one in pieces:
        is_first = n_near[one.asker] + one.nth < CROWD
        found.append(np.stack([one.asker, one.codes])[:, is_first])
        n_near[one.with_near] += one.n_near
    asker, codes = np.concatenate(found, axis=1)
    order = np.argsort(asker, kind="stable")
    asker, codes = asker[order], codes[order]
    return np.asarray(codes[(n_near[asker] < CROWD) | (nth_of_run(asker) < OF_A_CROWD)], np.int64)
