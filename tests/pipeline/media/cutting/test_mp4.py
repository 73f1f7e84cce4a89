"""The MP4 that a clip becomes: no edit list, no wall clock, whole ticks."""

import io
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.cutting import CutClip
from pipeline.media.cutting.mp4 import Track, _order, _retimed, timescale
from tests.pipeline.media.cutting.films import SPANS, cut, film_at


def test_a_clip_has_its_index_in_front_no_edit_list_and_no_wall_clock(films: Path) -> None:
    path, _ = film_at(films, "30 fps with B-frames")
    for mode in ("remux", "exact", "keyframe"):
        clip = cut(path, [SPANS[2]], mode=mode)[2]
        assert isinstance(clip, CutClip)
        assert b"elst" not in clip.mp4 and clip.mp4.index(b"moov") < clip.mp4.index(b"mdat")
        assert b"Lavf" not in clip.mp4


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


def retimed(kind: str, times: list[tuple[int, int]], base_s: Fraction) -> list[tuple[int, int]]:
    """(presentation, decode) times in the mp4 of packets with these, all on a clock of ms."""
    stream = SimpleNamespace(time_base=None)
    container: Any = SimpleNamespace(add_stream_from_template=lambda template, opaque: stream)
    packets = [SimpleNamespace(pts=pts) for pts, _ in times]
    track = Track(SimpleNamespace(type=kind), packets, [dts for _, dts in times], Fraction(1, 1000))
    found = [facts for _, facts in _retimed(container, track, Fraction(1, 1000), base_s)]
    assert all(it is stream and base == Fraction(1, 1000) for it, base, _, _ in found)
    return [(pts, dts) for _, _, pts, dts in found]


def test_a_track_begins_at_decode_time_0_and_presentation_times_stay_true() -> None:
    shown = [(140, 100), (260, 140), (180, 180), (220, 220)]
    assert retimed("video", shown, Fraction(1, 10)) == [(40, 0), (160, 40), (80, 80), (120, 120)]
    assert retimed("video", shown, Fraction(6, 100)) == [(80, 0), (200, 40), (120, 80), (160, 120)]


def test_audio_that_begins_later_is_stretched_back_to_0() -> None:
    assert retimed("audio", [(130, 130), (150, 150)], Fraction(1, 10)) == [(0, 0), (50, 50)]
    assert retimed("video", [(130, 130), (150, 150)], Fraction(1, 10)) == [(30, 0), (50, 20)]


def test_decode_times_rise_and_no_packet_is_shown_before_it_is_decoded() -> None:
    assert retimed("video", [(100, 100), (100, 90), (103, 101)], Fraction(1, 10)) == [(0, 0), (1, 1), (3, 2)]


def test_packets_stand_by_decode_time_and_then_by_track() -> None:
    first, second = SimpleNamespace(index=0), SimpleNamespace(index=1)
    half, third = Fraction(1, 2), Fraction(2, 3)
    order = [_order((first, half, 9, 2), 6), _order((second, third, 0, 1), 6), _order((second, half, 0, 2), 6)]
    assert order == [(6, 0), (4, 1), (6, 1)]
