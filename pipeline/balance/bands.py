"""Near hashes among many, by bands of bits: hashes that agree in one are a group.

Things stand in the order in which they were taken up, and so do the hashes that they are filed by. Each hash that is
looked for is compared with those of earlier things in its group, with the first _CROWD of them; of what is near there
it keeps all, or, where so many came before it, the first two. So what a thing is paired with follows from what came
before it alone, never from what comes after, and a search for new ones leaves the pairs of old ones as they are.

What is looked for is sorted by groups and held in memory; what is filed, which is far more, is read through once, in
its order, and needs no index: a table tells of most hashes, by one look a band, that nobody asks for their groups.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.media.phash import NOTHING, Hashes

SHIFTS = (0, 19, 38)
"""First bits of the bands in the 64 bits; bands of more than 19 bits overlap."""

LEAST_BITS, MOST_BITS = 12, 26
_MEMBERS = 3
"""Groups hold 2 ** (_MEMBERS - 1) to 2 ** _MEMBERS hashes on average, between LEAST_BITS and MOST_BITS."""
ALL_BITS = 64
"""Bits of a group if only equal hashes are near."""

_CROWD = 256
"""A hash is compared with at most so many of its group: a picture that everybody shows tells nothing."""

_OF_A_CROWD = 2
"""Near ones that are kept of a hash that was compared with _CROWD: enough to hold the group together."""

_AT_A_TIME = 1 << 15
"""Filed hashes whose groups are looked up together: they stay in the processor's cache."""
_WAITING = 1 << 20
"""Filed hashes of groups that are looked for are compared when there are so many."""
_PAIRS = 1 << 22
"""Pairs that are compared together."""

HALF = 32
LOW = (1 << HALF) - 1

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """Hashes to look for [N], with the owner of each and the number of bits in which its group agrees."""

    hashes: Hashes
    owners: Int64
    bits: NDArray[np.uint8]

    def part(self, rows: Int64 | NDArray[np.bool_]) -> Asked:
        """Those of these rows."""
        return Asked(self.hashes[rows], self.owners[rows], self.bits[rows])


def bits_of(n_before: Int64) -> NDArray[np.uint8]:
    """[N] the number of bits in which a group agrees if this many hashes came before; it leaves a few in each group."""
    bit_length = np.frexp(n_before.astype(np.float64))[1]
    return np.asarray(np.clip(bit_length - _MEMBERS, LEAST_BITS, MOST_BITS).astype(np.uint8))


def group_of(hashes: Hashes, shift: int, bits: int) -> Hashes:
    """[N] the group of each hash: its `bits` bits from bit `shift` on, as a number."""
    turned = hashes << np.uint64(shift) if shift else hashes
    return turned >> np.uint64(64 - bits)


class Search:
    """A search among filed hashes: call `look` for all of these, in their order, then `found`."""

    def __init__(self, asked: Asked, max_distance: int) -> None:
        shifts = SHIFTS if max_distance else (0,)
        parts = [(bits, asked.part(asked.bits == bits)) for bits in np.unique(asked.bits).tolist()]
        self._bands = [_Band(part, shift, bits, max_distance) for bits, part in parts for shift in shifts]

    def look(self, hashes: Hashes, owners: Owners) -> None:
        """Takes the next filed hashes."""
        for begin in range(0, len(hashes), _AT_A_TIME):
            some = hashes[begin : begin + _AT_A_TIME]
            for band in self._bands:
                band.look(some, begin, owners)

    def compare(self) -> None:
        """Compares what `look` has set aside; `found` does it too."""
        for band in self._bands:
            band.compare()

    def found(self) -> Int64:
        """(owner << 32 | owner asked for) of hashes near one of those asked for."""
        return np.unique(np.concatenate([np.zeros(0, np.int64), *(band.found() for band in self._bands)]))


@dataclass(frozen=True, slots=True)
class Owners:
    """Owners of a file's hashes: rows ends[i - 1] … ends[i] - 1 are of thing `first` + i."""

    first: int
    ends: Int64

    def of(self, rows: Int64) -> Int64:
        """The number of the thing of each row."""
        return self.first + np.searchsorted(self.ends, rows, side="right")


