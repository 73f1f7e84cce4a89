"""Finds near hashes among many by bands of bits: hashes that agree in one band are a group.

Things are in the order in which they were taken up. Each hash of a thing is compared with those of earlier things in
its group, but only with the first _CROWD of them. Of the near ones all are kept or, if the crowd was that large, the
first two. So a thing's pairs follow only from what came before it, never from what comes after, and a search for new
things leaves the pairs of old ones as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.media.phash import Hashes

SHIFTS = (0, 10, 21, 32, 42, 53)
"""First bits of the bands in the 64 bits, which form a ring. Bands overlap, so that a few differing bits spare one."""

LEAST_BITS, MOST_BITS = 16, 32

_CROWD = 64
"""A hash is compared with at most this many of its group: a picture that everybody shows proves nothing."""

_OF_A_CROWD = 2
"""Near ones that are kept for a hash that was compared with _CROWD: enough to hold the group together."""

_AT_A_TIME = 1 << 16
"""Hashes that are looked up together."""

HALF = 32
LOW = (1 << HALF) - 1

Int64 = NDArray[np.int64]
ENTRY = np.dtype([("key", "<u8"), ("owner", "<u4")])
"""A hash in one band: rotated until the band's bits are the highest, and its owner."""
Entries = NDArray[np.void]
"""ENTRY [N], sorted by the 32 highest bits of the key, then by owner, then by key."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Hashes of things: the owner of each [N], and its key in each band [bands, N]."""

    owners: Int64
    keys: Hashes


@dataclass(frozen=True, slots=True)
class Asked:
    """Hashes looked up in one band [N], sorted by key; `bits`: in how many bits the group of each agrees."""

    keys: Hashes
    owners: NDArray[np.uint32]
    bits: NDArray[np.uint8]

    @classmethod
    def of(cls, keys: Hashes, owners: Int64, bits: NDArray[np.uint8]) -> Asked:
        """Sorts these hashes by key."""
        order = np.argsort(keys)
        return cls(keys[order], owners[order].astype(np.uint32), bits[order])

    def between(self, low: int, high: int) -> Asked:
        """Those whose keys have their highest 32 bits in low … high - 1."""
        span = slice(*np.searchsorted(self.keys >> np.uint64(HALF), np.array([low, high], np.uint64)).tolist())
        return self.part(span)

    def part(self, span: slice) -> Asked:
        """Those of these rows."""
        return Asked(self.keys[span], self.owners[span], self.bits[span])


def keys_of_hashes(hashes: Hashes, owners: Int64) -> Keys:
    """The keys of hashes [N] in the bands of SHIFTS."""
    turns = [np.uint64((shift + MOST_BITS) % 64) for shift in SHIFTS]
    return Keys(owners, np.stack([(hashes >> n) | (hashes << (np.uint64(64) - n)) for n in turns]))


def bits_of(n_before: Int64) -> NDArray[np.uint8]:
    """[N] number of bits in which a group agrees, given the number of hashes before: so many that groups are small."""
    bit_length = np.frexp(n_before.astype(np.float64))[1]
    return np.asarray(np.clip(bit_length - 1, LEAST_BITS, MOST_BITS).astype(np.uint8))


def sorted_entries(keys: Hashes, owners: Int64) -> Entries:
    """Makes the entries of one band, sorted."""
    order = np.argsort(keys)
    groups = keys[order] >> np.uint64(HALF)
    same = groups[1:] == groups[:-1]
    tied = np.flatnonzero(np.append(same, False) | np.append(False, same))
    of_tied = order[tied]
    order[tied] = of_tied[np.lexsort((keys[of_tied], owners[of_tied], groups[tied]))]
    entries = np.empty(len(keys), ENTRY)
    entries["key"], entries["owner"] = keys[order], owners[order]
    return entries


def merged_entries(some: Sequence[Entries]) -> Entries:
    """Merges the entries of things that were taken up one after the other, without those that are never compared."""
    joined = np.concatenate(some)
    joined = joined[np.argsort(joined["key"] >> np.uint64(HALF), kind="stable")]
    return joined[_nth_of_run(joined["key"] >> np.uint64(HALF)) < _CROWD]


