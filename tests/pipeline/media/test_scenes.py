"""Scene cuts: found on small pictures as on full ones, and what they do to a clip."""

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hdvila_testing.video import a_video
from pipeline.config.media import MediaLimits
from pipeline.media.cutting.span import Span
from pipeline.media.probe import probe
from pipeline.media.scenes import (
    MIN_SCENE_MS,
    SNAP_MS,
    SceneFinder,
    Scenes,
    apply_cuts,
    cuts_inside,
    find_scenes,
    spans_inside,
)

SMALL = {"width": 320, "height": 180}


def cuts_of(path: Path) -> list[int]:
    """In ms."""
    return find_scenes(probe(path), MediaLimits()).cuts_ms


def test_hard_cuts_are_found_on_their_frame(tmp_path: Path) -> None:
    path = a_video(tmp_path / "cuts.mp4", seconds=8, cuts=(40, 90, 150), gop=60, **SMALL)
    assert cuts_of(path) == [1600, 3600, 6000]


def test_a_film_in_one_shot_has_no_cut(tmp_path: Path) -> None:
    path = a_video(tmp_path / "one.mp4", seconds=4, gop=50, **SMALL)
    assert cuts_of(path) == []


def test_times_of_cuts_are_source_times_also_where_a_file_starts_late(tmp_path: Path) -> None:
    path = a_video(tmp_path / "late.ts", seconds=6, start_s=100, cuts=(75,), gop=25, **SMALL)
    assert cuts_of(path) == [pytest.approx(3000, abs=25)]


def a_picture(seed: int) -> NDArray[np.uint8]:
    """Brightness of a picture of blobs, 180 x 320."""
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(20, 200, (9, 16), dtype=np.uint8), np.ones((20, 20), np.uint8))


