"""What is measured of a clip's pictures: when one is looked at, what moves, what is black at the border."""

from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.media.checks.look import Look, picture_size

VIDEO: Any = SimpleNamespace(width=1280, height=720)


def flat(value: int) -> Any:
    return np.full((36, 64), value, np.uint8)


def test_the_first_picture_of_each_half_second_is_looked_at() -> None:
    look = Look()
    times_ms = [0, 40, 480, 499, 500, 501, 990, 1030, 1480, 1500, 2900, 2999, 3000]
    assert [ms for ms in times_ms if look.time(ms)] == [0, 500, 1030, 1500, 2900, 3000]
    assert look.n_frames == len(times_ms)


def test_the_longest_time_without_a_picture_counts_from_the_start_to_the_end() -> None:
    def gap_ms(times_ms: list[int], duration_ms: int) -> int:
        look = Look()
        for ms in times_ms:
            look.time(ms)
        look.close(duration_ms)
        return look.longest_gap_ms

    assert gap_ms([300, 400, 500], 600) == 300
    assert gap_ms([0, 100, 900, 1000], 1040) == 800
    assert gap_ms([0, 100], 2000) == 1900
    assert gap_ms([], 700) == 700


def textured(seed: int) -> Any:
    """A picture (180 x 320) in which everything can be found again."""
    coarse = np.random.default_rng(seed).integers(0, 255, (18, 32), dtype=np.uint8)
    return cv2.resize(coarse, (320, 180), interpolation=cv2.INTER_CUBIC)


def motion_of(pictures: list[Any]) -> float:
    look = Look()
    for picture in pictures:
        look.add(picture)
    return look.motion


@pytest.mark.parametrize(("pixels", "percent"), [(2, 1.1), (6, 3.3)])
def test_motion_is_how_far_the_picture_moves_between_two_looks(pixels: int, percent: float) -> None:
    moving = [np.roll(textured(1), pixels * i, axis=1) for i in range(8)]
    assert motion_of(moving) == pytest.approx(percent, rel=0.15)
    noise = np.random.default_rng(2).integers(-6, 7, (8, 180, 320))
    noisy = [np.clip(picture + more, 0, 255).astype(np.uint8) for picture, more in zip(moving, noise, strict=True)]
    assert motion_of(noisy) == pytest.approx(percent, rel=0.2), "it is the scene's, not the encoder's"


@pytest.mark.parametrize("shape", [(2, 2), (18, 160), (36, 320), (180, 4000), (4000, 180), (180, 180)])
def test_pictures_of_any_shape_are_measured_or_are_not(shape: tuple[int, int]) -> None:
    """OpenCV's own code ends the process on some."""
    rng = np.random.default_rng(1)
    assert 0 <= motion_of([rng.integers(0, 255, shape, dtype=np.uint8) for _ in range(4)]) <= 10


def test_pictures_that_only_become_brighter_by_noise_or_change_once_are_still() -> None:
    assert motion_of([]) == motion_of([flat(3)]) == -1.0, "one picture has nothing to be compared with"
    noise = np.random.default_rng(3).integers(0, 5, (6, 180, 320), dtype=np.uint8)
    assert motion_of([16 + some for some in noise]) == 0.0
    assert motion_of([textured(1)] * 3 + [textured(2)] * 3) == 0.0


def with_bars(rows: slice, columns: slice, *, inside: int = 120, border: int = 16) -> Any:
    luma = np.full((36, 64), border, np.uint8)
    luma[rows, columns] = inside
    return luma


ALL = slice(None)


@pytest.mark.parametrize(
    ("luma", "size"),
    [
        (with_bars(ALL, ALL), (1280, 720)),
        (with_bars(slice(1, 35), ALL), (1280, 720)),
        (with_bars(slice(1, 36), slice(2, 64)), (1280, 720)),
        (with_bars(slice(2, 35), ALL), (1280, 680)),
        (with_bars(ALL, slice(3, 64)), (1240, 720)),
        (with_bars(slice(9, 27), slice(16, 48)), (660, 380)),
        (with_bars(slice(3, 33), ALL, border=30), (1280, 620)),
        (with_bars(slice(3, 33), ALL, border=31), (1280, 720)),
    ],
)
def test_bars_are_rows_and_columns_that_stay_black_one_small_pixel_aside(luma: Any, size: tuple[int, int]) -> None:
    look = Look()
    look.add(luma)
    assert picture_size(look, VIDEO) == size
    if size != (1280, 720):
        look.add(with_bars(ALL, ALL))
        assert picture_size(look, VIDEO) == (1280, 720), "what was once shown is no bar"
        look.add(luma)
        assert picture_size(look, VIDEO) == (1280, 720)


@pytest.mark.parametrize(("value", "counts"), [(34, False), (35, True)])
def test_a_picture_that_is_dark_on_average_tells_nothing_of_bars(value: int, counts: bool) -> None:
    look = Look()
    look.add(flat(value))
    assert (look.row_shows is not None) == counts


def test_where_all_is_black_or_nothing_was_seen_the_whole_picture_counts() -> None:
    assert picture_size(Look(), VIDEO) == (1280, 720)
    for rows, columns in [(False, True), (True, False)]:
        assert picture_size(Look(np.full(36, rows), np.full(64, columns)), VIDEO) == (1280, 720)
    assert picture_size(Look(None, np.full(64, False)), VIDEO) == (1280, 720)


def test_a_few_bright_pixels_in_a_bar_are_noise() -> None:
    """Of a row each third pixel is looked at, 107 of 320, and three of those may be bright."""
    wide = np.full((36, 320), 120, np.uint8)
    wide[:6] = 16
    wide[3, 30:39] = 255
    look = Look()
    look.add(wide)
    assert picture_size(look, VIDEO) == (1280, 620)
    wide[3, 30:40] = 255
    look.add(wide)
    assert picture_size(look, VIDEO) == (1280, 680)
