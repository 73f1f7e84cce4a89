"""Crops: the low view's cubic quarter, and a crop that lies inside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.crop import Crop, choose_crop, full_size, quarter


def test_the_low_view_of_a_720p_picture_is_opencvs_cubic_quarter():
    cv2 = pytest.importorskip("cv2")
    picture = np.random.default_rng(0).integers(0, 256, (640, 1024, 3), dtype=np.uint8)

    expected = cv2.resize(picture, (256, 160), interpolation=cv2.INTER_CUBIC)

    assert np.abs(quarter(picture).astype(int) - expected).max() <= 1


@given(st.integers(90, 4000), st.integers(90, 4000), st.sampled_from([(160, 256), (48, 80), (16, 32)]), st.booleans())
def test_a_crop_lies_inside_the_quarter_picture_and_has_the_views_shape(width, height, view, drawn):
    crop = choose_crop(width, height, view, np.random.default_rng(0) if drawn else None)

    full_width, full_height = full_size(width, height)
    assert crop.x >= 0 and crop.x + crop.width <= full_width // 4
    assert crop.y >= 0 and crop.y + crop.height <= full_height // 4
    assert abs(crop.width - crop.height * view[1] / view[0]) <= view[1] / view[0]


@pytest.mark.parametrize(
    ("size", "view", "crop"),
    [
        ((1280, 720), (160, 256), Crop(32, 10, 256, 160)),
        ((1280, 720), (64, 64), Crop(80, 10, 160, 160)),
        ((720, 1280), (160, 256), Crop(0, 104, 180, 112)),
        ((720, 720), (160, 160), Crop(10, 10, 160, 160)),
    ],
)
def test_evaluation_takes_the_largest_crop_of_the_views_shape_from_the_middle(
    size: tuple[int, int], view: tuple[int, int], crop: Crop
) -> None:
    assert choose_crop(*size, view, None) == crop


def test_training_may_look_into_every_corner():
    crops = [choose_crop(1280, 720, (160, 256), np.random.default_rng(seed)) for seed in range(200)]

    assert (min(c.x for c in crops), min(c.y for c in crops)) == (0, 0)
    assert (max(c.x for c in crops), max(c.y for c in crops)) == (64, 20)