def near_pairs(files: Sequence[Entries], asked: Asked, max_distance: int) -> Int64:
    """(owner << 32 | asking owner) for hashes near one that is asked for, in one band.

    `files`: entries of things that were taken up one after the other.
    """
    groups = [_groups(entries) for entries in files]
    found = [np.zeros(0, np.int64)]
    for begin in range(0, len(asked.keys), _AT_A_TIME):
        found.append(_near(files, groups, asked.part(slice(begin, begin + _AT_A_TIME)), max_distance))
    return np.unique(np.concatenate(found))


def _groups(entries: Entries) -> NDArray[np.uint32]:
    """The 32 highest bits of each key: the second of an entry's three words, which is faster than shifting."""
    return np.ascontiguousarray(entries.view("<u4").reshape(-1, 3)[:, 1])


def _near(files: Sequence[Entries], groups: Sequence[NDArray[np.uint32]], asked: Asked, max_distance: int) -> Int64:
    spare = np.uint64(MOST_BITS) - asked.bits.astype(np.uint64)
    low = ((asked.keys >> np.uint64(HALF)) >> spare << spare).astype(np.uint32)
    high = low | ((np.uint64(1) << spare) - np.uint64(1)).astype(np.uint32)
    left = np.full(len(asked.keys), _CROWD, np.int64)
    askers, owners = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for entries, group in zip(files, groups, strict=True):
        begin, end = np.searchsorted(group, low, side="left"), np.searchsorted(group, high, side="right")
        for asker, rows in _members(entries, begin, end, left):
            is_earlier = entries["owner"][rows] < asked.owners[asker]
            asker, rows = asker[is_earlier], rows[is_earlier]
            n_each = np.bincount(asker, minlength=len(left))
            if (n_each > left).any():
                is_first = _nth_of_run(asker) < left[asker]
                asker, rows = asker[is_first], rows[is_first]
                n_each = np.minimum(n_each, left)
            left -= n_each
            near = np.bitwise_count(entries["key"][rows] ^ asked.keys[asker]) <= max_distance
            askers.append(asker[near])
            owners.append(entries["owner"][rows[near]].astype(np.int64))
    asker, owner = np.concatenate(askers), np.concatenate(owners)
    order = np.lexsort((owner, asker))
    asker, owner = asker[order], owner[order]
    kept = (left[asker] > 0) | (_nth_of_run(asker) < _OF_A_CROWD)
    return np.unique(owner[kept] << HALF | asked.owners[asker[kept]].astype(np.int64))


def _members(entries: Entries, begin: Int64, end: Int64, left: Int64) -> Iterator[tuple[Int64, Int64]]:
    """Yields (asker, row) for rows begin … end - 1 of each asker: all or, by owner, at least the first _CROWD."""
    sizes = np.where(left > 0, end - begin, 0)
    for askers, in_order in (
        (np.flatnonzero((sizes > 0) & (sizes <= left)), False),
        (np.flatnonzero((sizes > left) & (sizes <= _CROWD)), True),
    ):
        n = sizes[askers]
        asker = np.repeat(askers, n)
        rows = begin[asker] + np.arange(len(asker)) - np.repeat(np.cumsum(n) - n, n)
        if in_order:
            order = np.lexsort((entries["key"][rows], entries["owner"][rows], asker))
            asker, rows = asker[order], rows[order]
        yield asker, rows
    many = np.flatnonzero(sizes > _CROWD)
    if len(many):
        spans, of_span = np.unique(np.stack([begin[many], end[many]]), axis=1, return_inverse=True)
        firsts = np.stack([_first_rows(entries, a, b) for a, b in spans.T.tolist()])
        yield np.repeat(many, _CROWD), firsts[of_span.reshape(-1)].reshape(-1)


def _first_rows(entries: Entries, begin: int, end: int) -> Int64:
    """The rows of the first _CROWD entries by owner, then by key."""
    part = entries[begin:end]
    return np.asarray(begin + np.lexsort((part["key"], part["owner"]))[:_CROWD])


def _nth_of_run(values: NDArray[np.int64] | Hashes) -> Int64:
    """[N] how many equal values come directly before each."""
    if not len(values):
        return np.zeros(0, np.int64)
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
