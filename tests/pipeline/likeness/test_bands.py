"""Groups of hashes leave some in each, and those that are asked for are known."""

import numpy as np
import pytest

from pipeline.likeness import bands
from pipeline.likeness.bands import ALL_BITS, Groups, Room, bits_of, group_of, in_order, nth_of_run, starts_of_runs


def test_groups_agree_in_as_many_bits_as_leave_some_hashes_in_each() -> None:
    assert bits_of(np.array([0, 1, 2**15, 2**16, 2**17 - 1, 2**28, 2**40])).tolist() == [12, 12, 13, 14, 14, 26, 26]


def test_the_bands_of_large_groups_cover_all_bits() -> None:
    covered = {shift + bit for shift in bands.SHIFTS for bit in range(bands.MOST_BITS)}
    assert covered == set(range(64))


@pytest.mark.parametrize(("shift", "bits"), [(0, 12), (19, 26), (38, 26), (0, ALL_BITS)])
def test_hashes_are_in_one_group_if_they_agree_in_its_bits(shift: int, bits: int) -> None:
    value = np.uint64(0x0123456789ABCDEF)
    flipped = value ^ np.uint64(1) << np.arange(64, dtype=np.uint64)
    in_group = group_of(flipped, shift, bits) == group_of(np.array([value]), shift, bits)
    assert np.flatnonzero(~in_group).tolist() == list(range(64 - shift - bits, 64 - shift))
    assert flipped[0] == value ^ np.uint64(1), "hashes stay as they are"
    every = np.arange(2**12, dtype=np.uint64) << np.uint64(52)
    assert sorted(group_of(every, 0, 12).tolist()) == list(range(2**12)), "no two groups have one number"


@pytest.mark.parametrize("bits", [12, 25, 26, ALL_BITS])
@pytest.mark.parametrize("shift", [0, 38])
@pytest.mark.parametrize("spare", [4, -5])
def test_a_hash_is_known_by_its_group_and_the_group_by_its_number(
    bits: int, shift: int, spare: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bits == ALL_BITS and shift:
        return
    monkeypatch.setattr(bands, "_SPARE_BITS", spare)
    monkeypatch.setattr(bands, "LEAST_BITS", 7)
    rng = np.random.default_rng(bits)
    asked = rng.integers(0, 2**64, 3000, dtype=np.uint64)
    beside = asked ^ np.uint64(1) << np.uint64(64 - bits if shift == 0 else 0)
    groups = np.unique(group_of(asked, shift, bits))
    hashes = np.concatenate([rng.integers(0, 2**64, 3001, dtype=np.uint64), asked, beside])
    one = Groups(groups, shift, bits)
    room = Room(len(hashes))
    one.asked_for(asked, room)
    rows = one.asked_for(hashes, room)
    numbers = one.numbers(hashes[rows], one.slots_of(hashes[rows]))
    number = {group: n for n, group in enumerate(groups.tolist())}
    wanted = [number.get(group, -1) for group in group_of(hashes, shift, bits).tolist()]
    assert [(row, n) for row, n in zip(rows.tolist(), numbers.tolist(), strict=True) if n >= 0] == [
        (row, n) for row, n in enumerate(wanted) if n >= 0
    ]
    assert spare < 0 or bits == 12 or len(rows) < 7500, "most of what nobody asks for meets an empty slot"


def test_rows_are_sorted_by_group_and_then_stay_in_order() -> None:
    groups = np.array([3, 1, 3, 0, 1, 3], np.uint64)
    for bits in (12, ALL_BITS):
        order, ordered = in_order(groups, bits)
        assert order.tolist() == [3, 1, 4, 0, 2, 5] and ordered.tolist() == [0, 1, 1, 3, 3, 3]
    assert starts_of_runs(np.array([5, 5, 7, 5])).tolist() == [0, 2, 3] and not len(starts_of_runs(groups[:0]))
    assert nth_of_run(np.array([5, 5, 7, 5])).tolist() == [0, 1, 0, 0] and not len(nth_of_run(np.zeros(0, np.int64)))
