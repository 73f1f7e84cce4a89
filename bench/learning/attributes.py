"""Drawn clips with three independent attributes, each shown by different views of the clip.

    colour of the ball        any view shows it
    hatching of the ground    a high-resolution frame alone: it repeats with each pixel of the low-resolution view
    way the ball rolls        several frames in their order: in the middle one it stands near the picture's middle,
                              whatever its way, and what comes before and after is the same for a way and its opposite

Sizes are for a 1280x720 picture, of which each pixel of the low-resolution view covers 32x32 (a view of 16x32 pixels
shows a crop of 512x1024). The hatching's period along both axes is one such pixel (`hatching.py` says why).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

import miniyoutube.hatching as hatching

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
HATCHINGS: dict[str, hatching.Waves] = {
    "level": ((0, 1),),
    "upright": ((1, 0),),
    "rising": ((1, 1),),
    "falling": ((1, -1),),
}
WAYS: dict[str, tuple[int, int]] = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}

N_FRAMES = 7
SOUND_RATE = 16_000
"""Hz."""
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

    colours: ClassVar[Mapping[str, tuple[int, int, int]]] = COLOURS
    hatchings: ClassVar[Mapping[str, hatching.Waves]] = HATCHINGS
    ways: ClassVar[Mapping[str, tuple[int, int]]] = WAYS
    sentence: ClassVar[str] = "a {colour} ball rolls {way} over {hatching} hatching"
    square: ClassVar[bool] = False
    tones: ClassVar[Mapping[str, float]] = {}
    """By name of a hatching the pitch that is heard, Hz; none: no sound."""

    colour: str
    hatching: str
    way: str
    seed: int = 0

    @property
    def caption(self) -> str:
        """The sentence that names the three attributes."""
        return self.sentence.format(colour=self.colour, way=self.way, hatching=self.hatching)


class Tiles(Scene):
    """Scenes of another domain: other colours, textures and words, and a square in place of the ball."""

    colours: ClassVar[Mapping[str, tuple[int, int, int]]] = {
        "pink": (255, 130, 180),
        "brown": (120, 70, 30),
        "teal": (0, 140, 140),
        "olive": (120, 120, 20),
        "lime": (160, 255, 60),
        "navy": (10, 20, 90),
        "cyan": (60, 230, 240),
        "maroon": (110, 10, 40),
    }
    hatchings: ClassVar[Mapping[str, hatching.Waves]] = {
        "woven": ((0, 1), (1, 0)),
        "crossed": ((1, 1), (1, -1)),
        "steep": ((2, 1),),
        "flat": ((1, 2),),
    }
    ways: ClassVar[Mapping[str, tuple[int, int]]] = {"west": (-1, 0), "east": (1, 0), "north": (0, -1), "south": (0, 1)}
    sentence = "the {colour} square drifts {way} across {hatching} tiles"
    square = True


def value_of(caption: str, attribute: str, kind: type[Scene] = Scene) -> str:
    """The value of an attribute that a caption of such a scene names."""
    return next(value for value in getattr(kind, f"{attribute}s") if value in caption.split())


def all_scenes(n_colours: int = len(COLOURS), kind: type[Scene] = Scene) -> list[Scene]:
    """One scene for each combination of the attributes, with the first `n_colours` colours."""
    return [kind(*names) for names in product(list(kind.colours)[:n_colours], kind.hatchings, kind.ways)]


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
    across, down = scene.ways[scene.way]
    for number in range(-(N_FRAMES // 2), N_FRAMES // 2 + 1):
        picture = ground.copy()
        centre = round(x + across * number * _STEP_X), round(y + down * number * _STEP_Y)
        if scene.square:
            left, top, side = centre[0] - radius, centre[1] - radius, 2 * radius
            cv2.rectangle(picture, (left, top, side, side), scene.colours[scene.colour], cv2.FILLED)
        else:
            cv2.circle(picture, centre, radius, scene.colours[scene.colour], cv2.FILLED, cv2.LINE_AA)
        yield picture


def _ground(scene: Scene, dice: random.Random) -> Picture:
    """A grey ground with its hatching. Mean and contrast are random, so they reveal nothing of the hatching's kind."""
    level, phase = dice.uniform(100, 150), dice.uniform(0, 2 * np.pi)
    size = HEIGHT, WIDTH
    wave = hatching.hatching_wave(scene.hatchings[scene.hatching], phase, size, LOW_PX)
    grey = level + _AMPLITUDE * dice.uniform(0.85, 1.0) * wave
    grey += hatching.grain(dice.randrange(2**32), _GRAIN, size, _GRAIN_PX)
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def sound_of(scene: Scene, duration_s: float) -> NDArray[np.float32]:
    """The sound of a scene, [samples] at SOUND_RATE: a tone that is struck four times a second, as loud as is drawn."""
    dice = random.Random(f"sound of {scene.caption}/{scene.seed}")
    seconds = np.arange(round(duration_s * SOUND_RATE)) / SOUND_RATE
    struck = np.exp(-8 * ((seconds + dice.random()) % 0.25))
    tone = np.sin(2 * np.pi * scene.tones[scene.hatching] * dice.uniform(0.94, 1.06) * seconds)
    return np.asarray(dice.uniform(0.1, 0.6) * struck * tone, np.float32)
