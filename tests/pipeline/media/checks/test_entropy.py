"""Entropy."""

import numpy as np
import pytest

from pipeline.media.checks.entropy import entropy_of


def test_entropy_is_that_of_the_levels_of_brightness() -> None:
    flat = np.full((180, 320), 16, np.uint8)
    assert entropy_of(flat) == 0.0
    half = flat.copy()
    half[:90] = 235
    assert entropy_of(half) == pytest.approx(1.0)
    every = np.arange(256, dtype=np.uint8).repeat(225).reshape(180, 320)
    assert entropy_of(every) == pytest.approx(6.0)
    assert entropy_of(flat + np.random.default_rng(1).integers(0, 4, flat.shape, dtype=np.uint8)) == 0.0, "only noise"
