"""Cuts, dissolves and fades at the bounds beyond which each is none any more, on drawn pictures of 64 x 36."""

import tracemalloc
from collections.abc import Sequence
from typing import Any

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


def aside(one: Pictures, other: Pictures, amount: float) -> Pictures:
    """What leads away from every mixture of the two, by so much of their distance."""
    way = (other - one).reshape(-1)
    noise = speckled(0, 1, seed=5).reshape(-1)
    noise -= (noise @ way) / (way @ way) * way
    return (noise * amount * np.linalg.norm(way) / np.linalg.norm(noise)).reshape(HEIGHT, WIDTH).astype(np.float32)


def test_the_new_shot_counts_as_begun_in_the_middle() -> None:
    assert [Transition(first, last).middle for first, last in [(7, 7), (10, 13), (10, 20)]] == [7, 11, 15]
    assert not Transition(7, 7).is_gradual and Transition(7, 8).is_gradual


def test_pictures_are_alike_whatever_their_brightness_and_contrast_and_moved_by_a_fifth() -> None:
    assert likeness(ONE, ONE * 0.5 + 60) > 0.99
    assert likeness(ONE, np.roll(ONE, (7, 13), (0, 1))) > 0.99
    assert max(likeness(ONE, np.roll(ONE, by, (0, 1))) for by in [(9, 0), (0, 16)]) < 0.5
    assert likeness(RAMP, TURNED) < -0.9


@pytest.mark.parametrize(("differs_by", "alike"), [(0.9, 1.0), (1.1, 0.0)])
def test_flat_pictures_are_the_same_up_to_a_level_and_unlike_beyond(differs_by: float, alike: float) -> None:
    assert likeness(flat(100), flat(100 + differs_by)) == alike


def test_noise_of_flat_pictures_is_half_a_likeness_and_pictures_of_detail_a_whole_one() -> None:
    assert likeness(speckled(90, 2), speckled(120, 2)) == pytest.approx(0.5, abs=0.01)
    assert likeness(speckled(90, 40), speckled(120, 40)) > 0.99


def test_shifts_are_not_tried_where_the_pictures_as_they_are_come_to_enough() -> None:
    moved = np.roll(ONE, (7, 13), (0, 1))
    in_place = likeness(ONE, moved, -1.0)
    assert in_place < 0.3 and likeness(ONE, moved, in_place) == in_place
    assert likeness(ONE, moved, in_place + 0.001) > 0.99


@pytest.mark.parametrize(("spread", "cuts"), [(2.4, []), (2.6, [Transition(20, 20)])])
def test_a_cut_changes_the_picture_by_two_levels_and_a_half(spread: float, cuts: list[Transition]) -> None:
    """Two unlike pictures: half of their pixels differ, by twice the spread."""
    one = speckled(100, spread)
    other = np.where(np.arange(WIDTH)[None] % 2, one, 200 - one).astype(np.float32)
    assert np.abs(one - other).mean() == pytest.approx(spread, abs=0.01)
    assert transitions(np.stack([one] * 20 + [other] * 20)) == cuts


def test_a_picture_alone_or_none_has_no_transition() -> None:
    assert transitions(np.zeros((0, HEIGHT, WIDTH), np.float32)) == []
    assert transitions(np.stack([ONE])) == []
    assert transitions(np.stack([ONE, OTHER])) == [Transition(1, 1)]
    assert transitions(np.stack([ONE, ONE, ONE, OTHER, OTHER])) == [Transition(3, 3)]


@pytest.mark.parametrize(("off", "cuts"), [(0.24, [Transition(21, 21)]), (0.26, [])])
def test_a_mixed_frame_may_show_a_quarter_of_something_else(off: float, cuts: list[Transition]) -> None:
    pictures = np.stack([ONE] * 20 + [(ONE + OTHER) / 2 + aside(ONE, OTHER, off)] + [OTHER] * 20)
    assert transitions(pictures) == cuts


@pytest.mark.filterwarnings("error")
def test_a_single_frame_of_another_picture_is_no_cut() -> None:
    assert transitions(np.stack([ONE] * 20 + [OTHER] + [ONE] * 20)) == []


@pytest.mark.parametrize(("share", "at"), [(0.3, 21), (0.7, 20)])
def test_a_cut_with_one_mixed_frame_is_one_cut_where_more_of_it_changes(share: float, at: int) -> None:
    pictures = np.stack([ONE] * 20 + [ONE + share * (OTHER - ONE)] + [OTHER] * 20)
    assert transitions(pictures) == [Transition(at, at)]


