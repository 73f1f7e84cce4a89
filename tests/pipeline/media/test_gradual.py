"""Wipes and pushes at the bounds beyond which they are none any more."""

import numpy as np
import pytest

from pipeline.media.gradual import gradual
from pipeline.media.shot_pictures import HEIGHT, WIDTH, Pictures, Transition
from tests.pipeline.media.test_shots import NEXT, SCENE, joined, steady


def found_in(between: list[Pictures], cuts: list[int]) -> list[Transition]:
    return gradual(np.stack([SCENE] * 60 + between + [NEXT] * 60).astype(np.float32), 1, cuts)


@pytest.mark.parametrize("kind", ["wipe", "push left"])
def test_beside_a_cut_none_is_looked_for(kind: str) -> None:
    between = [joined(kind, share) for share in steady(14)]
    assert len(found_in(between, [])) == 1
    assert found_in(between, [67]) == []


@pytest.mark.parametrize("kind", ["wipe", "push left"])
def test_what_stops_half_way_is_none(kind: str) -> None:
    halves = steady(13)
    stopped = halves[:7] + [halves[6]] * 10 + halves[7:]
    assert len(found_in([joined(kind, share) for share in halves], [])) == 1
    assert found_in([joined(kind, share) for share in stopped], []) == []


def test_noise_between_two_shots_is_made_of_neither() -> None:
    random = np.random.default_rng(3)
    between = [random.uniform(0, 255, (HEIGHT, WIDTH)).astype(np.float32) for _ in range(14)]
    assert found_in(between, []) == []
