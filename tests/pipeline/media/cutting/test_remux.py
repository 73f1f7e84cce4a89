"""Remuxed clips: the frames of their span, copied; test_cutting.py looks at films of every kind."""

from fractions import Fraction
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import av
import pytest

from hdvila_testing.readers import codes_by_pyav, timed_hashes
from hdvila_testing.video import Film, a_video
from manifests.reasons import Reason
from pipeline.media.cutting import CutClip, CutFailure, Span
from pipeline.media.cutting.remux import _begins_at
from pipeline.media.probe import probe
from tests.pipeline.media.cutting.films import SMALL, SPANS, cut, film_at, wanted_codes


def test_source_time_goes_on_where_a_transport_streams_clock_wraps(tmp_path: Path) -> None:
    """33 bits at 90 kHz: FFmpeg gives what comes less than a minute before the wrap negative times."""
    path = a_video(tmp_path / "wraps.ts", seconds=8, gop=40, start_s=2**33 / 90_000 - 3, **SMALL)
    source = probe(path)
    late = timed_hashes(path, source.video.index)[0][0] - source.zero_s
    assert source.zero_s < -2 and 0 <= late < Fraction(1, 20) and abs(source.duration_ms - 8000) < 60

    for n, clip in cut(path, SPANS).items():
        assert isinstance(clip, CutClip), clip
        (file := tmp_path / f"{n}.mp4").write_bytes(clip.mp4)
        start, end = (Fraction(ms, 1000) - late for ms in (SPANS[n].start_ms, SPANS[n].end_ms))
        inside = codes_by_pyav(file)[clip.first_frame : clip.first_frame + clip.n_frames]
        assert inside == [i for i in range(200) if start <= Fraction(i, 25) < end]


@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_frames_of_an_avi_are_shown_where_they_are_stored(mode: str, tmp_path: Path) -> None:
    """It holds no presentation times; those that FFmpeg makes are a frame late, and none is at 0."""
    path = a_video(tmp_path / "film.avi", seconds=4, gop=40, b_frames=0, audio="pcm_s16le", **SMALL)
    assert probe(path).duration_ms == 4000

    for clip in cut(path, [Span(0, 0, 500), Span(1, 2040, 3000)], mode=mode).values():
        assert isinstance(clip, CutClip), clip
        (file := tmp_path / f"{clip.n}.mp4").write_bytes(clip.mp4)
        inside = codes_by_pyav(file)[clip.first_frame : clip.first_frame + clip.n_frames]
        assert inside == [list(range(13)), list(range(51, 75))][clip.n]


def test_a_clip_shows_its_last_frame_where_the_file_says_of_no_frame_how_long_it_lasts(tmp_path: Path) -> None:
    """An FLV does not; with B-frames the last packet of a clip is not the one that is shown last."""
    path = a_video(tmp_path / "film.flv", seconds=3, gop=40, start_s=1, **SMALL)
    with av.open(str(path)) as container:
        assert not any(packet.duration for packet in container.demux(container.streams.video[0]))
    spans = [Span(n, 0, 1000 + 40 * n) for n in range(4)]
    for n, clip in cut(path, spans).items():
        assert isinstance(clip, CutClip), clip
        (file := tmp_path / f"{n}.mp4").write_bytes(clip.mp4)
        assert codes_by_pyav(file)[clip.first_frame :][: clip.n_frames] == wanted_codes(path, spans[n])


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_clip_that_begins_on_a_keyframe_carries_no_group_before_it(films: Path, suffix: str) -> None:
    path = films / f"every-second.{suffix}"
    a_video(path, Film(seconds=5, gop=25, audio="", **SMALL))

    clip = cut(path, [Span(0, 2000, 4000)])[0]

    assert isinstance(clip, CutClip)
    assert (clip.start_ms, clip.first_frame, clip.n_frames) == (2000, 0, 50)


def test_a_keyframe_too_far_back_is_a_reject_that_names_the_cure(films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("pipeline.media.cutting.remux"), "MAX_PREROLL_MS", 2000)
    path, _ = film_at(films, "one long GOP")
    failure = cut(path, [SPANS[5]])[5]
    assert isinstance(failure, CutFailure)
    assert failure.reason is Reason.UNSUPPORTED_MEDIA
    assert "exact" in failure.detail


def test_a_first_packet_that_the_source_stretches_belongs_before_the_second_one() -> None:
    """So does audio in an mp4 without an edit list, such as what ffmpeg writes with `empty_moov`."""

    def begins_at(*packets: tuple[int, int | None]) -> int:
        return _begins_at([SimpleNamespace(pts=pts, duration=duration) for pts, duration in packets])

    assert begins_at((0, 66), (66, 21)) == 45
    assert begins_at((0, None), (66, 21)) == 45
    assert begins_at((0, 21), (21, 21)) == begins_at((0, 31), (31, 21)) == begins_at((0, 66)) == 0
    assert begins_at((0, 66), (66, None)) == 0