def into_movement(
    at: int = 20,
    n: int = 40,
    *,
    step: int = 1,
    flicker: float = 45.0,
    after: float = 1.0,
    scale: float = 1.0,
    **more: Any,
) -> list[int]:
    """The cuts in a slow shot that flickers and a fast one whose first frame is `at`.

    `after`: how much more contrast its second frame has; `scale`: how much of the contrast is left in all; `frames`:
    others in their places; `begins`: where the slow shot begins, after another.
    """
    pictures = np.stack([RAMP] * at + [blobs(i) for i in range(n - at)])
    pictures[at] = TURNED
    pictures[at + 1] = 100 + (pictures[at + 1] - 100) * after
    pictures[: more.get("begins", 0)] = ONE
    for frame, picture in more.get("frames", {}).items():
        pictures[frame] = picture
    pictures[:at] += (np.arange(at) % 2 * flicker)[:, None, None]
    found = transitions((100 + (pictures - 100) * scale).astype(np.float32), step)
    assert not any(transition.is_gradual for transition in found)
    return [transition.first for transition in found]


def test_a_cut_into_movement_is_sudden_and_large() -> None:
    """It changes 97 levels from the brighter frame, one and a half times what the flicker changes, or the movement."""
    assert into_movement() == [20]
    assert into_movement(scale=0.084) == [20] and into_movement(scale=0.08) == [], "8.1 levels, and 7.8"
    assert into_movement(flicker=69, after=2.0) == [20] and into_movement(flicker=70, after=2.0) == []
    assert into_movement(flicker=70) == into_movement(flicker=69, after=3.0) == [20], "on one side is enough"


def test_a_cut_into_movement_needs_three_frames_on_either_side() -> None:
    assert (into_movement(2), into_movement(3)) == ([], [3])
    assert (into_movement(37), into_movement(38)) == ([37], [])


@pytest.mark.parametrize("step", [1, 2])
def test_a_cut_into_movement_is_not_told_again_beside_another_cut(step: int) -> None:
    for away, also in ((6 * step, [40]), (6 * step - 1, [])):
        assert into_movement(40, 80, step=step, begins=40 - away, flicker=0.0) == [40 - away, *also]


def test_a_flash_is_no_cut_into_movement() -> None:
    pale = [(TURNED - TURNED.mean()) * share + 200 for share in (0.45, 0.55)]
    assert [into_movement(frames={20: picture}) for picture in pale] == [[], [20]]
    assert into_movement(frames={22: RAMP}) == [], "the old picture comes back"
    assert into_movement(frames={20: RAMP + 30}) == [21], "the same picture, brighter, is of the old shot"


def test_one_side_of_a_cut_into_movement_shows_the_same_picture_for_three_frames() -> None:
    assert [into_movement(frames={frame: blobs(70 + frame)}) for frame in (16, 17, 18, 19)] == [[20], [], [], [19]]
    assert into_movement(frames={17: blobs(70), 18: blobs(71), 21: TURNED, 22: TURNED}) == [20]
    assert into_movement(frames={17: blobs(70), 18: blobs(71), 21: TURNED}) == []


def spreads(values: Sequence[float], *, mean: float = 20.0, step: int = 1) -> list[Transition]:
    """What is found in frames of this contrast, each as bright on average."""
    return transitions(np.stack([speckled(mean, value) for value in values]), step)


DOWN = [60.0] * 5 + [50.0, 40.0, 30.0, 20.0, 10.0]
"""A shot of five frames, and its fade to black."""


def test_a_fade_reaches_from_the_last_frame_at_full_contrast_to_the_first() -> None:
    assert spreads([*DOWN, 0, 0, 0, *DOWN[::-1]]) == [Transition(4, 18)]
    assert spreads([*DOWN, 0, *DOWN[::-1]]) == [Transition(4, 16)]


@pytest.mark.parametrize(("mean", "spread", "n"), [(23.9, 2.9, 1), (24.1, 2.9, 0), (23.9, 3.1, 0)])
def test_black_is_dark_and_flat(mean: float, spread: float, n: int) -> None:
    assert len(spreads([*DOWN, spread, spread, *DOWN[::-1]], mean=mean)) == n


