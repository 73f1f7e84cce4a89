"""Grounds that only a high-resolution view can tell apart: waves as long as a low-resolution pixel, under grain.

At that period the cubic kernel that makes the low view has a zero, so only the waves' mean is left. An encoder in
between does not preserve that exactly, but what it leaves of the waves in a small picture is lost in the grain. All
hatchings have the same power and grain; a random phase reveals nothing of their kind.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

Waves = tuple[tuple[int, int], ...]
"""Numbers of waves per period along x and y; several are superposed."""


def hatching_wave(waves: Waves, phase: float, size: tuple[int, int], period_px: float) -> NDArray[np.float32]:
    """A hatching without grain, float32 of `size` (height, width), with the power of a wave between -1 and 1.

    `phase` is in radians.
    """
    height, width = size
    step = 2 * np.pi / period_px
    x, y = np.arange(width)[None], np.arange(height)[:, None]
    total = sum(np.sin(step * across * x + step * down * y + phase) for across, down in waves)
    return np.asarray(total / np.sqrt(len(waves)), np.float32)


def grain(seed: int, deviation: float, size: tuple[int, int], cell_px: float) -> NDArray[np.float32]:
    """Smooth noise, float32 of `size` (height, width): a normal value per cell, linear in between."""
    height, width = size
    cells = (round(height / cell_px), round(width / cell_px))
    values = np.random.default_rng(seed).normal(0, deviation, cells).astype(np.float32)
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
