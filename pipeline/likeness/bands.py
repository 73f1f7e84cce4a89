"""Near hashes among many, by bands of bits: hashes that agree in one are a group.

Items and their hashes are indexed in the order in which they were added. Each query hash is compared with those of
earlier items in its group and keeps all matches, or, where there are CROWD or more, the first two. So the pairs of an
item follow from earlier items alone, and a search for new items leaves the pairs of old ones as they are.
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

_MIXER = 0x9E3779B97F4A7C15
"""Groups are multiplied by this odd number (2 ** 64 by the golden ratio): bits of pictures' hashes are set together, so
that groups as they are crowd in few of a table's slots."""
_SPARE_BITS, _MOST_SLOT_BITS = 4, 25
"""A table has 16 to 32 slots for each group that is asked for, but 2 ** _MOST_SLOT_BITS at most, in 4 MB: it stays in
the processor's cache, and most of what nobody asks for meets an empty slot."""

CROWD = 256
"""This many matches of one hash are a crowd (a picture that everybody shows); further ones are left out."""

OF_A_CROWD = 2
"""Matches kept of a hash with a crowd: enough to hold the crowd together."""

HALF = 32
LOW = (1 << HALF) - 1

Int64 = NDArray[np.int64]
Int32 = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class HashQuery:
    """Query hashes [N], with the owner of each and the band width of its group in bits.

    `runs`: ascending numbers; hashes with the same number are of one part of the pictures of one whole (the video
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
    """[N] the group of each hash: a number of `bits` bits that stands for its `bits` bits from bit `shift` on."""
    return _beginnings(hashes, shift, bits, bits, np.empty_like(hashes))


def _beginnings(hashes: Hashes, shift: int, bits: int, n: int, out: Hashes) -> Hashes:
    """[N] the first `n` bits of the group of each hash."""
    below = (1 << 64 - shift - bits) - 1
    if below:
        hashes = np.bitwise_and(hashes, np.uint64(~below & (1 << 64) - 1), out=out)
    np.multiply(hashes, np.uint64((_MIXER << shift) % (1 << 64)), out=out)
    return np.right_shift(out, np.uint64(64 - n), out=out)


def _rows_of(words: Hashes) -> Int64:
    """The bytes that are not 0, given eight at a time: three times as fast as looking at each where few are set."""
    some = np.flatnonzero(words != 0)
    at = np.flatnonzero(words.take(some, mode="clip").view(np.bool_))
    rows = some.take(at >> 3, mode="clip")
    rows <<= 3
    at &= 7
    rows += at
    return rows


class Room:
    """Memory for a look at some hashes, used again by the next."""

    def __init__(self, n_hashes: int) -> None:
        n = -(-n_hashes // 8) * 8
        self.slots, self.byte = np.empty(n, np.uint64), np.empty(n, np.uint64)
        self.bit, self.found = np.empty(n, np.uint8), np.empty(n, np.uint8)


class Groups:
    """The groups that queries are in, numbered in order.

    A slot is the beginning that some groups have in common. A table has a bit for each possible slot, and the number of
    a slot is that of the bits set before its own.
    """

    def __init__(self, groups: Hashes, shift: int, bits: int) -> None:
        self._groups, self._shift, self._bits = groups, shift, bits
        self._slot_bits = min(bits, _MOST_SLOT_BITS, max(LEAST_BITS, len(groups).bit_length() + _SPARE_BITS))
        slots = groups >> np.uint64(bits - self._slot_bits)
        starts = starts_of_runs(slots)
        self.first = np.append(starts, len(groups)).astype(np.int32)
        """The number of the first group in each slot, and how many groups there are."""
        slots = slots[starts]
        words = (slots >> np.uint64(6)).view(np.int64)
        starts = starts_of_runs(words)
        self._words = np.zeros(1 << (self._slot_bits - 6), "<u8")
        if len(groups):
            self._words[words[starts]] = np.bitwise_or.reduceat(np.uint64(1) << (slots & np.uint64(63)), starts)
        self._bytes = self._words.view(np.uint8)
        n_set = np.bitwise_count(self._words)
        self._n_before = np.cumsum(n_set, dtype=np.int32) - n_set

    def asked_for(self, hashes: Hashes, room: Room) -> tuple[Int64, Int64]:
        """(rows, their slots' numbers) of hashes, for as many as there is room, in slots that some query is in."""
        n = len(hashes)
        slots, byte, bit, found = room.slots[:n], room.byte[:n], room.bit[:n], room.found[:n]
        _beginnings(hashes, self._shift, self._bits, self._slot_bits, slots)
        np.bitwise_and(slots, 7, out=bit, casting="unsafe", dtype=np.uint8)
        np.right_shift(slots, np.uint64(3), out=byte)
        self._bytes.take(byte.view(np.int64), out=found, mode="clip")
        np.right_shift(found, bit, out=found)
        np.bitwise_and(found, 1, out=found)
        n_words = -(-n // 8)
        room.found[n : 8 * n_words] = 0
        rows = _rows_of(room.found[: 8 * n_words].view(np.uint64))
        slots = slots.take(rows, mode="clip")
        word = (slots >> np.uint64(6)).view(np.int64)
        below = (np.uint64(1) << (slots & np.uint64(63))) - np.uint64(1)
        n_below = np.bitwise_count(self._words.take(word, mode="clip") & below)
        return rows, np.asarray(self._n_before.take(word, mode="clip") + n_below, np.int64)

    def of(self, hashes: Hashes) -> Hashes:
        """[N] the group of each hash."""
        return group_of(hashes, self._shift, self._bits)

    def numbers(self, hashes: Hashes, slots: Int64) -> Int64:
        """[N] the number of the group of each hash, given its slot; -1 if no query is in that group."""
        groups = self.of(hashes)
        number, end = self.first[slots].astype(np.int64), self.first[slots + 1]
        left = np.flatnonzero(self._groups[number] != groups)
        while len(left):
            number[left] += 1
            is_in = number[left] < end[left]
            number[left[~is_in]] = -1
            left = left[is_in]
            left = left[self._groups[number[left]] != groups[left]]
        return number


def in_order(groups: Hashes, bits: int) -> tuple[Int64, Hashes]:
    """(rows by group, then in their order; their groups)."""
    if bits > HALF:
        order = np.argsort(groups, kind="stable")
        return order, groups[order]
    rows = groups << np.uint64(HALF)
    rows |= np.arange(len(groups), dtype=np.uint64)
    rows.sort()
    return (rows & np.uint64(LOW)).view(np.int64), rows >> np.uint64(HALF)


def starts_of_runs(values: Int64 | Hashes) -> Int64:
    """The rows of values that differ from the one before."""
    return np.flatnonzero(np.concatenate([np.ones(min(1, len(values)), np.bool_), values[1:] != values[:-1]]))


def nth_of_run(values: Int64) -> Int64:
    """[N] how many equal values stand directly before each."""
    starts = starts_of_runs(values)
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