def test_a_film_that_begins_or_ends_in_black_has_no_fade_there() -> None:
    assert spreads([0, 0, *DOWN[::-1]]) == spreads([*DOWN, 0, 0]) == []
    assert spreads([10, 0, 20]) == [Transition(0, 2)]
    assert spreads([0, 10, 20, 10, 0, 10, 20]) == [Transition(2, 6)]


@pytest.mark.parametrize("step", [1, 2])
def test_a_fade_reaches_two_thirds_of_a_second_at_most(step: int) -> None:
    ramp = [10.0 + 2 * i for i in range(40)]
    [fade] = spreads([*ramp[::-1], 0, 0, *ramp], step=step)
    assert (fade.first, fade.last) == (40 - 16 * step, 42 + 16 * step)


def test_contrast_that_hardly_rises_is_no_more_of_a_fade() -> None:
    assert spreads([10.3, 10.15, 10, 0, 0, 10, 10.15, 10.3]) == [Transition(2, 5)]
    assert spreads([10.6, 10.3, 10, 0, 0, 10, 10.3, 10.6]) == [Transition(0, 7)]


@pytest.mark.parametrize(("step", "n"), [(1, 25), (2, 50)])
def test_a_second_of_black_parts_two_shots_and_more_is_a_shot_of_its_own(step: int, n: int) -> None:
    assert spreads([*DOWN, *[0.0] * n, *DOWN[::-1]], step=step) == [Transition(4, 10 + n + 5)]
    assert spreads([*DOWN, *[0.0] * (n + 1), *DOWN[::-1]], step=step) == [
        Transition(4, 10),
        Transition(10 + n + 1, 10 + n + 1 + 5),
    ]


@pytest.mark.parametrize(("step", "first", "last"), [(1, 17, 34), (2, 15, 36)])
def test_a_cut_beside_a_fade_is_part_of_it(step: int, first: int, last: int) -> None:
    """The fade takes frames 19 to 32; beside it the picture changes from another one, or into it."""
    down = DOWN[5:]
    values = [60.0] * 20 + down + [0, 0] + down[::-1] + [60.0] * 20
    for at in range(12, 40):
        one, other = ([speckled(20, value, seed) for value in values] for seed in (0, 9))
        found = transitions(np.stack(other[:at] + one[at:]), step)
        beside = [Transition(at, at)] * (not first <= at <= last)
        assert found == sorted([Transition(19, 32), *beside]), at


def dissolves(run: Pictures, step: int = 1) -> list[tuple[int, int]]:
    """The dissolves in a run of pictures between twenty more of its first and of its last, counted from the run."""
    whole = np.concatenate([run[:1].repeat(20 * step, 0), run, run[-1:].repeat(20 * step, 0)])
    return [(t.first - 20 * step, t.last - 20 * step) for t in transitions(whole, step) if t.is_gradual]


@pytest.mark.parametrize(("n", "spans"), [(3, []), (4, [(12, 16)]), (6, [(11, 17)]), (14, [(8, 20)]), (20, [(6, 22)])])
def test_a_dissolve_takes_four_frames_or_more(n: int, spans: list[tuple[int, int]]) -> None:
    """A frame with less than an eighth of either shot counts as one of the other alone."""
    assert dissolves(mixed(steady(n))) == spans


def test_a_dissolve_at_twice_the_frames_takes_twice_as_many() -> None:
    assert dissolves(mixed(steady(9), size=57), 2) == [], "seven of them show both"
    assert len(dissolves(mixed(steady(10), size=57), 2)) == 1


@pytest.mark.parametrize(("gap", "found"), [(0.41, True), (0.43, False)])
def test_a_dissolve_takes_no_great_step(gap: float, found: bool) -> None:
    """Between pictures so much alike that the step is no cut."""
    shares = [0.2, 0.3, 0.5 - gap / 2, 0.5 + gap / 2, 0.7, 0.8]
    assert bool(dissolves(mixed(shares, other=(ONE + 0.6 * (OTHER - ONE)).astype(np.float32)))) == found


@pytest.mark.parametrize(("back", "found"), [(0.07, True), (0.09, False)])
def test_a_dissolve_hardly_turns_back(back: float, found: bool) -> None:
    assert bool(dissolves(mixed([0.2, 0.3, 0.4, 0.5, 0.5 - back, 0.6, 0.7, 0.8]))) == found


