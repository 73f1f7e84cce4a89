"""The MP4 that a clip becomes: no wall clock, whole ticks, each frame found by its time."""

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.cutting import CutClip
from pipeline.media.cutting.mp4 import timescale
from tests.pipeline.media.cutting.films import SPANS, cut, film_at

_NO_EDITS = {"ignore_editlist": "1"}


def test_a_clip_has_its_index_in_front_and_no_wall_clock(films: Path) -> None:
    path, _ = film_at(films, "30 fps with B-frames")
    for mode in ("remux", "exact"):
        clip = cut(path, [SPANS[2]], mode=mode)[2]
        assert isinstance(clip, CutClip)
        assert clip.mp4.index(b"moov") < clip.mp4.index(b"mdat")
        assert b"Lavf" not in clip.mp4


@pytest.mark.parametrize("name", ["30 fps with B-frames", "open GOP", "VP9 and Opus"])
@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_whoever_seeks_finds_each_frame(films: Path, mode: str, name: str) -> None:
    """With and without the edit list times are the same, but without one FFmpeg seeks too far before keyframes."""
    path, _ = film_at(films, name)
    clip = cut(path, [SPANS[2]], mode=mode)[2]
    assert isinstance(clip, CutClip)
    with av.open(io.BytesIO(clip.mp4)) as container, av.open(io.BytesIO(clip.mp4), options=_NO_EDITS) as without:
        times = [frame.pts for frame in container.decode(video=0)]
        assert times == [frame.pts for frame in without.decode(video=0)]
        for time in times:
            container.seek(time, stream=container.streams.video[0])
            assert next(container.decode(video=0)).pts <= time


@pytest.mark.parametrize("name", ["30 fps with B-frames", "open GOP", "VP9 and Opus"])
@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_the_number_of_frames_over_the_duration_is_the_rate(films: Path, mode: str, name: str) -> None:
    """Readers that guess find frame i at i / rate, from the first one's time on: torchcodec's mode approximate."""
    path, film = film_at(films, name)
    for clip in cut(path, SPANS[:4], mode=mode).values():
        assert isinstance(clip, CutClip)
        with av.open(io.BytesIO(clip.mp4)) as container:
            stream = container.streams.video[0]
            assert stream.duration is not None and stream.time_base is not None
            lasts = stream.duration * stream.time_base
            assert abs(lasts - stream.frames / film.fps) < Fraction(1, 1000), (clip.n, lasts, stream.frames)


@given(st.sampled_from([1000, 12800, 15360, 30000, 24000, 90000, 48, 11988, 600]))
def test_whole_milliseconds_are_whole_ticks(denominator: int) -> None:
    ticks = timescale(Fraction(1, denominator))
    assert ticks % 1000 == 0
    assert ticks % denominator == 0


def test_a_clock_too_fine_for_an_mp4_is_rounded_to_microseconds() -> None:
    assert timescale(Fraction(1, 10_000_000)) == 10_000_000
    assert timescale(Fraction(1, 10_001_000)) == timescale(Fraction(1, 999_999)) == 1_000_000
    assert timescale(Fraction(1001, 30_000)) == 30_000
