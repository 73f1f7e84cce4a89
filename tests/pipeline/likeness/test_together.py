"""One picture that is near another's is none; two that lie apart are."""

import numpy as np
import pytest

from pipeline.likeness import together
from pipeline.likeness.together import Nearness, are_together


def agree_in_two(some: list[int], others: list[int], nearness: Nearness) -> bool:
    assert nearness.apart is not None
    near = [(a, b) for a in some if a for b in others if (a ^ b).bit_count() <= nearness.max_distance]
    return all(
        any((x ^ y).bit_count() > nearness.apart for x in side for y in side) for side in zip(*near, strict=True)
    ) and bool(near)


ALONE, ANOTHER, FAR = 0xFFFF, 0xFFFF << 20, 0xFFFF << 44
NEARNESS = Nearness(2, 10)


def agree(some: list[int], others: list[int]) -> bool:
    sides = (np.array([1, *side, 2], np.uint64) for side in (some, others))
    ours, theirs = sides
    spans = [(np.array([1]), np.array([len(side) - 1])) for side in (ours, theirs)]
    return are_together(ours, spans[0], theirs, spans[1], NEARNESS).tolist() == [True]


@pytest.mark.parametrize("at_a_time", [1, 3, 100])
def test_two_that_lie_apart_must_be_near_two_that_do(at_a_time: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_AT_A_TIME", at_a_time)
    assert agree([ALONE, FAR, ANOTHER], [ANOTHER ^ 3, ALONE])
    assert not agree([ALONE, FAR], [ANOTHER, ALONE])
    assert not agree([ALONE, ALONE ^ 1], [ALONE, ALONE ^ 2]), "two pictures of one scene"
    assert not agree([ALONE, ANOTHER], [ALONE]) and not agree([ALONE], [ALONE, ANOTHER]) and not agree([], [ALONE])
    assert not agree([ALONE, ANOTHER ^ 7], [ALONE, ANOTHER])
    assert not agree([0, ALONE], [1, ALONE]), "a part that shows nothing"


@pytest.mark.parametrize("n_together", [1, 7, 1 << 15])
def test_many_spans_of_any_length_are_each_judged_alone(n_together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "_TOGETHER", n_together)
    rng = np.random.default_rng(1)
    shown = rng.integers(1, 2**64, 40, dtype=np.uint64)
    some, others = (
        rng.choice(shown, 600) ^ np.uint64(1) << rng.integers(0, 64, 600, dtype=np.uint64) for _ in range(2)
    )
    some[::50] = others[::30] = 0
    begins = [rng.integers(0, 600, 300) for _ in range(2)]
    ends = [np.minimum(begin + rng.integers(0, most, 300), 600) for begin, most in zip(begins, (12, 9), strict=True)]
    found = are_together(some, (begins[0], ends[0]), others, (begins[1], ends[1]), NEARNESS)
    for n in range(300):
        one, other = some[begins[0][n] : ends[0][n]], others[begins[1][n] : ends[1][n]]
        assert found[n] == agree_in_two(one.tolist(), other.tolist(), NEARNESS)
    assert 9 < found.sum() < 290
    nobody = (begins[0][:0], begins[0][:0])
    assert not len(are_together(some, nobody, others, nobody, NEARNESS))
