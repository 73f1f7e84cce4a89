"""The hash of a picture: near for copies, far for others."""

from typing import Any

import cv2
import numpy as np
import pytest

from hdvila_testing.video import Film, draw_picture
from pipeline.media.phash import (
    BEGIN,
    BUT_BEGIN,
    BUT_END,
    CENTRE,
    END,
    INNER,
    MIDDLE,
    N_HASHES,
    NOTHING,
    WHOLE,
    ClipHashes,
    _without_bars,
    mirrored,
    mirrored_pictures,
    pack_hashes,
    phash,
    show_something,
    unpack_hashes,
)
from tests.pipeline.media.looks import picture_hashes


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
    cropped = np.ascontiguousarray(luma[18:-18, 32:-32])
    assert bits(picture_hashes(luma)[INNER], picture_hashes(cropped)[MIDDLE]) <= 8


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


@pytest.mark.parametrize("tall", [False, True])
def test_what_fill_makes_of_a_picture_of_the_other_shape_is_found_in_its_middle(tall: bool) -> None:
    for scene in range(6):
        luma = grey(scene)
        framed = np.pad(luma, ((195, 195), (0, 0)), mode="edge")
        framed[:120] = framed[-90:] = 128  # of one brightness, more of it above
        whole, strip = (np.ascontiguousarray(one.T if tall else one) for one in (luma, framed))
        assert bits(picture_hashes(whole)[WHOLE], picture_hashes(strip)[CENTRE]) <= 4, scene


@pytest.mark.parametrize("share", [0.1, 0.15])
@pytest.mark.parametrize("tall", [False, True])
def test_a_crop_at_one_end_of_the_shorter_side_shows_what_is_left_without_an_eighth_there(
    share: float, tall: bool
) -> None:
    scenes = [np.ascontiguousarray(grey(scene).T if tall else grey(scene)) for scene in range(6)]
    height, width = scenes[0].shape
    cut = round(min(height, width) * share)
    left = {
        BUT_BEGIN: np.s_[:, cut:] if tall else np.s_[cut:],
        BUT_END: np.s_[:, : width - cut] if tall else np.s_[: height - cut],
    }
    for part, rest in left.items():
        near = [
            bits(picture_hashes(luma)[part], picture_hashes(np.ascontiguousarray(luma[rest]))[WHOLE]) <= 8
            for luma in scenes
        ]
        assert sum(near) >= 5, part


def test_parts_of_a_mirrored_picture_are_exchanged() -> None:
    luma = grey(2)
    turned = mirrored_pictures(np.array([picture_hashes(luma)], np.uint64))[0]
    theirs = picture_hashes(np.ascontiguousarray(luma[:, ::-1]))
    apart = [bits(int(a), b) for a, b in zip(turned, theirs, strict=True)]
    assert max(apart) <= 6


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
    packed = pack_hashes([(NOTHING,) * N_HASHES, (5, 7, 1, 2, 3, 4, 8, 6), (2**64 - 1, 1, 0, 0, 0, 9, 0, 1)])
    assert len(packed) == 1 + 3 * 64
    assert unpack_hashes(packed).tolist() == [[5, 7, 1, 2, 3, 4, 8, 6], [2**64 - 1, 1, 0, 0, 0, 9, 0, 1]]
    assert unpack_hashes(b"").shape == unpack_hashes(pack_hashes([])).shape == (0, N_HASHES)


def test_a_picture_that_stands_is_hashed_once() -> None:
    clip = ClipHashes()
    for scene in (0, 0, 0, 3, 3, 0):
        clip.add(grey(scene))
    clip.add(np.full((180, 320), 16, np.uint8))
    assert unpack_hashes(clip.packed())[:, WHOLE].tolist() == [phash(grey(scene)) for scene in (0, 3, 0)]


def test_a_picture_shows_something_where_its_whole_and_its_middle_do() -> None:
    hashes = np.array([[1, 2, 0, 0, 0, 0], [0, 2, 1, 1, 1, 1], [1, 0, 1, 1, 1, 1]], np.uint64)
    assert show_something(hashes).tolist() == [True, False, False]
    assert mirrored(np.array([NOTHING, 5], np.uint64)).tolist() == [NOTHING, 5 ^ 0x5555555555555555]


def numbered(height: int, width: int) -> Any:
    """Each row and each column of it can be told, and none is black."""
    return (40 + np.add.outer(np.arange(height), np.arange(width)) % 200).astype(np.uint8)


def test_pictures_are_hashed_many_at_once_as_one_by_one() -> None:
    """With repeats, pictures with bars between the others, and some that show nothing."""
    shown = [grey(scene % 40) for scene in range(90) for _ in range(1 + scene % 3 // 2)]
    for bar in shown[::7]:
        bar[:20] = bar[-20:] = 16
    shown[::11] = [np.full((180, 320), 16, np.uint8)] * len(shown[::11])
    clip, known = ClipHashes(), []
    for luma in shown:
        clip.add(luma)
        hashes = picture_hashes(luma)
        if hashes[WHOLE] != NOTHING and (not known or bits(hashes[WHOLE], known[-1][WHOLE]) > 2):
            known.append(hashes)
    assert 60 < len(known) < len(shown)
    assert clip.packed() == pack_hashes(known) == clip.packed()


def test_bars_of_one_brightness_are_left_out_where_what_is_left_is_large_enough() -> None:
    def left(rows: int, columns: int, border: int = 30) -> tuple[int, ...]:
        picture = np.full((rows + 9, columns + 17), border, np.uint8)
        picture[4 : 4 + rows, 8 : 8 + columns] = numbered(rows, columns)
        return tuple(_without_bars(picture).shape)

    assert left(60, 80) == (60, 80) and left(32, 33) == (32, 33) and left(33, 32) == (33, 32)
    assert left(31, 80) == (40, 97) and left(80, 31) == (89, 48), "too little is left to know a picture by"
    assert left(60, 80, border=31) == left(60, 80, border=235) == (60, 80)
    assert _without_bars(numbered(60, 80)).shape == (60, 80)
