"""Near hashes among many, by bands of bits: hashes that agree in one are a group, and each group is searched alone.

What pairs a group gives depends on its members alone: when some come or go, the other groups stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.media.phash import Hashes

SHIFTS = (0, 10, 21, 32, 42, 53)
"""Where bands begin in the 64 bits, which are a ring: they overlap, so that few differing bits spare one of them."""

_CROWD = 64
"""Of more hashes than this in one band only neighbours are paired: a picture that everybody shows tells nothing."""

_AT_A_TIME = 1 << 20
"""Hashes that are sorted together, about: whole groups, so that a search through millions takes little memory."""

HALF = 32
LOW = (1 << HALF) - 1

_FILTER_BITS = 22
"""Low bits of a band by which most hashes are told apart from those of wanted groups, in a table of 4 MiB."""

Int64 = NDArray[np.int64]
Groups = list[Hashes]
"""By band the bits, sorted, of some groups."""


@dataclass(frozen=True, slots=True)
class Looked:
    """Hashes that are looked up [N], whose each is, and whether it is that of the mirrored picture."""

    hashes: Hashes
    owners: Int64
    is_turned: NDArray[np.bool_]

    def take(self, rows: NDArray[np.bool_] | Int64) -> Looked:
        """Some of them."""
        return Looked(self.hashes[rows], self.owners[rows], self.is_turned[rows])


def joined_looked(some: Sequence[Looked]) -> Looked:
    """Several as one."""
    return Looked(
        np.concatenate([np.zeros(0, np.uint64), *(one.hashes for one in some)]),
        np.concatenate([np.zeros(0, np.int64), *(one.owners for one in some)]),
        np.concatenate([np.zeros(0, np.bool_), *(one.is_turned for one in some)]),
    )


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs [N]: the group that gave each (band << 32 | bits) and its owners (lower << 32 | higher). The same pair may
    come of several groups."""

    groups: Int64
    codes: Int64

    def outside(self, groups: Groups) -> Found:
        """Those of all groups but these."""
        stay = np.ones(len(self.groups), np.bool_)
        band = self.groups >> HALF
        for number, of_band in enumerate(groups):
            rows = np.flatnonzero(band == number)
            stay[rows] = ~_are_among((self.groups[rows] & LOW).astype(np.uint64), of_band)
        return Found(self.groups[stay], self.codes[stay])


def joined_found(some: Sequence[Found]) -> Found:
    """Several as one."""
    groups = [np.zeros(0, np.int64), *(one.groups for one in some)]
    return Found(np.concatenate(groups), np.concatenate([np.zeros(0, np.int64), *(one.codes for one in some)]))


def bits_of(n_hashes: int) -> int:
    """How many bits of a band a group of so many hashes agrees in: as many as leave some hashes a group."""
    return min(32, max(16, n_hashes.bit_length() - 1))


def groups_of_hashes(looked: Looked, bits: int) -> Groups:
    """The groups that these hashes are in."""
    return [np.unique(_keys(looked.hashes, shift, bits)) for shift in SHIFTS]


def members_of(looked: Looked, groups: Groups, bits: int) -> list[Looked]:
    """By band those of the hashes that are in these groups."""
    found = []
    for shift, wanted in zip(SHIFTS, groups, strict=True):
        keys = _keys(looked.hashes, shift, bits)
        maybe = np.zeros(1 << _FILTER_BITS, np.bool_)
        maybe[_low_bits(wanted)] = True
        rows = np.flatnonzero(maybe[_low_bits(keys)])
        found.append(looked.take(rows[_are_among(keys[rows], wanted)]))
    return found


def pairs_in(members: Sequence[Looked], bits: int, max_distance: int, ordered: Int64) -> Found:
    """The pairs that groups give which have these members, by band. `ordered`: their owners, as neighbours follow."""
    rank = np.zeros(int(ordered.max(initial=0)) + 1, np.int64)
    rank[ordered] = np.arange(len(ordered))
    found = []
    for band, looked in enumerate(members):
        keys = _keys(looked.hashes, SHIFTS[band], bits)
        for rows in _whole_groups(keys):
            part = looked.take(rows)
            groups, first, second = _near_in_groups(
                Looked(part.hashes, rank[part.owners], part.is_turned), keys[rows], max_distance
            )
            first, second = ordered[first], ordered[second]
            codes = np.minimum(first, second) << HALF | np.maximum(first, second)
            found.append(_once(groups.astype(np.int64) | band << HALF, codes))
    return joined_found(found)


def _whole_groups(keys: Hashes) -> Iterator[Int64]:
    """Rows of some groups after the other, about _AT_A_TIME at a time."""
    n_parts = 1 << (len(keys) // _AT_A_TIME).bit_length()
    part_of = (keys & np.uint64(n_parts - 1)).astype(np.uint16)
    for part in range(n_parts):
        yield np.flatnonzero(part_of == part)


def _near_in_groups(looked: Looked, keys: Hashes, max_distance: int) -> tuple[Hashes, Int64, Int64]:
    """(group, owner, owner) of near hashes of the same group (`keys` [N]); the same may come several times.

    One sort, and then arrays alone: hashes are compared with the next one of the same group, the second next … up to
    _CROWD; where more than that agree, with the two that follow.
    """
    order = np.lexsort((looked.owners, keys))
    keys, sorted_ = keys[order], looked.take(order)
    hashes, owners, is_turned = sorted_.hashes, sorted_.owners, sorted_.is_turned
    starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])) if len(keys) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(keys)))
    left = np.repeat(starts + sizes, sizes) - np.arange(len(keys)) - 1  # hashes of the same group that follow
    reach = np.where(np.repeat(sizes, sizes) <= _CROWD, left, np.minimum(left, 2))
    groups, first, second = [keys[:0]], [owners[:0]], [owners[:0]]
    for step in range(1, int(reach.max(initial=0)) + 1):
        here = np.flatnonzero(reach >= step)
        there = here + step
        near = np.bitwise_count(hashes[here] ^ hashes[there]) <= max_distance
        near &= (owners[here] != owners[there]) & ~(is_turned[here] & is_turned[there])
        groups.append(keys[here[near]])
        first.append(owners[here[near]])
        second.append(owners[there[near]])
    return np.concatenate(groups), np.concatenate(first), np.concatenate(second)


def _keys(hashes: Hashes, shift: int, bits: int) -> Hashes:
    """[N] the bits of a band."""
    turned = (hashes >> np.uint64(shift)) | (hashes << np.uint64((64 - shift) % 64))
    return np.asarray(turned & np.uint64((1 << bits) - 1))


def _low_bits(keys: Hashes) -> Int64:
    return np.asarray((keys & np.uint64((1 << _FILTER_BITS) - 1)).astype(np.int64))


def _are_among(keys: Hashes, wanted: Hashes) -> NDArray[np.bool_]:
    """[N] which keys are among sorted ones."""
    if not len(wanted):
        return np.zeros(len(keys), np.bool_)
    at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return np.asarray(wanted[at] == keys)


def _once(groups: Int64, codes: Int64) -> Found:
    order = np.lexsort((codes, groups))
    groups, codes = groups[order], codes[order]
    is_first = np.ones(len(groups), np.bool_)
    is_first[1:] = (groups[1:] != groups[:-1]) | (codes[1:] != codes[:-1])
    return Found(groups[is_first], codes[is_first])
