"""The MP4 that a clip becomes: no edit list, no wall clock, whole ticks."""

from fractions import Fraction
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.cutting import CutClip
from pipeline.media.cutting.mp4 import timescale
from tests.pipeline.media.cutting.films import SPANS, cut, film_at


def test_a_clip_has_no_edit_list_and_no_wall_clock(films: Path) -> None:
    path, _ = film_at(films, "30 fps with B-frames")
    for mode in ("remux", "exact", "keyframe"):
        clip = cut(path, [SPANS[2]], mode=mode)[2]
        assert isinstance(clip, CutClip)
        assert b"elst" not in clip.mp4
        assert b"Lavf" not in clip.mp4


@given(st.sampled_from([1000, 12800, 15360, 30000, 24000, 90000, 48, 11988, 600]))
def test_whole_milliseconds_are_whole_ticks(denominator: int) -> None:
    ticks = timescale(Fraction(1, denominator))
    assert ticks % 1000 == 0
    assert ticks % denominator == 0
