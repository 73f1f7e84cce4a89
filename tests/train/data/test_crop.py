"""Crops: the low view's cubic quarter, and a crop that lies inside it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from train.data.crop import Crop, choose_crop, cut_view, full_size, quarter


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


@pytest.mark.parametrize("times", [0.5, 1, 2, 3])
@pytest.mark.parametrize("size", [(40, 64), (20, 32), (60, 96), (40, 40)], ids=str)
def test_a_view_shows_the_part_that_the_crop_names_whatever_the_pictures_own_size(times, size):
    """Red grows to the right, green downwards: 0 to 240 over the whole picture."""
    height, width = round(72 * times), round(128 * times)
    across, down = ((np.arange(n) + 0.5) / n * 240 for n in (width, height))
    picture = np.stack(np.broadcast_arrays(across[None], down[:, None], 7), 2).astype(np.uint8)

    view = cut_view(picture, Crop(8, 12, 64, 40), (72, 128), size)

    assert view.shape == (*size, 3) and (view[..., 2] == 7).all()
    for shown, n, first, last in (
        (view[0, :, 0], size[1], 8 / 128, 72 / 128),
        (view[:, 0, 1], size[0], 12 / 72, 52 / 72),
    ):
        wanted = (first + (np.arange(n) + 0.5) / n * (last - first)) * 240
        assert np.abs(shown - wanted).max() < 4


def test_a_crop_of_the_pictures_own_scale_is_taken_out_of_it_without_resampling():
    picture = np.random.default_rng(0).integers(0, 256, (72, 128, 3), dtype=np.uint8)

    view = cut_view(picture, Crop(8, 12, 64, 40), (72, 128), (40, 64))

    assert np.array_equal(view, picture[12:52, 8:72]) and np.shares_memory(view, picture)
    assert Crop(1, 2, 3, 4).times(5) == Crop(5, 10, 15, 20)


@pytest.mark.parametrize("height", [2048, 2049], ids=["one piece of memory", "several"])
def test_a_picture_of_pillows_is_cut_as_its_pixels_are(height: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, 2048, 3), dtype=np.uint8)

    view = cut_view(Image.fromarray(picture), Crop(8, 12, 64, 40), (height, 2048), (40, 64))

    assert np.array_equal(view, picture[12:52, 8:72])


def test_a_crop_between_pixels_is_resampled_though_its_size_is_the_views():
    picture = np.zeros((36, 64, 3), np.uint8)
    picture[:, ::2] = 200

    view = cut_view(picture, Crop(9, 12, 64, 40), (72, 128), (20, 32))

    assert view.min() > 60 and view.max() < 140, "half of one column and half of the next"


@pytest.mark.parametrize(
    ("size", "full"),
    [((1280, 720), (1280, 720)), ((720, 1280), (720, 1280)), ((1000, 721), (1000, 720)), ((4000, 90), (32_000, 720))],
)
def test_a_pictures_short_side_is_720_and_both_are_whole_in_quarters(size, full):
    assert full_size(*size) == full


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
