"""What a file says of its tracks, and pictures that are displayed other than they are stored."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from hdvila_testing.video import a_video
from manifests.colour import FULL, LIMITED
from manifests.reasons import Reason
from pipeline.config.media import CutConfig
from pipeline.media.convert import convert, needs_conversion
from pipeline.media.probe import Unusable, _video_stream, probe, refuse_unfit
from pipeline.media.streams import audio_track, video_track

SMALL = {"width": 320, "height": 180}


def a_stream(index: int = 0, *, marked: str = "", size: tuple[int, int] = (64, 36), **facts: Any) -> Any:
    """What PyAV says of a track; `marked`: its dispositions."""
    bits = sum(getattr(av.stream.Disposition, word) for word in marked.split())
    codec = {"codec": SimpleNamespace(canonical_name="h264"), "width": size[0], "height": size[1], "pix_fmt": None}
    codec |= {
        "extradata": None,
        "format": None,
        "field_order": 0,
        "color_trc": 1,
        "colorspace": 1,
        "color_range": 1,
        "color_primaries": 1,
    }
    codec |= {key: facts.pop(key) for key in list(facts) if key in (*codec, "sample_rate", "channels")}
    told = {"index": index, "disposition": bits, "time_base": Fraction(1, 1000), "start_time": 0, "duration": 5000}
    told |= {"average_rate": None, "guessed_rate": None, "base_rate": None, "sample_aspect_ratio": None, "language": ""}
    return SimpleNamespace(codec_context=SimpleNamespace(**codec), **told | facts)


def reason_of(film: Path) -> Reason | None:
    try:
        refuse_unfit(probe(film), CutConfig(min_short_side=0))
    except Unusable as fault:
        return fault.reason
    return None


@pytest.mark.parametrize(
    ("matrix", "reason"),
    [
        ((1, 0, 0, 1), None),
        ((0, 1, -1, 0), None),
        ((-1, 0, 0, -1), None),
        ((0, 0, 0, 0), None),
        ((-1, 0, 0, 1), Reason.UNSUPPORTED_MEDIA),
        ((0, 1, 1, 0), Reason.UNSUPPORTED_MEDIA),
        ((0.7, 0.7, -0.7, 0.7), Reason.UNSUPPORTED_MEDIA),
    ],
)
def test_pictures_that_are_displayed_mirrored_or_askew_are_rejected_or_converted(
    matrix: tuple[float, ...], reason: Reason | None, tmp_path: Path
) -> None:
    """FFmpeg gives a mirrored picture's rotation as 180 degrees: proxies of it would stand upside down."""
    film = with_display_matrix(a_video(tmp_path / "film.mp4", seconds=0.4, audio="", **SMALL), *matrix)
    source = probe(film)

    assert reason_of(film) is reason
    assert needs_conversion(source) is (reason is not None)
    if matrix == (-1, 0, 0, 1):
        copy = convert(source, tmp_path / "copy.mp4")
        with av.open(str(film)) as before, av.open(str(copy)) as after:
            stored, upright = (next(c.decode(video=0)).to_ndarray(format="gray").astype(int) for c in (before, after))
        assert np.abs(stored[:, ::-1] - upright).mean() < 3 and reason_of(copy) is None


def test_side_data_that_pyav_has_no_name_for_says_nothing_of_the_display() -> None:
    """Spatial video of headsets carries such."""

    class Unnamed:
        def get(self, _name: str) -> None:
            raise ValueError("29 is not a valid Type")

    picture = SimpleNamespace(rotation=0, interlaced_frame=False, side_data=Unnamed())
    assert not video_track(a_stream(), Fraction(0), picture).transformed


def with_display_matrix(film: Path, *matrix: float) -> Path:
    """Writes (a, b, c, d) into the mp4's header of the video track (ISO/IEC 14496-12, 8.3.2)."""
    data = bytearray(film.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + offset : at + offset + 4] = round(value * 65536).to_bytes(4, "big", signed=True)
    film.write_bytes(data)
    return film


def picture(rotation: float = 0.0, *, interlaced: bool = False) -> Any:
    return SimpleNamespace(rotation=rotation, interlaced_frame=interlaced, side_data={})