@pytest.mark.parametrize(("off", "found"), [(0.35, True), (0.37, False)])
def test_frames_of_a_dissolve_are_mixtures_of_its_ends(off: float, found: bool) -> None:
    run = mixed(steady(12))
    run[8:20:2] += aside(ONE, OTHER, off)
    run[9:20:2] -= aside(ONE, OTHER, off)
    assert bool(dissolves(run)) == found


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


@pytest.mark.parametrize("step", [1, 2])
def test_a_flash_is_told_by_frames_before_and_after_that_show_the_same(step: int) -> None:
    """Looked at are those right before and after, some frames on, and six frames on: not every one of the twelve."""
    at = 40
    for n in range(2, 9 * step):
        old, new = np.stack([ONE] * at + [OTHER] * at), np.stack([ONE] * at + [OTHER] * at)
        old[at - 1 - n], new[at + n] = OTHER * 0.8 + 10, ONE * 0.8 + 10
        told = [Transition(at, at) in transitions(pictures, step) for pictures in (old, new)]
        assert told[0] == (n not in (3 * step, 6 * step - 1)), n
        assert told[1] == (n not in (2 * step, 5 * step)), n


def a_restless_cut(level: float, reach: int) -> Pictures:
    """A cut at frame 40 of 80; so many frames on either side of it are each covered by other noise."""
    pictures = np.stack([ONE] * 40 + [OTHER] * 40)
    for n in range(40 - reach, 40 + reach):
        pictures[n] += speckled(0, level, seed=n)
    return pictures


@pytest.mark.parametrize(("level", "reach", "step", "found"), [
    (27.0, 20, 1, True), (33.0, 20, 1, False),
    (33.0, 5, 1, False), (33.0, 4, 1, True),
    (33.0, 12, 2, False), (33.0, 6, 2, True),
])  # fmt: skip
def test_a_cut_changes_the_picture_two_and_a_half_times_as_much_as_a_third_of_a_second_around(
    level: float, reach: int, step: int, found: bool
) -> None:
    assert transitions(a_restless_cut(level, reach), step) == [Transition(40, 40)] * found


def test_two_fades_are_two_spans() -> None:
    up = DOWN[::-1]
    assert spreads([*DOWN, 0, *up, *DOWN, 0, 0, *up]) == [Transition(4, 16), Transition(25, 38)]


def test_of_two_changes_within_two_frames_the_larger_is_the_cut() -> None:
    """A frame between two shots that shows another picture altogether: the cut is where more changes."""
    far = 230 - ONE
    for between in ((far,), (far, far)):
        assert transitions(np.stack([ONE] * 20 + list(between) + [OTHER] * 20)) == [Transition(20, 20)]


@pytest.mark.parametrize(("share", "cuts"), [(0.35, [21]), (0.4, [])])
def test_a_cut_stands_out_from_the_frame_beside_it_where_that_is_no_mixture(share: float, cuts: list[int]) -> None:
    """The larger of two changes in a row is 1.4 times the other, or it is movement; forwards and backwards."""
    between = ONE + share * (OTHER - ONE) + aside(ONE, OTHER, 0.3)
    pictures = np.stack([ONE] * 20 + [between] + [OTHER] * 20)
    assert transitions(pictures) == [Transition(cut, cut) for cut in cuts]
    assert transitions(pictures[::-1]) == [Transition(41 - cut, 41 - cut) for cut in cuts]


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (800, 1920), (1280, 720), (288, 512), (180, 320)])
def test_rows_that_are_left_unread_do_not_count(size: tuple[int, int]) -> None:
    luma = np.random.default_rng(5).integers(0, 256, (size[0], size[1] + 32), dtype=np.uint8)[:, : size[1]]
    whole = luma if size == (180, 320) else cv2.resize(luma, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)

    assert np.array_equal(few_pixels(luma), cv2.resize(whole, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(("fps", "gradual"), [(5, True), (25, True), (37, True), (38, False), (50, False)])
def test_a_dissolve_of_six_frames_is_one_up_to_37_frames_a_second(fps: int, gradual: bool) -> None:
    """It takes a seventh of a second or more; faster, six frames are a cut with something before or after it."""
    finder = ShotFinder(fps)
    for picture in [*[ONE] * 60, *mixed(steady(6), size=6), *[OTHER] * 60]:
        finder.feed(picture.astype(np.uint8))
    assert any(found.is_gradual for found in finder.finish()) == gradual
    assert any(found.is_gradual for found in transitions(mixed(steady(6), size=126))), "25 where nothing is said"


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