class _Band:
    """What is looked for in one band, and what was found of it."""

    def __init__(self, asked: Asked, shift: int, bits: int, max_distance: int) -> None:
        self._shift, self._bits, self._max_distance = shift, bits, max_distance
        groups = group_of(asked.hashes, shift, bits)
        order = np.argsort(groups, kind="stable")
        self._asked = asked.part(order)
        self._groups, begins = np.unique(groups[order], return_index=True)
        self._begins = np.append(begins, len(order))
        self._filter_bits = min(bits, MOST_BITS, len(self._groups).bit_length() + 5)
        self._is_asked = np.zeros(1 << self._filter_bits, np.bool_)
        self._is_asked[(self._groups >> np.uint64(bits - self._filter_bits)).view(np.int64)] = True
        self._n_members = np.zeros(len(self._groups), np.int64)
        self._n_earlier = np.zeros(len(order), np.int64)
        self._waiting: list[tuple[Hashes, Int64]] = []
        self._n_waiting = 0
        self._near: list[tuple[Int64, Int64]] = []

    def look(self, hashes: Hashes, first_row: int, owners: Owners) -> None:
        beginnings = group_of(hashes, self._shift, self._filter_bits).view(np.int64)
        rows = np.flatnonzero(self._is_asked.take(beginnings, mode="clip"))
        if not len(rows):
            return
        self._waiting.append((hashes[rows], owners.of(first_row + rows)))
        self._n_waiting += len(rows)
        if self._n_waiting >= _WAITING:
            self.compare()

    def found(self) -> Int64:
        self.compare()
        asker, owner = (np.concatenate([np.zeros(0, np.int64), *some]) for some in zip(*self._near, strict=True))
        order = np.argsort(asker, kind="stable")
        asker, owner = asker[order], owner[order]
        kept = (self._n_earlier[asker] < _CROWD) | (_nth_of_run(asker) < _OF_A_CROWD)
        return np.unique(owner[kept] << HALF | self._asked.owners[asker[kept]])

    def compare(self) -> None:
        hashes = np.concatenate([np.zeros(0, np.uint64), *(some for some, _ in self._waiting)])
        owners = np.concatenate([np.zeros(0, np.int64), *(some for _, some in self._waiting)])
        self._waiting, self._n_waiting = [], 0
        shows = hashes != NOTHING
        hashes, owners = hashes[shows], owners[shows]
        group, rows = self._members(hashes)
        hashes, owners = hashes[rows], owners[rows]
        for asker, member in self._pairs(group):
            is_earlier = owners[member] < self._asked.owners[asker]
            asker, member = asker[is_earlier], member[is_earlier]
            self._n_earlier += np.bincount(asker, minlength=len(self._n_earlier))
            near = np.bitwise_count(hashes[member] ^ self._asked.hashes[asker]) <= self._max_distance
            self._near.append((asker[near], owners[member[near]]))

    def _members(self, hashes: Hashes) -> tuple[Int64, Int64]:
        """(group, row) of the hashes that are among the first _CROWD of a group, by group, then in their order."""
        groups = group_of(hashes, self._shift, self._bits)
        order = np.argsort(groups, kind="stable")
        group = np.searchsorted(self._groups, groups[order])
        is_asked = self._groups.take(group, mode="clip") == groups[order] if len(self._groups) else group < 0
        order, group = order[is_asked], group[is_asked]
        is_first = self._n_members[group] + _nth_of_run(group) < _CROWD
        group = group[is_first]
        self._n_members += np.bincount(group, minlength=len(self._n_members))
        return group, order[is_first]

    def _pairs(self, group: Int64) -> Iterator[tuple[Int64, Int64]]:
        """(asker, member) for members of these groups, some at a time; each asker's members stay in order."""
        n_each = self._begins[group + 1] - self._begins[group]
        ends = np.cumsum(n_each)
        edges = np.searchsorted(ends, np.arange(_PAIRS, ends[-1] if len(ends) else 0, _PAIRS)) + 1
        for member in np.split(np.arange(len(group)), edges):
            n = n_each[member]
            asker = np.repeat(self._begins[group[member]] - (np.cumsum(n) - n), n) + np.arange(n.sum())
            yield asker, np.repeat(member, n)


def _nth_of_run(values: Int64) -> Int64:
    """[N] how many equal values stand directly before each."""
    if not len(values):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
