"""Near hashes among many, by bands of bits: hashes that agree in one are a group.

Things stand in the order in which they were added, and so do the hashes that they are filed by. Each hash that is
looked for is compared with those of earlier things in its group, with the first _CROWD of them; of what is near there
it keeps all, or, where so many came before it, the first two. So what a thing is paired with follows from what came
before it alone, never from what comes after, and a search for new ones leaves the pairs of old ones as they are.

What is looked for is sorted by groups and held in memory; what is filed, which is far more, is read through once, in
its order, and needs no index: a bit for each possible group tells, by one look a band, whether anybody asks for it.
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
_PAIRS = 1 << 22
"""Pairs that are compared together."""

HALF = 32
LOW = (1 << HALF) - 1

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HashQuery:
    """Hashes to look for [N], with the owner of each and the number of bits in which its group agrees."""

    hashes: Hashes
    owners: Int64
    bits: NDArray[np.uint8]

    def part(self, rows: Int64 | NDArray[np.bool_]) -> HashQuery:
        """Those of these rows."""
        return HashQuery(self.hashes[rows], self.owners[rows], self.bits[rows])


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

    def __init__(self, asked: HashQuery, max_distance: int) -> None:
        shifts = SHIFTS if max_distance else (0,)
        parts = [(bits, asked.part(asked.bits == bits)) for bits in np.unique(asked.bits).tolist()]
        self._bands = [_Band(part, shift, bits, max_distance) for bits, part in parts for shift in shifts]

    def look(self, hashes: Hashes, owners: Owners) -> None:
        """Takes the filed hashes of the next things."""
        rows: list[list[Int64]] = [[np.zeros(0, np.int64)] for _ in self._bands]
        for begin in range(0, len(hashes), _AT_A_TIME):
            some = hashes[begin : begin + _AT_A_TIME]
            for of_band, band in zip(rows, self._bands, strict=True):
                of_band.append(begin + band.asked_for(some))
        for of_band, band in zip(rows, self._bands, strict=True):
            band.compare(hashes, np.concatenate(of_band), owners)

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

    def are_before(self, thing: int) -> bool:
        """Whether all of them are numbered below this."""
        return self.first + len(self.ends) <= thing


class _Groups:
    """Groups that are asked for, numbered in their order.

    A table has a bit for each possible group, and the number of a group is that of the bits set before its own. Of
    groups of more than MOST_BITS the table holds the beginnings.
    """

    def __init__(self, groups: Hashes, shift: int, bits: int) -> None:
        self._groups, self._shift, self._bits = groups, shift, bits
        self._table_bits = min(bits, MOST_BITS)
        is_asked = np.zeros(1 << self._table_bits, np.bool_)
        is_asked[(groups >> np.uint64(bits - self._table_bits)).view(np.int64)] = True
        self._table = np.packbits(is_asked, bitorder="little")
        self._words = self._table.view("<u8")
        n_set = np.bitwise_count(self._words)
        self._n_before = np.cumsum(n_set, dtype=np.int64) - n_set

    def asked_for(self, hashes: Hashes) -> Int64:
        """The rows of hashes of groups that are asked for, or that begin like one."""
        turned = hashes << np.uint64(self._shift) if self._shift else hashes
        byte = (turned >> np.uint64(64 - self._table_bits + 3)).view(np.int64)
        bit = (turned >> np.uint64(64 - self._table_bits)).astype(np.uint8) & 7
        return np.flatnonzero((self._table.take(byte, mode="clip") >> bit & 1).view(np.bool_))

    def numbers(self, hashes: Hashes) -> Int64:
        """[N] the number of the group of each of some hashes that `asked_for` named; -1 if it only begins like one."""
        groups = group_of(hashes, self._shift, self._bits)
        if self._bits > MOST_BITS:
            number = np.searchsorted(self._groups, groups)
            return np.where(self._groups.take(number, mode="clip") == groups, number, -1)
        word = (groups >> np.uint64(6)).view(np.int64)
        below = (np.uint64(1) << (groups & np.uint64(63))) - np.uint64(1)
        return np.asarray(self._n_before[word] + np.bitwise_count(self._words[word] & below))


class _Band:
    """What is looked for in one band, and what was found of it."""

    def __init__(self, asked: HashQuery, shift: int, bits: int, max_distance: int) -> None:
        self._max_distance = max_distance
        groups = group_of(asked.hashes, shift, bits)
        order = _order_of(groups, bits)
        self._asked, groups = asked.part(order), groups[order]
        begins = _starts_of_runs(groups)
        self._groups = _Groups(groups[begins], shift, bits)
        self._begins = np.append(begins, len(groups))
        self._first_asker = int(asked.owners.min(initial=LOW))
        self._n_members = np.zeros(len(begins), np.int64)
        self._n_old: Int64 | None = None
        self._n_new = np.zeros(len(order), np.int64)
        self._near = [(np.zeros(0, np.int64), np.zeros(0, np.int64))]

    def asked_for(self, hashes: Hashes) -> Int64:
        return self._groups.asked_for(hashes)

    def compare(self, hashes: Hashes, rows: Int64, owners: Owners) -> None:
        """Compares the rows of filed hashes that `asked_for` named."""
        are_old = owners.are_before(self._first_asker)
        if not are_old and self._n_old is None:
            self._n_old = self._n_members.copy()
        rows = rows[hashes[rows] != NOTHING]
        group = self._groups.numbers(hashes[rows])
        is_first = self._are_first(group)
        rows, group = rows[is_first], group[is_first]
        for asker, member in self._pairs(group):
            row = rows[member]
            if not are_old:
                is_earlier = owners.of(row) < self._asked.owners[asker]
                asker, row = asker[is_earlier], row[is_earlier]
                self._n_new += np.bincount(asker, minlength=len(self._n_new))
            near = np.bitwise_count(hashes[row] ^ self._asked.hashes[asker]) <= self._max_distance
            self._near.append((asker[near], owners.of(row[near])))

    def found(self) -> Int64:
        """(owner << 32 | owner asked for) of near ones."""
        asker, owner = (np.concatenate(some) for some in zip(*self._near, strict=True))
        order = np.argsort(asker, kind="stable")
        asker, owner = asker[order], owner[order]
        n_old = self._n_members if self._n_old is None else self._n_old
        n_earlier = n_old[np.searchsorted(self._begins, asker, side="right") - 1] + self._n_new[asker]
        kept = (n_earlier < _CROWD) | (_nth_of_run(asker) < _OF_A_CROWD)
        return np.unique(owner[kept] << HALF | self._asked.owners[asker[kept]])

    def _are_first(self, group: Int64) -> NDArray[np.bool_]:
        """Which of the next members of these groups (-1: of none) are among the first _CROWD of theirs; counts them."""
        n_before = np.where(group >= 0, self._n_members[group], _CROWD)
        are_first = n_before < _CROWD
        np.add.at(self._n_members, group[are_first], 1)
        late = np.flatnonzero(are_first)
        late = late[self._n_members[group[late]] > _CROWD]
        late = late[np.argsort(group[late], kind="stable")]
        are_first[late] = n_before[late] + _nth_of_run(group[late]) < _CROWD
        self._n_members[group[late]] = _CROWD
        return are_first

    def _pairs(self, group: Int64) -> Iterator[tuple[Int64, Int64]]:
        """(asker, member) for members of these groups, some at a time; each asker's members stay in order."""
        n_each = self._begins[group + 1] - self._begins[group]
        ends = np.cumsum(n_each)
        edges = np.searchsorted(ends, np.arange(_PAIRS, ends[-1] if len(ends) else 0, _PAIRS)) + 1
        for member in np.split(np.arange(len(group)), edges):
            n = n_each[member]
            asker = np.repeat(self._begins[group[member]] - (np.cumsum(n) - n), n) + np.arange(n.sum())
            yield asker, np.repeat(member, n)


def _order_of(groups: Hashes, bits: int) -> Int64:
    """The rows by group, then in their order."""
    if bits > HALF:
        return np.argsort(groups, kind="stable")
    rows = groups << np.uint64(HALF) | np.arange(len(groups), dtype=np.uint64)
    rows.sort()
    return (rows & np.uint64(LOW)).view(np.int64)


def _starts_of_runs(values: Int64 | Hashes) -> Int64:
    """The rows of values that differ from the one before."""
    return np.flatnonzero(np.concatenate([np.ones(min(1, len(values)), np.bool_), values[1:] != values[:-1]]))


def _nth_of_run(values: Int64) -> Int64:
    """[N] how many equal values stand directly before each."""
    starts = _starts_of_runs(values)
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
