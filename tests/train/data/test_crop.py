"""Crops: the low view's cubic quarter, and a crop that lies inside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.crop import choose_crop, full_size, quarter


def test_the_low_view_of_a_720p_picture_is_opencvs_cubic_quarter():
    cv2 = pytest.importorskip("cv2")
    picture = np.random.default_rng(0).integers(0, 256, (640, 1024, 3), dtype=np.uint8)

    expected = cv2.resize(picture, (256, 160), interpolation=cv2.INTER_CUBIC)

    assert np.abs(quarter(picture).astype(int) - expected).max() <= 1


@given(st.integers(4, 23), st.integers(4, 23), st.integers(0, 2**32 - 1))
def test_a_quarter_is_the_weighted_sum_of_whole_blocks_rounded_to_the_nearest(height, width, seed):
    picture = np.random.default_rng(seed).choice(np.array([0, 1, 128, 254, 255], np.uint8), (height, width, 3))
    weights = np.array([-3, 19, 19, -3])

    blocks = picture[: height // 4 * 4, : width // 4 * 4].astype(int).reshape(height // 4, 4, width // 4, 4, 3)
    total = np.einsum("i,hiwjc,j->hwc", weights, blocks, weights)

    assert np.array_equal(quarter(picture), ((total + 512) // 1024).clip(0, 255))


@given(st.integers(90, 4000), st.integers(90, 4000), st.sampled_from([(160, 256), (48, 80), (16, 32)]), st.booleans())
def test_a_crop_lies_inside_the_quarter_picture_and_has_the_views_shape(width, height, view, drawn):
    crop = choose_crop(width, height, view, np.random.default_rng(0) if drawn else None)

    full_width, full_height = full_size(width, height)
    assert crop.x >= 0 and crop.x + crop.width <= full_width // 4
    assert crop.y >= 0 and crop.y + crop.height <= full_height // 4
    assert abs(crop.width - crop.height * view[1] / view[0]) <= view[1] / view[0]
