"""Hatchings: what is left of them at the size of the low view, and that power and grain tell none from another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bench.learning import attributes
from miniyoutube import drawing
from miniyoutube.hatching import Waves, grain, hatching_wave

SIZE = 20 * 32, 40 * 32
ALL = [*attributes.HATCHINGS.values(), *drawing.HATCHINGS.values()]


@pytest.mark.parametrize("period_px", [attributes.LOW_PX, drawing.TEXTURE_PX])
@pytest.mark.parametrize("waves", ALL)
def test_the_cubic_kernel_leaves_nothing_of_a_hatching(waves: Waves, period_px: int) -> None:
    wave = hatching_wave(waves, 0.7, SIZE, period_px)

    small = cv2.resize(wave, (SIZE[1] // period_px, SIZE[0] // period_px), interpolation=cv2.INTER_AREA)

    assert wave.std() > 0.5 and np.abs(small).max() < 1e-3


def test_hatchings_differ_in_nothing_that_a_mean_or_a_deviation_shows() -> None:
    for waves in ALL:
        wave = hatching_wave(waves, 0.7, SIZE, 32)
        assert abs(wave.mean()) < 1e-3 and wave.std() == pytest.approx(0.5**0.5, abs=1e-3)


def test_grain_follows_its_seed_and_is_as_coarse_as_asked() -> None:
    one, again, other = (grain(seed, 10.0, SIZE, 16) for seed in (1, 1, 2))

    assert np.array_equal(one, again) and not np.array_equal(one, other)
    assert 5 < one.std() < 10, "lines between the cells' values are flatter than these"
    beside, far = (np.corrcoef(one[:, :-d].ravel(), one[:, d:].ravel())[0, 1] for d in (1, 48))
    assert beside > 0.95 and abs(far) < 0.1
