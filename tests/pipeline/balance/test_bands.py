"""Groups of hashes leave some in each, and those that are asked for are known."""

import numpy as np
import pytest

from pipeline.balance import bands
from pipeline.balance.bands import ALL_BITS, Groups, bits_of, group_of, nth_of_run, order_of, starts_of_runs


def test_groups_agree_in_as_many_bits_as_leave_some_hashes_in_each() -> None:
    assert bits_of(np.array([0, 1, 2**15, 2**16, 2**17 - 1, 2**28, 2**40])).tolist() == [12, 12, 13, 14, 14, 26, 26]


def test_the_bands_of_large_groups_cover_all_bits() -> None:
    covered = {shift + bit for shift in bands.SHIFTS for bit in range(bands.MOST_BITS)}
    assert covered == set(range(64))
    value = np.array([0x0123456789ABCDEF], np.uint64)
    assert group_of(value, 8, 12).tolist() == [0x234] and group_of(value, 0, 64).tolist() == value.tolist()


@pytest.mark.parametrize("bits", [12, 25, 26, ALL_BITS])
@pytest.mark.parametrize("shift", [0, 38])
def test_a_hash_is_known_by_its_group_and_the_group_by_its_number(bits: int, shift: int) -> None:
    if bits == ALL_BITS and shift:
        return
    rng = np.random.default_rng(bits)
    asked = rng.integers(0, 2**64, 300, dtype=np.uint64)
    beside = asked ^ np.uint64(1) << np.uint64(64 - bits if shift == 0 else 0)
    groups = np.unique(group_of(asked, shift, bits))
    hashes = np.concatenate([rng.integers(0, 2**64, 3000, dtype=np.uint64), asked, beside])
    one = Groups(groups, shift, bits)
    rows = one.asked_for(hashes)
    numbers = one.numbers(hashes[rows])
    wanted = [groups.tolist().index(group) if group in groups else -1 for group in group_of(hashes, shift, bits)]
    assert [(row, n) for row, n in zip(rows.tolist(), numbers.tolist(), strict=True) if n >= 0] == [
        (row, n) for row, n in enumerate(wanted) if n >= 0
    ]
    assert bits == ALL_BITS or (numbers >= 0).all()


def test_rows_are_sorted_by_group_and_then_stay_in_order() -> None:
    groups = np.array([3, 1, 3, 0, 1, 3], np.uint64)
    for bits in (12, ALL_BITS):
        assert order_of(groups, bits).tolist() == [3, 1, 4, 0, 2, 5]
    assert starts_of_runs(np.array([5, 5, 7, 5])).tolist() == [0, 2, 3] and not len(starts_of_runs(groups[:0]))
    assert nth_of_run(np.array([5, 5, 7, 5])).tolist() == [0, 1, 0, 0] and not len(nth_of_run(np.zeros(0, np.int64)))