def found(
    pictures: Sequence[NDArray[np.float64] | NDArray[np.uint8]],
    fps: int = 25,
    first_ms: int = 0,
    min_scene_ms: int = MIN_SCENE_MS,
) -> Scenes:
    """What is found in pictures of brightness at this rate, the first of them shown at `first_ms`."""
    finder = SceneFinder(Fraction(fps), min_scene_ms)
    for i, luma in enumerate(pictures):
        planes = np.concatenate([luma.astype(np.uint8), np.full((90, 320), 128, np.uint8)])
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        finder.feed(frame, first_ms + i * 1000 // fps, partial(lambda it: it, frame))
    return finder.scenes()


@pytest.mark.parametrize("first_ms", [0, 20_000])
def test_a_first_shot_that_is_too_short_is_no_scene_wherever_the_pictures_begin(first_ms: int) -> None:
    n_short = MIN_SCENE_MS // 40 - 2
    scenes = found([*[a_picture(1)] * n_short, *[a_picture(2)] * 60, *[a_picture(3)] * 60], first_ms=first_ms)
    assert scenes.cuts_ms == [first_ms + (n_short + 60) * 40]


@pytest.mark.parametrize("fps", [25, 50])
def test_a_flash_and_a_jump_of_exposure_are_no_scenes_a_cut_is(fps: int) -> None:
    one, other = a_picture(0), a_picture(1)
    flash = [one] * 60 + [np.full_like(one, 235)] * 2 + [one] * 60
    jump = [one * 0.6] * 60
    cut = [other] * 400
    assert found([*flash, *jump, *cut], fps) == Scenes([182 * 1000 // fps])


def test_a_cut_from_movement_into_faster_movement_is_found() -> None:
    """As in adverts: the picture slides, another one rushes in, and all frames around the cut change a lot."""
    wide = np.linspace(20, 200, 640) + np.tile(a_picture(0), 2) * 0.15
    slow = [wide[:, 10 * n : 10 * n + 320] for n in range(30)]
    fast = [230 - slow[-1], *(a_picture(seed) for seed in range(10, 15))]
    assert found([*[slow[0]] * 40, *slow, *fast, *[fast[-1]] * 40]).cuts_ms == [70 * 40]


@pytest.mark.parametrize("n", [8, 14, 20])
def test_a_dissolve_is_a_span_with_its_middle_as_the_cut(n: int) -> None:
    one, other = a_picture(0), a_picture(1)
    mixed = [one + (other.astype(float) - one) * (i + 1) / (n + 1) for i in range(n)]
    scenes = found([*[one] * 60, *mixed, *[other] * 60])
    ((start_ms, end_ms),) = scenes.spans_ms
    assert abs(start_ms - 2400) <= 120
    assert abs(end_ms - (60 + n) * 40) <= 120
    assert scenes.cuts_ms == [pytest.approx((60 + n / 2) * 40, abs=80)]


def test_a_fade_through_black_is_one_span() -> None:
    one, other = a_picture(0).astype(float), a_picture(1).astype(float)
    out = [16 + (one - 16) * (1 - i / 10) for i in range(1, 10)]
    into = [16 + (other - 16) * i / 10 for i in range(1, 10)]
    scenes = found([*[one] * 50, *out, *[np.full_like(one, 16)] * 3, *into, *[other] * 50])
    assert len(scenes.cuts_ms) == 1
    ((start_ms, end_ms),) = scenes.spans_ms
    assert start_ms == pytest.approx(2000, abs=80)
    assert end_ms == pytest.approx(71 * 40, abs=80)


def test_where_pictures_are_looked_at_in_blocks_nothing_is_lost_or_told_twice() -> None:
    shots = [a_picture(seed) for seed in range(30)]
    scenes = found([shots[i // 37] for i in range(30 * 37)])
    assert scenes == Scenes([i * 37 * 40 for i in range(1, 30)])


def test_real_cuts_are_found_and_a_talking_head_has_none(samples: Path) -> None:
    advert = cuts_of(samples / "videos" / "nodejs-docs-samples__ForBiggerEscapes.mp4")
    for true_ms in (3458, 5041, 8166):
        assert min(abs(cut - true_ms) for cut in advert) <= 125  # three frames
    portrait = samples / "videos" / "LatentSync__demo1_video.mp4"
    assert cuts_of(portrait) == []


@given(
    st.lists(st.integers(0, 20_000), max_size=6, unique=True).map(sorted),
    st.lists(st.tuples(st.integers(0, 19_000), st.integers(500, 8000)), min_size=1, max_size=6),
    st.sampled_from(["flag", "drop", "snap", "split"]),
)
def test_whatever_the_cuts_numbers_stay_unique_and_spans_stay_spans(
    cuts: list[int], raw: list[tuple[int, int]], action: str
) -> None:
    spans = [Span(n, start, start + length) for n, (start, length) in enumerate(raw)]
    parts = apply_cuts(spans, cuts, action)
    numbers = [part.span.n for part in parts]
    assert len(set(numbers)) == len(numbers)
    assert {part.of for part in parts} == {span.n for span in spans}
    assert all(part.span.start_ms < part.span.end_ms for part in parts)
    if action == "split":
        whole = {(span.start_ms, span.end_ms) for span in spans}
        for part in parts:
            crossed = cuts_inside(cuts, part.span)
            assert not crossed or (part.span.start_ms, part.span.end_ms) in whole
    if action == "snap":
        for part in parts:
            planned = spans[part.of]
            assert abs(part.span.start_ms - planned.start_ms) <= SNAP_MS
            assert abs(part.span.end_ms - planned.end_ms) <= SNAP_MS


def spans_of(
    action: str, spans: list[tuple[int, int]], cuts: list[int], **lengths: int
) -> list[tuple[int, int, int, int]]:
    """(number, of which clip, start, end) of the parts."""
    parts = apply_cuts([Span(n, a, b) for n, (a, b) in enumerate(spans)], cuts, action, **lengths)
    return [(part.span.n, part.of, part.span.start_ms, part.span.end_ms) for part in parts]


def test_an_end_snaps_to_the_nearest_cut_that_is_near_enough() -> None:
    assert spans_of("snap", [(1000, 5000)], [500, 1400, 5500], snap_ms=500) == [(0, 0, 1400, 5500)]
    assert spans_of("snap", [(1000, 5000)], [499, 5501], snap_ms=500) == [(0, 0, 1000, 5000)]
    assert spans_of("snap", [(1000, 5000)], [], snap_ms=500) == [(0, 0, 1000, 5000)]
    assert spans_of("snap", [(1000, 1600)], [1300], snap_ms=500) == [(0, 0, 1000, 1600)], "it would be empty"


def test_parts_of_a_clip_are_numbered_after_all_others_and_keep_their_order() -> None:
    cuts = [2000, 3000, 7000]
    assert spans_of("split", [(1000, 4000), (5000, 6000), (6500, 8000)], cuts, min_part_ms=500) == [
        (0, 0, 1000, 2000), (3, 0, 2000, 3000), (4, 0, 3000, 4000),
        (1, 1, 5000, 6000), (2, 2, 6500, 7000), (5, 2, 7000, 8000),
    ]  # fmt: skip
    assert spans_of("split", [(1000, 4000)], cuts, min_part_ms=1000)[0] == (0, 0, 1000, 2000), "just long enough"
    assert spans_of("split", [(1000, 4000)], cuts, min_part_ms=1001) == [(0, 0, 1000, 4000)]
    assert spans_of("flag", [(1000, 4000)], cuts) == spans_of("drop", [(1000, 4000)], cuts) == [(0, 0, 1000, 4000)]
    assert spans_of("split", [], cuts) == []


def test_a_cut_is_inside_a_clip_where_frames_of_both_shots_are() -> None:
    span = Span(0, 1000, 2000)
    assert cuts_inside([999, 1000, 1001, 1999, 2000], span) == [1001, 1999]
    met = [(0, 1000), (0, 1001), (1500, 1600), (1999, 3000), (2000, 3000)]
    assert spans_inside(met, span) == [(0, 1001), (1500, 1600), (1999, 3000)]