def test_a_video_track_is_told_as_it_is_displayed() -> None:
    def told(shown: Any = None, **facts: Any) -> Any:
        return video_track(a_stream(size=(60, 40), **facts), Fraction(0), shown)

    assert (told().rotation, told(picture(-90)).rotation, told(picture(180)).rotation) == (0, 90, 180)
    assert [told(picture(turn)).width for turn in (0, 90, 180, 270)] == [60, 40, 60, 40]
    assert told(sample_aspect_ratio=Fraction(1, 2)).width == 30
    wide = told(sample_aspect_ratio=Fraction(4, 3))
    assert (wide.width, wide.height, wide.coded_width, wide.sar) == (80, 40, 60, Fraction(4, 3))
    for nonsense in (None, Fraction(0), Fraction(-2)):
        assert (told(sample_aspect_ratio=nonsense).width, told(sample_aspect_ratio=nonsense).sar) == (60, 1)


def test_a_track_is_interlaced_where_the_file_or_its_first_picture_says_so() -> None:
    for order in range(4):
        assert video_track(a_stream(field_order=order), Fraction(0), None).interlaced == (order > 1)
    assert video_track(a_stream(), Fraction(0), picture(interlaced=True)).interlaced
    assert not video_track(a_stream(), Fraction(0), picture()).interlaced


def test_depth_range_and_hdr_come_from_what_the_track_states() -> None:
    ten = SimpleNamespace(components=[SimpleNamespace(bits=8), SimpleNamespace(bits=10)])
    deep = video_track(a_stream(pix_fmt="yuv420p10le", format=ten, color_trc=16), Fraction(0), None)
    assert (deep.bit_depth, deep.hdr, deep.colour.range_, deep.pix_fmt) == (10, "smpte2084", LIMITED, "yuv420p10le")
    assert video_track(a_stream(color_trc=18), Fraction(0), None).hdr == "arib-std-b67"
    unknown = video_track(a_stream(color_range=2), Fraction(0), None)
    assert (unknown.bit_depth, unknown.hdr, unknown.colour.range_, unknown.pix_fmt) == (8, "", FULL, "")
    empty = SimpleNamespace(components=[])
    jpeg = video_track(a_stream(pix_fmt="yuvj420p", format=empty, color_range=0), Fraction(0), None)
    assert (jpeg.bit_depth, jpeg.colour.range_) == (8, FULL)


def test_starts_are_counted_from_source_time_and_lengths_are_not() -> None:
    late = {"start_time": 1503, "duration": 5001, "time_base": Fraction(1, 1500)}
    video = video_track(a_stream(**late), Fraction(1), None)
    sound = audio_track(a_stream(sample_rate=None, channels=None, language=None, **late), Fraction(1))
    assert (video.start_ms, video.duration_ms, sound.start_ms, sound.duration_ms) == (2, 3334, 2, 3334)
    assert (sound.rate, sound.channels, sound.language) == (0, 0, "")
    told = audio_track(a_stream(sample_rate=48_000, channels=2, start_time=None, duration=None), Fraction(1))
    assert (told.rate, told.channels, told.start_ms, told.duration_ms) == (48_000, 2, 0, -1)
    assert video_track(a_stream(start_time=None, duration=None), Fraction(1), None).duration_ms == -1


@pytest.mark.parametrize(
    ("rates", "taken"),
    [
        ((240, 25, 25), 240),
        ((1000, 25, 30), 25),
        ((0, None, 30), 30),
        ((241, 1000, -5), 0),
        ((Fraction(1, 2), 9, 9), 0.5),
    ],
)
def test_the_rate_is_the_first_that_is_one(rates: tuple[Any, Any, Any], taken: float) -> None:
    rated = a_stream(average_rate=rates[0], guessed_rate=rates[1], base_rate=rates[2])
    assert video_track(rated, Fraction(0), None).fps == taken


def test_the_video_is_the_default_track_else_the_largest_and_never_cover_art() -> None:
    low, high = a_stream(0, size=(60, 40)), a_stream(1, size=(40, 90))
    marked, cover = a_stream(2, marked="default", size=(6, 4)), a_stream(3, marked="default attached_pic")
    for streams, chosen in (([low, high], high), ([marked, low, high], marked), ([cover, low], low), ([cover], None)):
        assert _video_stream(SimpleNamespace(streams=SimpleNamespace(video=streams))) is chosen
