"""One picture that is near another's is none; two that lie apart are."""

import numpy as np
import pytest

from pipeline.balance import together
from pipeline.balance.together import Nearness, are_together

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
