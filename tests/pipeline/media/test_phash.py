"""The hash of a picture: near for copies, far for others."""

from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.media.phash import (
    BEGIN,
    CENTRE,
    END,
    INNER,
    MIDDLE,
    N_HASHES,
    NOTHING,
    WHOLE,
    ClipHashes,
    distances,
    mirrored,
    mirrored_pictures,
    pack_hashes,
    phash,
    picture_hashes,
    unpack_all,
    unpack_hashes,
)
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
    assert bits(picture_hashes(luma)[WHOLE], picture_hashes(framed)[WHOLE]) <= 4
    cropped = np.ascontiguousarray(luma[11:-11, 19:-19])
    assert bits(picture_hashes(luma)[MIDDLE], picture_hashes(cropped)[WHOLE]) <= 6


def with_logo_and_bar(luma: Any) -> Any:
    luma = luma.copy()
    luma[9:30, 260:300] = 235
    luma[155:172, 32:288] = 16
    return luma


ALTERED = {
    "a logo and a bar": (with_logo_and_bar, INNER),
    "a logo": (lambda luma: np.concatenate([with_logo_and_bar(luma)[:90], luma[90:]]), BEGIN),
    "cropped at the right": (lambda luma: luma[:, :272], BEGIN),
    "cropped at the left": (lambda luma: luma[:, 48:], END),
    "pillars": (lambda luma: np.pad(luma, ((0, 0), (64, 64)), mode="edge"), CENTRE),
    "pillars at a portrait": (
        lambda luma: np.pad(luma[:, 109:210], ((0, 0), (109, 110)), mode="edge"),
        CENTRE,
    ),
}


@pytest.mark.parametrize("name", ALTERED)
def test_what_is_done_to_a_copy_spares_one_part(name: str) -> None:
    alter, part = ALTERED[name]
    for scene in range(6):
        luma = grey(scene)
        altered = np.ascontiguousarray(alter(luma))
        assert bits(picture_hashes(luma)[part], picture_hashes(altered)[part]) <= 7, scene


def test_parts_of_a_mirrored_picture_are_exchanged() -> None:
    luma = grey(2)
    turned = mirrored_pictures(np.array([picture_hashes(luma)], np.uint64))[0]
    theirs = picture_hashes(np.ascontiguousarray(luma[:, ::-1]))
    assert max(bits(int(a), b) for a, b in zip(turned, theirs, strict=True)) <= 6


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
    packed = pack_hashes([(NOTHING,) * N_HASHES, (5, 7, 1, 2, 3, 4), (2**64 - 1, 1, 0, 0, 0, 9)])
    assert len(packed) == 1 + 3 * 48
    assert unpack_hashes(packed).tolist() == [[5, 7, 1, 2, 3, 4], [2**64 - 1, 1, 0, 0, 0, 9]]
    assert unpack_hashes(b"").shape == unpack_hashes(pack_hashes([])).shape == (0, N_HASHES)


def test_values_of_an_earlier_version_hold_two_hashes_a_picture() -> None:
    older = b"".join(value.to_bytes(8, "big") for value in (5, 7, 2**64 - 1, 1))
    hashes, counts = unpack_all([older, b"", pack_hashes([(1, 2, 3, 4, 5, 6)])])
    assert counts.tolist() == [2, 0, 1]
    assert hashes.tolist() == [[5, 7, 0, 0, 0, 0], [2**64 - 1, 1, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6]]


def test_a_picture_that_stands_is_hashed_once() -> None:
    clip = ClipHashes()
    for scene in (0, 0, 0, 3, 3, 0):
        clip.add(grey(scene))
    clip.add(np.full((180, 320), 16, np.uint8))
    assert unpack_hashes(clip.packed())[:, WHOLE].tolist() == [phash(grey(scene)) for scene in (0, 3, 0)]


def test_distances_count_differing_bits() -> None:
    a, b = np.array([0, 255], np.uint64), np.array([1, 2**64 - 1], np.uint64)
    assert distances(a, b).tolist() == [[1, 64], [7, 56]]
