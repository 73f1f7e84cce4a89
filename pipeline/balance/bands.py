"""Near hashes among many, by bands of bits: hashes that agree in one are a group.

Things stand in the order in which they were added, and so do the hashes that they are filed by. Each hash that is
looked for is compared with those of earlier things in its group; of what is near there it keeps all, or, where that
are CROWD or more, the first two among the first CROWD. So what a thing is paired with follows from what came before it
alone, never from what comes after, and a search for new ones leaves the pairs of old ones as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.media.phash import Hashes

SHIFTS = (0, 19, 38)
"""First bits of the bands in the 64 bits; bands of more than 19 bits overlap."""

LEAST_BITS, MOST_BITS = 12, 26
_MEMBERS = 3
"""Groups hold 2 ** (_MEMBERS - 1) to 2 ** _MEMBERS hashes on average, between LEAST_BITS and MOST_BITS."""
ALL_BITS = 64
"""Bits of a group if only equal hashes are near."""

CROWD = 256
"""So many hashes that are near one are a crowd, and those that follow are left out: a picture that everybody shows."""

OF_A_CROWD = 2
"""Near ones that are kept of a hash with a crowd: enough to hold them together."""

HALF = 32
LOW = (1 << HALF) - 1

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class HashQuery:
    """Hashes to look for [N], with the owner of each and the number of bits in which its group agrees.

    `runs`: numbers that rise; hashes with the same one are those of one part of the pictures of one whole (the video
    that a clip is of).
    """

    hashes: Hashes
    owners: Int64
    bits: NDArray[np.uint8]
    runs: Int64


def bits_of(n_before: Int64) -> NDArray[np.uint8]:
    """[N] the number of bits in which a group agrees if this many hashes came before; it leaves a few in each group."""
    bit_length = np.frexp(n_before.astype(np.float64))[1]
    return np.asarray(np.clip(bit_length - _MEMBERS, LEAST_BITS, MOST_BITS).astype(np.uint8))


def group_of(hashes: Hashes, shift: int, bits: int) -> Hashes:
    """[N] the group of each hash: its `bits` bits from bit `shift` on, as a number."""
    turned = hashes << np.uint64(shift) if shift else hashes
    return turned >> np.uint64(64 - bits)


class Groups:
    """Groups that are asked for, numbered in their order.

    A table has a bit for each possible group, and the number of a group is that of the bits set before its own. Of
    groups of more than MOST_BITS the table holds the beginnings.
    """

    def __init__(self, groups: Hashes, shift: int, bits: int) -> None:
        self._groups, self._shift, self._bits = groups, shift, bits
        self._table_bits = min(bits, MOST_BITS)
        begins = groups >> np.uint64(bits - self._table_bits)
        words = (begins >> np.uint64(6)).view(np.int64)
        starts = starts_of_runs(words)
        self._words = np.zeros(1 << (self._table_bits - 6), "<u8")
        if len(groups):
            self._words[words[starts]] = np.bitwise_or.reduceat(np.uint64(1) << (begins & np.uint64(63)), starts)
        self._bytes = self._words.view(np.uint8)
        n_set = np.bitwise_count(self._words)
        self._n_before = np.cumsum(n_set, dtype=np.int32) - n_set

    def asked_for(self, hashes: Hashes) -> Int64:
        """The rows of hashes of groups that are asked for, or that begin like one."""
        turned = hashes << np.uint64(self._shift) if self._shift else hashes
        byte = (turned >> np.uint64(64 - self._table_bits + 3)).view(np.int64)
        bit = (turned >> np.uint64(64 - self._table_bits)).astype(np.uint8) & 7
        return np.flatnonzero((self._bytes.take(byte, mode="clip") >> bit & 1).view(np.bool_))

    def numbers(self, hashes: Hashes) -> Int64:
        """[N] the number of the group of each of some hashes that `asked_for` named; -1 if it only begins like one."""
        groups = group_of(hashes, self._shift, self._bits)
        if self._bits > MOST_BITS:
            number = np.searchsorted(self._groups, groups)
            return np.where(self._groups.take(number, mode="clip") == groups, number, -1)
        word = (groups >> np.uint64(6)).view(np.int64)
        below = (np.uint64(1) << (groups & np.uint64(63))) - np.uint64(1)
        n_below = np.bitwise_count(self._words.take(word, mode="clip") & below)
        return np.asarray(self._n_before.take(word, mode="clip") + n_below, np.int64)


def order_of(groups: Hashes, bits: int) -> Int64:
    """The rows by group, then in their order."""
    if bits > HALF:
        return np.argsort(groups, kind="stable")
    rows = groups << np.uint64(HALF) | np.arange(len(groups), dtype=np.uint64)
    rows.sort()
    return (rows & np.uint64(LOW)).view(np.int64)


def starts_of_runs(values: Int64 | Hashes) -> Int64:
    """The rows of values that differ from the one before."""
    return np.flatnonzero(np.concatenate([np.ones(min(1, len(values)), np.bool_), values[1:] != values[:-1]]))


def nth_of_run(values: Int64) -> Int64:
    """[N] how many equal values stand directly before each."""
    starts = starts_of_runs(values)
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
