"""The hash of a picture: near for copies, far for others."""

from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.media.phash import NOTHING, distances, mirrored, pack_hashes, phash, picture_hashes, unpack_hashes
from pipeline.testing.video import Film, draw_picture


def grey(scene: int) -> Any:
    film = Film(width=320, height=180, cuts=tuple(range(1, scene + 1)))
    return cv2.cvtColor(draw_picture(film, scene), cv2.COLOR_RGB2GRAY)


def bits(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def test_it_is_the_hash_that_imagehash_gives() -> None:
    imagehash = pytest.importorskip("imagehash", exc_type=ImportError)
    image = pytest.importorskip("PIL.Image")
    for scene in range(8):
        luma = cv2.resize(grey(scene), (32, 32), interpolation=cv2.INTER_AREA)
        theirs = int(str(imagehash.phash(image.fromarray(luma))), 16)
        assert bits(phash(luma), theirs) <= 2  # rounding of values on the median


def test_a_copy_is_near_and_another_picture_far() -> None:
    for scene in range(6):
        luma = grey(scene)
        softer = cv2.GaussianBlur(luma, (0, 0), 2)
        brighter = cv2.convertScaleAbs(luma, alpha=1.1, beta=12)
        assert bits(phash(luma), phash(softer)) <= 6
        assert bits(phash(luma), phash(brighter)) <= 6
        assert bits(phash(luma), phash(grey(scene + 1))) >= 16


def test_bars_do_not_change_it_and_the_middle_answers_for_a_crop() -> None:
    luma = grey(3)
    framed = np.pad(luma, ((30, 30), (0, 0)), constant_values=16)
    assert bits(picture_hashes(luma)[0], picture_hashes(framed)[0]) <= 4
    cropped = np.ascontiguousarray(luma[11:-11, 19:-19])
    assert bits(picture_hashes(luma)[1], picture_hashes(cropped)[0]) <= 6


def test_the_hash_of_a_mirrored_picture_follows_from_its_own() -> None:
    for scene in range(6):
        luma = grey(scene)
        turned = mirrored(np.array([phash(luma)], np.uint64))
        assert bits(int(turned[0]), phash(np.ascontiguousarray(luma[:, ::-1]))) <= 6


@pytest.mark.parametrize("right", [False, True])
def test_a_logo_in_the_corner_of_a_dark_picture_tells_nothing(right: bool) -> None:
    dark = np.full((180, 320), 20, np.uint8)
    columns = slice(280, 310) if right else slice(10, 40)
    dark[10:30, columns] = 230
    assert phash(dark) == NOTHING
    dark[80:100, 140:180] = 120
    assert phash(dark) != NOTHING


def test_a_flat_picture_has_nothing_to_be_told_by() -> None:
    assert phash(np.full((180, 320), 16, np.uint8)) == NOTHING
    packed = pack_hashes([(NOTHING, NOTHING), (5, 7), (2**64 - 1, 1)])
    assert len(packed) == 48
    assert unpack_hashes(packed).tolist() == [[5, 7], [2**64 - 1, 1]]
    assert unpack_hashes(b"").shape == (0, 2)


def test_distances_count_differing_bits() -> None:
    a, b = np.array([0, 255], np.uint64), np.array([1, 2**64 - 1], np.uint64)
    assert distances(a, b).tolist() == [[1, 64], [7, 56]]
