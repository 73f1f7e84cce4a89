"""Cuts, dissolves and fades at the bounds beyond which each is none any more, on drawn pictures of 64 x 36."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.media import shots
from pipeline.media.shots import HEIGHT, WIDTH, Pictures, ShotFinder, Transition, likeness, transitions


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


@pytest.mark.parametrize(("share", "is_mixed"), [(0.08, False), (0.12, True), (0.5, True), (0.88, True), (0.92, False)])
def test_a_frame_between_two_shots_is_mixed_where_it_shows_a_tenth_of_both(share: float, is_mixed: bool) -> None:
    pictures = np.stack([ONE, ONE + share * (OTHER - ONE), OTHER])
    assert shots._is_one_mixed_frame(pictures, 1) == is_mixed
    assert not shots._is_one_mixed_frame(pictures, 0) and not shots._is_one_mixed_frame(pictures, 2)


@pytest.mark.parametrize(("off", "is_mixed"), [(0.24, True), (0.26, False)])
def test_a_mixed_frame_may_show_a_quarter_of_something_else(off: float, is_mixed: bool) -> None:
    pictures = np.stack([ONE, (ONE + OTHER) / 2 + aside(ONE, OTHER, off), OTHER])
    assert shots._is_one_mixed_frame(pictures, 1) == is_mixed


@pytest.mark.parametrize(("share", "at"), [(0.3, 21), (0.7, 20)])
def test_a_cut_with_one_mixed_frame_is_one_cut_where_more_of_it_changes(share: float, at: int) -> None:
    pictures = np.stack([ONE] * 20 + [ONE + share * (OTHER - ONE)] + [OTHER] * 20)
    assert transitions(pictures) == [Transition(at, at)]


def breaks(at: int = 20, n: int = 40, *, step: int = 1, cuts: Sequence[int] = (), **given: Any) -> list[int]:
    """What is found in a slow shot and a fast one whose first frame is `at`; `given`: changes, or other frames."""
    pictures = np.stack([RAMP] * at + [blobs(i) for i in range(n - at)])
    pictures[at] = TURNED
    for frame, picture in given.get("frames", {}).items():
        pictures[frame] = picture
    change = np.full(n + 1, given.get("around", 5.0), np.float32)
    change[at] = given.get("change", 20.0)
    change[at - 1] = given.get("before", change[at - 1])
    return shots._breaks(pictures, change, step, list(cuts))


def test_a_cut_into_movement_is_sudden_and_large() -> None:
    assert breaks() == [20]
    assert breaks(change=8.1, around=5.3) == [20] and breaks(change=7.9, around=1.0) == []
    assert breaks(change=8.1, around=5.5) == []
    assert breaks(change=12.0, around=8.0) == [20], "just one and a half times as much"
    assert breaks(change=12.0, around=8.0, before=2.0) == [20] and breaks(change=12.0, around=9.0, before=2.0) == [20]


def test_a_cut_into_movement_needs_three_frames_on_either_side() -> None:
    assert (breaks(2), breaks(3)) == ([], [3])
    assert (breaks(37), breaks(38)) == ([37], [])


@pytest.mark.parametrize("step", [1, 2])
def test_a_cut_into_movement_is_not_told_again_beside_another_cut(step: int) -> None:
    for away in (-6 * step, 6 * step):
        assert breaks(cuts=[20 + away], step=step) == [20]
        assert breaks(cuts=[20 + away - (1 if away > 0 else -1)], step=step) == []


def test_a_flash_is_no_cut_into_movement() -> None:
    pale = [(TURNED - TURNED.mean()) * share + 200 for share in (0.45, 0.55)]
    assert [breaks(frames={20: picture}) for picture in pale] == [[], [20]]
    assert breaks(frames={22: RAMP}) == [], "the old picture comes back"
    assert breaks(frames={20: RAMP + 30}) == [], "the same picture, brighter"


def test_one_side_of_a_cut_into_movement_shows_the_same_picture_for_three_frames() -> None:
    for frame in (17, 18, 19):
        assert breaks(frames={frame: blobs(70 + frame)}) == []
    assert breaks(frames={16: blobs(70)}) == [20]
    assert breaks(frames={17: blobs(70), 18: blobs(71), 21: TURNED, 22: TURNED}) == [20]
    assert breaks(frames={17: blobs(70), 18: blobs(71), 21: TURNED}) == []


def spreads(values: Sequence[float], *, mean: float = 20.0, step: int = 1) -> list[Transition]:
    """The fades in frames of this contrast, each as bright on average."""
    return shots._fades(np.stack([speckled(mean, value) for value in values]), step)


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


def test_a_cut_beside_a_fade_is_part_of_it() -> None:
    fade = [Transition(10, 20)]
    near = [(7, 7), (8, 8), (9, 30), (15, 15), (22, 22), (23, 23)]
    assert [shots._near(first, last, fade, 1) for first, last in near] == [False, True, True, True, True, False]
    assert shots._near(24, 24, fade, 2) and not shots._near(25, 25, fade, 2)


@pytest.mark.parametrize(("n", "span"), [(3, None), (4, (12, 16)), (6, (11, 17)), (14, (8, 20)), (20, (6, 22))])
def test_a_dissolve_takes_four_frames_or_more(n: int, span: tuple[int, int] | None) -> None:
    """A frame with less than an eighth of either shot counts as one of the other alone."""
    assert shots._mixture(mixed(steady(n)), 1) == span


def test_a_dissolve_at_twice_the_frames_takes_twice_as_many() -> None:
    assert shots._mixture(mixed(steady(9), size=57), 2) is None, "seven of them show both"
    assert shots._mixture(mixed(steady(10), size=57), 2) is not None


@pytest.mark.parametrize(("gap", "found"), [(0.41, True), (0.43, False)])
def test_a_dissolve_takes_no_great_step(gap: float, found: bool) -> None:
    shares = [0.2, 0.3, 0.5 - gap / 2, 0.5 + gap / 2, 0.7, 0.8]
    assert (shots._mixture(mixed(shares), 1) is not None) == found


@pytest.mark.parametrize(("back", "found"), [(0.07, True), (0.09, False)])
def test_a_dissolve_hardly_turns_back(back: float, found: bool) -> None:
    assert (shots._mixture(mixed([0.2, 0.3, 0.4, 0.5, 0.5 - back, 0.6, 0.7, 0.8]), 1) is not None) == found


@pytest.mark.parametrize(("off", "found"), [(0.35, True), (0.37, False)])
def test_frames_of_a_dissolve_are_mixtures_of_its_ends(off: float, found: bool) -> None:
    run = mixed(steady(12))
    run[8:20] += aside(ONE, OTHER, off)
    assert (shots._mixture(run, 1) is not None) == found


@pytest.mark.parametrize(("share", "found"), [(0.3, False), (0.6, True)])
def test_the_ends_of_a_dissolve_are_unlike(share: float, found: bool) -> None:
    """A shot in which something appears slowly is no other shot."""
    other = (ONE + share * (OTHER - ONE)).astype(np.float32)
    assert (shots._mixture(mixed(steady(12), other=other), 1) is not None) == found


def test_shares_are_told_of_each_picture_and_how_far_it_is_from_that_mixture() -> None:
    run = mixed([0.25, 0.5, 0.75], size=5)
    run[2] += aside(ONE, OTHER, 0.2)
    share, off = shots._shares(run, ONE, OTHER)
    assert share == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1e-3)
    assert off == pytest.approx([0, 0, 0.2, 0, 0], abs=1e-3)


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
    finder, held = ShotFinder(25), 0
    for n in range(1400):
        finder.feed(blobs(n // 11 % 50).astype(np.uint8))
        held = max(held, len(finder._held))
    assert finder.finish() == [Transition(n, n) for n in range(11, 1400, 11)]
    assert held <= 350


def test_a_picture_is_made_small_by_the_mean_of_its_parts_and_a_large_one_by_a_sixteenth_of_it() -> None:
    few = OTHER.astype(np.uint8)
    for times in (1, 3, 8, 11):
        large = np.kron(few, np.ones((times, times), np.uint8))
        assert np.abs(shots.few_pixels(large).astype(int) - few).mean() < 4
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT * 3, WIDTH * 3), dtype=np.uint8)
    means = noise.reshape(HEIGHT, 3, WIDTH, 3).mean(axis=(1, 3))
    assert np.abs(shots.few_pixels(noise) - means).max() <= 1


@pytest.mark.parametrize("step", [1, 2])
def test_a_flash_is_told_by_frames_before_and_after_that_show_the_same(step: int) -> None:
    """Looked at are those right before and after, some frames on, and six frames on: not every pair of the twelve."""
    at, n = 14, 27
    before, after = {at - 1, at - 1 - 3 * step, at - 6 * step}, {at, at + 2 * step, at + 5 * step}
    for a in range(6, at) if step == 1 else (0, 2, 6, 7, 10, 13):
        for b in range(at, 22) if step == 1 else (14, 16, 18, 24, 26):
            pictures = np.stack([blobs(seed) for seed in range(n)])
            pictures[b] = pictures[a] * 0.8 + 10
            assert shots._is_another_shot(pictures, at, step) == (not (a in before and b in after)), (a, b)


def test_near_an_end_of_the_film_only_frames_that_are_there_are_looked_at() -> None:
    pictures = np.stack([ONE, OTHER, blobs(7), ONE])
    assert not shots._is_another_shot(pictures, 1, 1) and shots._is_another_shot(pictures, 3, 1)
    assert not shots._is_another_shot(np.stack([ONE, *(blobs(9 + n) for n in range(5)), ONE]), 6, 1), "six before"


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
    assert (shots._cuts(a_restless_cut(level, reach), step) == [40]) == found


def test_pictures_that_hardly_differ_have_shares_too() -> None:
    other = ONE + speckled(0, 0.01)
    share, off = shots._shares(np.stack([ONE, (ONE + other) / 2, other]), ONE, other)
    assert share == pytest.approx([0, 0.5, 1], abs=0.02) and off == pytest.approx(0, abs=0.02)
    same, off = shots._shares(np.stack([ONE, ONE]), ONE, ONE)
    assert same.tolist() == [0, 0] and off.tolist() == [0, 0]


def test_two_fades_are_two_spans() -> None:
    up = DOWN[::-1]
    assert spreads([*DOWN, 0, *up, *DOWN, 0, 0, *up]) == [Transition(4, 16), Transition(25, 38)]


def test_of_two_changes_within_two_frames_the_larger_is_the_cut() -> None:
    """A frame between two shots that shows another picture altogether: the cut is where more changes."""
    far = 230 - ONE
    for between, at in [((far,), 20), ((far, far), 20)]:
        pictures = np.stack([ONE] * 20 + list(between) + [OTHER] * 20)
        assert [cut for cut in shots._cuts(pictures, 1) if abs(cut - 20) <= 2] == [at]


@pytest.mark.parametrize(("share", "cuts"), [(0.35, [21]), (0.4, [])])
def test_a_cut_stands_out_from_the_frame_beside_it_where_that_is_no_mixture(share: float, cuts: list[int]) -> None:
    """The larger of two changes in a row is 1.4 times the other, or it is movement; forwards and backwards."""
    between = ONE + share * (OTHER - ONE) + aside(ONE, OTHER, 0.3)
    pictures = np.stack([ONE] * 20 + [between] + [OTHER] * 20)
    assert shots._cuts(pictures, 1) == cuts
    assert shots._cuts(pictures[::-1], 1) == [41 - cut for cut in cuts]


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (800, 1920), (1280, 720), (288, 512), (180, 320)])
def test_rows_that_are_left_unread_do_not_count(size: tuple[int, int]) -> None:
    luma = np.random.default_rng(5).integers(0, 256, (size[0], size[1] + 32), dtype=np.uint8)[:, : size[1]]
    whole = luma if size == (180, 320) else cv2.resize(luma, (2 * WIDTH, 2 * HEIGHT), interpolation=cv2.INTER_LINEAR)

    assert np.array_equal(shots.few_pixels(luma), cv2.resize(whole, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(("fps", "gradual"), [(5, True), (25, True), (37, True), (38, False), (50, False)])
def test_a_dissolve_of_six_frames_is_one_up_to_37_frames_a_second(fps: int, gradual: bool) -> None:
    """It takes a seventh of a second or more; faster, six frames are a cut with something before or after it."""
    finder = ShotFinder(fps)
    for picture in [*[ONE] * 60, *mixed(steady(6), size=6), *[OTHER] * 60]:
        finder.feed(picture.astype(np.uint8))
    assert any(found.is_gradual for found in finder.finish()) == gradual
    assert any(found.is_gradual for found in transitions(mixed(steady(6), size=126))), "25 where nothing is said"
