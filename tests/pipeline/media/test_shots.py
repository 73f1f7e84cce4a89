"""Cuts, dissolves and fades at the bounds beyond which each is none any more, on drawn pictures of 64 x 36."""

import tracemalloc
from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from pipeline.media.shot_pictures import HEIGHT, WIDTH, Pictures, Transition, few_pixels, likeness
from pipeline.media.shots import ShotFinder, transitions


def blobs(seed: int) -> Pictures:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(20, 220, (9, 16)), np.ones((4, 4))).astype(np.float32)


def flat(value: float) -> Pictures:
    return np.full((HEIGHT, WIDTH), value, np.float32)


def speckled(mean: float, spread: float, seed: int = 0) -> Pictures:
    """Each pixel as much above the mean as another is below it."""
    signs = np.repeat([-1.0, 1.0], HEIGHT * WIDTH // 2)
    return (mean + spread * np.random.default_rng(seed).permutation(signs)).reshape(HEIGHT, WIDTH).astype(np.float32)


ONE, OTHER = blobs(0), blobs(1)
RAMP = np.tile(np.linspace(20, 200, WIDTH), (HEIGHT, 1)).astype(np.float32)
TURNED = np.ascontiguousarray(RAMP[:, ::-1])


def steady(n: int) -> list[float]:
    """Shares of a dissolve over n frames."""
    return [(i + 1) / (n + 1) for i in range(n)]


def mixed(shares: Sequence[float], one: Pictures = ONE, other: Pictures = OTHER, *, size: int = 29) -> Pictures:
    """A run of so many pictures, in the middle of it mixtures with these shares of the other."""
    before = (size - len(shares)) // 2
    whole = [0.0] * before + list(shares) + [1.0] * (size - len(shares) - before)
    return np.stack([one + share * (other - one) for share in whole]).astype(np.float32)


def test_pictures_are_alike_whatever_their_brightness_and_contrast_and_moved_by_a_fifth() -> None:
    assert likeness(ONE, ONE * 0.5 + 60) > 0.99
    assert likeness(ONE, np.roll(ONE, (7, 13), (0, 1))) > 0.99
    assert max(likeness(ONE, np.roll(ONE, by, (0, 1))) for by in [(9, 0), (0, 16)]) < 0.5
    assert likeness(RAMP, TURNED) < -0.9


def test_a_picture_alone_or_none_has_no_transition() -> None:
    assert transitions(np.zeros((0, HEIGHT, WIDTH), np.float32)) == []
    assert transitions(np.stack([ONE])) == []
    assert transitions(np.stack([ONE, OTHER])) == [Transition(1, 1)]
    assert transitions(np.stack([ONE, ONE, ONE, OTHER, OTHER])) == [Transition(3, 3)]


@pytest.mark.filterwarnings("error")
def test_a_single_frame_of_another_picture_is_no_cut() -> None:
    assert transitions(np.stack([ONE] * 20 + [OTHER] + [ONE] * 20)) == []


@pytest.mark.parametrize(("share", "at"), [(0.3, 21), (0.7, 20)])
def test_a_cut_with_one_mixed_frame_is_one_cut_where_more_of_it_changes(share: float, at: int) -> None:
    pictures = np.stack([ONE] * 20 + [ONE + share * (OTHER - ONE)] + [OTHER] * 20)
    assert transitions(pictures) == [Transition(at, at)]


def spreads(values: Sequence[float], *, mean: float = 20.0, step: int = 1) -> list[Transition]:
    """What is found in frames of this contrast, each as bright on average."""
    return transitions(np.stack([speckled(mean, value) for value in values]), step)


DOWN = [60.0] * 5 + [50.0, 40.0, 30.0, 20.0, 10.0]
"""A shot of five frames, and its fade to black."""


def test_a_fade_reaches_from_the_last_frame_at_full_contrast_to_the_first() -> None:
    assert spreads([*DOWN, 0, 0, 0, *DOWN[::-1]]) == [Transition(4, 18)]
    assert spreads([*DOWN, 0, *DOWN[::-1]]) == [Transition(4, 16)]


def test_a_film_that_begins_or_ends_in_black_has_no_fade_there() -> None:
    assert spreads([0, 0, *DOWN[::-1]]) == spreads([*DOWN, 0, 0]) == []
    assert spreads([10, 0, 20]) == [Transition(0, 2)]
    assert spreads([0, 10, 20, 10, 0, 10, 20]) == [Transition(2, 6)]


def dissolves(run: Pictures, step: int = 1) -> list[tuple[int, int]]:
    """The dissolves in a run of pictures between twenty more of its first and of its last, counted from the run."""
    whole = np.concatenate([run[:1].repeat(20 * step, 0), run, run[-1:].repeat(20 * step, 0)])
    return [(t.first - 20 * step, t.last - 20 * step) for t in transitions(whole, step) if t.is_gradual]


@pytest.mark.parametrize(("n", "spans"), [(3, []), (4, [(12, 16)]), (6, [(11, 17)]), (14, [(8, 20)]), (20, [(6, 22)])])
def test_a_dissolve_takes_four_frames_or_more(n: int, spans: list[tuple[int, int]]) -> None:
    """A frame with less than an eighth of either shot counts as one of the other alone."""
    assert dissolves(mixed(steady(n))) == spans


@pytest.mark.parametrize(("share", "found"), [(0.3, False), (0.6, True)])
def test_the_ends_of_a_dissolve_are_unlike(share: float, found: bool) -> None:
    """A shot in which something appears slowly is no other shot."""
    assert bool(dissolves(mixed(steady(12), other=(ONE + share * (OTHER - ONE)).astype(np.float32)))) == found


@pytest.mark.parametrize("fps", [10, 37, 50])
def test_a_dissolve_is_found_at_any_rate_wherever_the_blocks_of_pictures_end(fps: int) -> None:
    """Pictures are looked at in blocks: what lies across two is neither lost nor told twice."""
    step = max(1, round(fps / 25))
    between = mixed(steady(10 * step), size=10 * step)
    for cut in (245, 284, 300, 316):
        run = np.concatenate([np.stack([ONE] * cut), between, np.stack([OTHER] * (720 - cut))]).astype(np.uint8)
        finder = ShotFinder(fps)
        for picture in run:
            finder.feed(picture)
        [found] = finder.finish()
        assert found.is_gradual and abs(found.middle - cut - 5 * step) <= 3 * step


def test_of_many_cuts_none_is_lost_or_told_twice_and_few_pictures_are_held() -> None:
    finder = ShotFinder(25)
    tracemalloc.start()
    for n in range(2400):
        finder.feed(blobs(n // 11 % 50).astype(np.uint8))
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert finder.finish() == [Transition(n, n) for n in range(11, 2400, 11)]
    assert most_bytes < 16e6, "as numbers, 2400 pictures are 22 MB"


def test_a_picture_is_made_small_by_the_mean_of_its_parts_and_a_large_one_by_a_sixteenth_of_it() -> None:
    few = OTHER.astype(np.uint8)
    for times in (1, 3, 8, 11):
        large = np.kron(few, np.ones((times, times), np.uint8))
        assert np.abs(few_pixels(large).astype(int) - few).mean() < 4
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT * 3, WIDTH * 3), dtype=np.uint8)
    means = noise.reshape(HEIGHT, 3, WIDTH, 3).mean(axis=(1, 3))
    assert np.abs(few_pixels(noise) - means).max() <= 1


def test_two_fades_are_two_spans() -> None:
    up = DOWN[::-1]
    assert spreads([*DOWN, 0, *up, *DOWN, 0, 0, *up]) == [Transition(4, 16), Transition(25, 38)]


def test_of_two_changes_within_two_frames_the_larger_is_the_cut() -> None:
    """A frame between two shots that shows another picture altogether: the cut is where more changes."""
    far = 230 - ONE
    for between in ((far,), (far, far)):
        assert transitions(np.stack([ONE] * 20 + list(between) + [OTHER] * 20)) == [Transition(20, 20)]


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (800, 1920), (1280, 720), (288, 512), (180, 320)])
def test_rows_that_are_left_unread_do_not_count(size: tuple[int, int]) -> None:
    luma = np.random.default_rng(5).integers(0, 256, (size[0], size[1] + 32), dtype=np.uint8)[:, : size[1]]
    whole = luma if size == (180, 320) else cv2.resize(luma, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)

    assert np.array_equal(few_pixels(luma), cv2.resize(whole, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


def a_scene(seed: int) -> Pictures:
    """Detail in every part of the picture, on soft shapes."""
    detail = np.random.default_rng(seed).normal(0, 18, (HEIGHT, WIDTH))
    return np.clip(blobs(seed) + detail, 0, 255).astype(np.float32)


SCENE, NEXT = a_scene(20), a_scene(21)


@pytest.mark.parametrize("moves", [0, 1])
def test_a_caption_or_an_inset_that_comes_and_goes_is_no_cut(moves: int) -> None:
    """Boxes of 17 and of 20 %, over a still picture and over one that moves."""
    for box, shown in (((slice(24, 34), slice(10, 50)), 235.0), ((slice(2, 18), slice(32, 61)), ONE[18:34, 2:31])):
        pictures = np.stack([np.roll(SCENE, moves * i, 1) for i in range(80)])
        pictures[(slice(25, 55), *box)] = shown
        assert transitions(pictures) == []


def test_of_the_next_shot_a_cut_is_found_though_the_caption_stays() -> None:
    pictures = np.stack([SCENE] * 40 + [NEXT] * 40)
    pictures[:, 24:34, 10:50] = 235.0
    assert transitions(pictures) == [Transition(40, 40)]


def in_colours(pictures: Sequence[Pictures], *blue: float) -> list[tuple[int, int]]:
    """The cuts in these pictures, of such a blue."""
    finder = ShotFinder(25)
    for picture, value in zip(pictures, blue, strict=True):
        finder.feed(picture.astype(np.uint8), np.stack([np.full((9, 16), v, np.uint8) for v in (value, 128)]))
    return [(found.first, found.last) for found in finder.finish()]


def test_shots_of_one_brightness_are_told_apart_by_their_colour_and_a_change_of_the_light_is_no_cut() -> None:
    pale = [flat(120)] * 80
    assert in_colours(pale, *[100] * 40, *[140] * 40) == [(40, 40)]
    assert in_colours(pale, *[100] * 40, *[107] * 40) == [], "too little"
    assert in_colours(pale, *[100] * 40, 140, 140, *[100] * 38) == [], "a coloured flash"
    assert in_colours([SCENE] * 80, *[100] * 40, *[140] * 40) == [], "all that is seen stays"


@pytest.mark.parametrize("level", [16.0, 235.0])
def test_a_fade_through_black_or_white_is_one_transition(level: float) -> None:
    out = [level + (SCENE - level) * (1 - share) for share in steady(9)]
    into = [level + (NEXT - level) * share for share in steady(9)]
    [found] = transitions(np.stack([SCENE] * 40 + out + [flat(level)] * 3 + into + [NEXT] * 40))
    assert found.is_gradual and abs(found.middle - 50) <= 2


def test_a_white_flash_is_no_fade() -> None:
    assert transitions(np.stack([SCENE] * 40 + [flat(235)] * 3 + [SCENE] * 40)) == []


def joined(kind: str, share: float) -> Pictures:
    """A picture on the way from SCENE to NEXT."""
    across, down = round(WIDTH * share), round(HEIGHT * share)
    if kind == "wipe":
        return np.concatenate([NEXT[:, :across], SCENE[:, across:]], axis=1)
    if kind == "push left":
        return np.concatenate([SCENE[:, across:], NEXT[:, :across]], axis=1)
    if kind == "push down":
        return np.concatenate([NEXT[HEIGHT - down :], SCENE[: HEIGHT - down]], axis=0)
    if kind == "iris":
        circle = cv2.circle(np.zeros((HEIGHT, WIDTH), np.uint8), (32, 18), round(37 * share), 1, -1)
        return np.where(circle > 0, NEXT, SCENE)
    return SCENE + np.float32(share) * (NEXT - SCENE)


@pytest.mark.parametrize("kind", ["wipe", "push left", "push down", "iris", "dissolve"])
@pytest.mark.parametrize(("n", "step"), [(12, 1), (20, 1), (40, 2), (45, 1), (60, 1)])
def test_shots_that_are_joined_slowly_are_one_transition(kind: str, n: int, step: int) -> None:
    ends = 60 * step
    between = [joined(kind, share) for share in steady(n)]
    found = transitions(np.stack([SCENE] * ends + between + [NEXT] * ends).astype(np.float32), step)
    assert [one.is_gradual for one in found] == [True], found
    assert abs(found[0].middle - ends - n // 2) <= n // 4


def test_a_camera_that_pans_over_a_scene_makes_no_transition() -> None:
    wide = cv2.resize(np.concatenate([SCENE, NEXT], axis=1), (8, 5), interpolation=cv2.INTER_AREA)
    wide = cv2.resize(wide, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for n in (16, 32, 64):
        steps = [0] * 40 + [round(WIDTH * share) for share in steady(n)] + [WIDTH] * 40
        assert transitions(np.stack([wide[:, x : x + WIDTH] for x in steps]).astype(np.float32)) == []
