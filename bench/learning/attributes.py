"""Drawn clips with three independent attributes, each shown by different views of the clip.

    colour of the ball        any view shows it
    hatching of the ground    a high-resolution frame alone: it repeats with each pixel of the low-resolution view
    way the ball rolls        several frames in their order: in the middle one it stands near the picture's middle,
                              whatever its way, and what comes before and after is the same for a way and its opposite

Sizes are for a 1280x720 picture, of which each pixel of the low-resolution view covers 32x32 (a view of 16x32 pixels
shows a crop of 512x1024). The hatching's period along both axes is one such pixel: there the cubic kernel that makes
the low view has a zero, so that only the waves' mean is left, and what an encoder leaves of them is lost in the grain.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

WIDTH, HEIGHT = 1280, 720
LOW_PX = 32
"""Pixels of the picture per pixel of the low-resolution view; also the hatching's period."""

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (215, 30, 30),
    "green": (20, 150, 50),
    "blue": (40, 70, 230),
    "yellow": (245, 225, 40),
    "white": (250, 250, 250),
    "black": (10, 10, 10),
    "purple": (150, 40, 190),
    "orange": (250, 140, 20),
}
HATCHINGS: dict[str, tuple[int, int]] = {
    "level": (0, 1),
    "upright": (1, 0),
    "rising": (1, 1),
    "falling": (1, -1),
}
"""Waves per period along x and y."""
WAYS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

N_FRAMES = 7
_STEP_X, _STEP_Y = 110, 65
"""How far the ball moves from frame to frame, pixels."""
_JITTER_X, _JITTER_Y = 120, 40
"""Greatest distance of the ball from the picture's middle in the middle frame, pixels."""
_RADIUS = 110
_AMPLITUDE = 26.0
_GRAIN, _GRAIN_PX = 12.0, 16
"""Standard deviation and size of the ground's grain."""


@dataclass(frozen=True, slots=True)
class Scene:
    """The contents of a clip; `seed` draws all that the caption doesn't name (places, phase, shades, sizes)."""

    colour: str
    hatching: str
    way: str
    seed: int = 0

    @property
    def caption(self) -> str:
        """The sentence that names the three attributes."""
        return f"a {self.colour} ball rolls {self.way} over {self.hatching} hatching"


def value_of(caption: str, attribute: str) -> str:
    """The value of an attribute that the caption of a scene names."""
    values = {"colour": list(COLOURS), "hatching": list(HATCHINGS), "way": list(WAYS)}[attribute]
    return next(value for value in values if value in caption.split())


def all_scenes(n_colours: int = len(COLOURS)) -> list[Scene]:
    """One scene for each combination of the attributes, with the first `n_colours` colours."""
    return [Scene(*names) for names in product(list(COLOURS)[:n_colours], HATCHINGS, WAYS)]


def is_held_out(scene: Scene) -> bool:
    """Whether val alone shows this combination, where some are held out: one way of four for each pair of colour and
    hatching, so that all values and all pairs of values are learned from.
    """
    values = (COLOURS, scene.colour), (HATCHINGS, scene.hatching), (WAYS, scene.way)
    return sum(list(names).index(name) for names, name in values) % len(WAYS) == 0


def frames_of(scene: Scene) -> Iterator[Picture]:
    """Yields the seven frames of a scene, RGB uint8 [720, 1280, 3]."""
    dice = random.Random(f"{scene.caption}/{scene.seed}")
    ground = _ground(scene, dice)
    x = WIDTH / 2 + dice.uniform(-_JITTER_X, _JITTER_X)
    y = HEIGHT / 2 + dice.uniform(-_JITTER_Y, _JITTER_Y)
    radius = round(_RADIUS * dice.uniform(0.85, 1.15))
    across, down = WAYS[scene.way]
    for number in range(-(N_FRAMES // 2), N_FRAMES // 2 + 1):
        picture = ground.copy()
        centre = round(x + across * number * _STEP_X), round(y + down * number * _STEP_Y)
        cv2.circle(picture, centre, radius, COLOURS[scene.colour], cv2.FILLED, cv2.LINE_AA)
        yield picture


def _ground(scene: Scene, dice: random.Random) -> Picture:
    """A grey ground with its hatching. Mean and contrast are random, so they reveal nothing of the hatching's kind."""
    level, phase = dice.uniform(100, 150), dice.uniform(0, 2 * np.pi)
    size = HEIGHT, WIDTH
    wave = hatching_wave(HATCHINGS[scene.hatching], phase, size)
    grey = level + _AMPLITUDE * dice.uniform(0.85, 1.0) * wave
    grey += grain(dice.randrange(2**32), size)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def hatching_wave(waves: tuple[int, int], phase: float, size: tuple[int, int]) -> NDArray[np.float32]:
    """A hatching without grain, float32 of `size` (height, width), between -1 and 1. `phase` is in radians."""
    (height, width), step = size, 2 * np.pi / LOW_PX
    x, y = np.arange(width)[None], np.arange(height)[:, None]
    return np.asarray(np.sin(step * waves[0] * x + step * waves[1] * y + phase), np.float32)


def grain(seed: int, size: tuple[int, int]) -> NDArray[np.float32]:
    """Smooth noise, float32 of `size` (height, width): a normal value per cell, linear in between."""
    cells = round(size[0] / _GRAIN_PX), round(size[1] / _GRAIN_PX)
    values = np.random.default_rng(seed).normal(0, _GRAIN, cells).astype(np.float32)
    return np.asarray(cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
