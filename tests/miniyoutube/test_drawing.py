"""Drawn frames: cuts, things that move, and a number that is lost at 180 lines; icons."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from miniyoutube.drawing import frames_of_scene
from miniyoutube.script import GROUNDS, TEXTURES, Scene, shots_of
from tests.miniyoutube.renditions import PLAIN


def rgb(canvas: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(canvas, cv2.COLOR_YUV2RGB_I420)


def first_of(scene: Scene) -> np.ndarray:
    return rgb(next(frames_of_scene(scene, (0,), 1280, 720)))


@pytest.mark.parametrize("background", GROUNDS)
def test_a_background_keeps_its_colour_under_any_texture(background: str) -> None:
    """Hardly anything is cut off at black or at full light: what was cut off would show in the mean, at any size."""
    means = []
    for texture in TEXTURES:
        scene = Scene(background, texture, "circle", "red", 0, "upwards", "cat", 3)
        picture = first_of(scene)[:400, 320:1280].astype(float)
        assert ((picture > 0) & (picture < 255)).mean() > 0.98
        assert picture[..., 1].std() > 15, "a texture is seen"
        means.append(picture.mean((0, 1)))
    assert np.ptp(means, axis=0).max() < 1.5


def test_the_small_number_is_lost_at_180_lines_and_not_at_720() -> None:
    """Pictures that differ in the digit alone: far apart at 720p, nearly the same at 320x180."""
    scene = shots_of(PLAIN)[0].scene
    one, eight = (first_of(replace(scene, digit=digit)) for digit in (1, 8))
    large = np.abs(one.astype(int) - eight).max(axis=2)
    assert (large > 120).sum() > 40, "a pen's stroke at 720p"
    small = [cv2.resize(picture, (320, 180), interpolation=cv2.INTER_AREA).astype(int) for picture in (one, eight)]
    assert (np.abs(small[0] - small[1]).max(axis=2) > 120).sum() <= 6
