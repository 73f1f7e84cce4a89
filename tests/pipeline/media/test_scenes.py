"""Scene cuts: found on small pictures as on full ones, and what they do to a clip."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.media import MediaLimits, ScenesConfig
from pipeline.media.cutting.span import Span
from pipeline.media.probe import probe
from pipeline.media.scenes import SceneFinder, apply_cuts, cuts_inside, find_cuts
from pipeline.testing.video import a_video

SMALL = {"width": 640, "height": 360}


def test_hard_cuts_are_found_on_their_frame(tmp_path: Path) -> None:
    path = a_video(tmp_path / "cuts.mp4", seconds=8, cuts=(40, 90, 150), gop=60, **SMALL)
    assert find_cuts(probe(path), MediaLimits(), ScenesConfig()) == [1600, 3600, 6000]


def test_a_film_in_one_shot_has_no_cut(tmp_path: Path) -> None:
    path = a_video(tmp_path / "one.mp4", seconds=4, gop=50, **SMALL)
    assert find_cuts(probe(path), MediaLimits(), ScenesConfig()) == []


def test_times_of_cuts_are_source_times_also_where_a_file_starts_late(tmp_path: Path) -> None:
    path = a_video(tmp_path / "late.ts", seconds=6, start_s=100, cuts=(75,), gop=25, **SMALL)
    (cut,) = find_cuts(probe(path), MediaLimits(), ScenesConfig())
    assert cut == pytest.approx(3000, abs=25)


def test_a_flash_of_one_frame_is_no_scene() -> None:
    finder = SceneFinder(ScenesConfig(), Fraction(25))
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 120, (144, 256, 3), dtype=np.uint8)
    for i in range(100):
        finder.feed(np.full_like(picture, 250) if i == 50 else picture, i * 40)
    assert len(finder.cuts_ms()) <= 1


def test_real_cuts_are_found_and_a_talking_head_has_none(samples: Path) -> None:
    advert = find_cuts(
        probe(samples / "videos" / "nodejs-docs-samples__ForBiggerEscapes.mp4"), MediaLimits(), ScenesConfig()
    )
    for true_ms in (3458, 5041, 8166):
        assert min(abs(cut - true_ms) for cut in advert) <= 125  # three frames
    portrait = samples / "videos" / "LatentSync__demo1_video.mp4"
    assert find_cuts(probe(portrait), MediaLimits(), ScenesConfig()) == []


@given(
    st.lists(st.integers(0, 20_000), max_size=6, unique=True).map(sorted),
    st.lists(st.tuples(st.integers(0, 19_000), st.integers(500, 8000)), min_size=1, max_size=6),
    st.sampled_from(["flag", "drop", "snap", "split"]),
)
def test_whatever_the_cuts_numbers_stay_unique_and_spans_stay_spans(
    cuts: list[int], raw: list[tuple[int, int]], action: str
) -> None:
    spans = [Span(n, start, start + length) for n, (start, length) in enumerate(raw)]
    config = ScenesConfig.model_validate({"action": action})
    parts = apply_cuts(spans, cuts, config)
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
            assert abs(part.span.start_ms - planned.start_ms) <= config.snap_ms
            assert abs(part.span.end_ms - planned.end_ms) <= config.snap_ms
