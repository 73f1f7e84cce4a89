"""Converted sources: the same frames at the same times, and the same bytes each time."""

import subprocess
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hdvila_testing.readers import codes_by_pyav, timed_hashes
from hdvila_testing.video import a_video
from pipeline.config.media import CutConfig, MediaLimits
from pipeline.media.convert import convert, needs_conversion
from pipeline.media.cutting import CutClip, Span, cut_clips
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.probe import Unusable, probe, refuse_unfit
from tests.pipeline.media.cutting.films import begun_earlier, frame_times

LIMITS = MediaLimits()
SMALL = {"width": 320, "height": 180}


def test_a_converted_source_has_the_same_frames_at_the_same_times(tmp_path: Path) -> None:
    """MPEG-4 part 2, which no clip carries: the codes and times of all frames, and the frames of a clip."""
    path = a_video(tmp_path / "old.mkv", seconds=4, codec="mpeg4", options={"b": "3M"}, gop=50, **SMALL)
    source = probe(path, LIMITS)
    assert needs_conversion(source)
    new = probe(convert(source, tmp_path / "new.mp4"), LIMITS)
    assert not needs_conversion(new)
    before = [round(1000 * float(t - source.zero_s)) for t, _ in timed_hashes(path, source.video.index)]
    after = [round(1000 * float(t - new.zero_s)) for t, _ in timed_hashes(new.path, new.video.index)]
    assert after == before
    (clip,) = cut_clips(new, [Span(0, 1000, 2000)], CutConfig(min_short_side=0), LIMITS)
    assert isinstance(clip, CutClip)
    file = tmp_path / "clip.mp4"
    file.write_bytes(clip.mp4)
    assert codes_by_pyav(file)[clip.first_frame : clip.first_frame + clip.n_frames] == list(range(25, 50))


@pytest.mark.parametrize(
    ("name", "options"), [("film.mkv", {}), ("film.mp4", {"movflags": "frag_keyframe+delay_moov"}), ("hidden.mp4", {})]
)
def test_the_copy_of_a_film_that_begins_before_its_time_zero_keeps_the_times_of_the_rest(
    name: str, options: dict[str, str], tmp_path: Path
) -> None:
    """Half a second of it: in pieces or a Matroska file as frames of negative time, else hidden by an edit list."""
    old = a_video(tmp_path / "old.mp4", seconds=4, codec="mpeg4", options={"b": "3M"}, gop=20, **SMALL)
    path = begun_earlier(old, tmp_path / name, Fraction(1, 2), **options)
    new = probe(convert(probe(path, LIMITS), tmp_path / "new.mp4"), LIMITS)
    spans = [Span(0, 0, 900), Span(1, 1234, 2100), Span(2, 2100, 3000)]
    for clip in cut_clips(new, spans, CutConfig(min_short_side=0), LIMITS):
        assert isinstance(clip, CutClip), clip
        (file := tmp_path / "clip.mp4").write_bytes(clip.mp4)
        inside = codes_by_pyav(file)[clip.first_frame : clip.first_frame + clip.n_frames]
        shown = frame_times(path)
        first = 13 if name == "hidden.mp4" else 0
        start, end = Fraction(clip.start_ms, 1000), Fraction(clip.end_ms, 1000)
        assert inside == [first + i for i, time in enumerate(shown) if start <= time < end]


def test_a_source_of_10_bits_is_converted_where_clips_are_encoded_and_copied_elsewhere(tmp_path: Path) -> None:
    film = a_video(tmp_path / "ten.mp4", seconds=2, codec="libx265", pix_fmt="yuv420p10le", crf=18, gop=40, **SMALL)
    source = probe(film, LIMITS)
    assert not needs_conversion(source, "remux") and needs_conversion(source, "exact")
    exact = CutConfig(min_short_side=0, mode="exact")
    new = probe(convert(source, tmp_path / "new.mp4"), LIMITS)
    (clip,) = cut_clips(new, [Span(0, 400, 1200)], exact, LIMITS)
    assert isinstance(clip, CutClip)
    (file := tmp_path / "clip.mp4").write_bytes(clip.mp4)
    assert codes_by_pyav(file) == list(range(10, 30))


def test_interlaced_and_hdr_samples_can_be_converted(samples: Path, tmp_path: Path) -> None:
    for name in ("metadata-extractor-images__Sony_ILCE-7M3_A7M3_.mts", "media__hdr10-av1.mp4"):
        source = probe(first_second(samples / "videos" / name, tmp_path / name), LIMITS)
        with pytest.raises(Unusable):
            refuse_unfit(source, CutConfig())
        new = probe(convert(source, tmp_path / f"{name}.mp4"), LIMITS)
        refuse_unfit(new, CutConfig())
        assert (new.video.codec, new.video.pix_fmt, new.video.hdr) == ("h264", "yuv420p", "")
        assert (new.video.width, new.video.height) == (source.video.width, source.video.height)
        assert new.audio is not None


def first_second(path: Path, to: Path) -> Path:
    """The packets of a file's first second, copied."""
    short = ["-t", "1", "-c", "copy", str(to)]
    subprocess.run([find_ffmpeg(), "-v", "error", "-i", str(path), *short], check=True, timeout=60)
    return to


def test_converting_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    source = probe(a_video(tmp_path / "old.mkv", seconds=1, codec="mpeg4", **SMALL), LIMITS)
    first, again = (convert(source, tmp_path / f"{i}.mp4").read_bytes() for i in range(2))
    assert first == again


@pytest.mark.parametrize(
    ("facts", "remux", "exact"),
    [
        ({}, False, False),
        ({"codec": "mpeg4"}, True, True),
        ({"interlaced": True}, True, True),
        ({"hdr": "smpte2084"}, True, True),
        ({"transformed": True}, True, True),
        ({"refreshes": True}, True, True),
        ({"untimed": True}, True, True),
        ({"bit_depth": 10}, False, True),
        ({"bit_depth": 9}, False, True),
        ({"pix_fmt": "yuv444p"}, True, True),
        ({"pix_fmt": "yuvj444p"}, True, True),
        ({"pix_fmt": "gbrp"}, True, True),
        ({"pix_fmt": "yuv444p", "codec": "hevc"}, False, False),
    ],
)
def test_what_a_way_of_cutting_rejects_is_converted_and_nothing_else(
    facts: dict[str, Any], remux: bool, exact: bool
) -> None:
    plain = {"codec": "h264", "pix_fmt": "yuv420p", "bit_depth": 8, "interlaced": False, "hdr": ""}
    plain |= {"transformed": False, "refreshes": False, "untimed": False}
    source: Any = SimpleNamespace(video=SimpleNamespace(**plain | facts))
    assert (needs_conversion(source), needs_conversion(source, "exact")) == (remux, exact)
