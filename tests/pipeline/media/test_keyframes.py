"""Keyframes that are no whole pictures: H.264 with intra refresh."""

from pathlib import Path

import pytest

from hdvila_testing.video import a_video
from manifests.reasons import Reason
from pipeline.config.media import CutConfig
from pipeline.media.convert import convert
from pipeline.media.keyframes import is_whole
from pipeline.media.probe import Unusable, probe, refuse_unfit

SMALL = {"width": 320, "height": 180, "audio": ""}


@pytest.mark.parametrize("suffix", ["mp4", "ts", "mkv"])
def test_a_film_of_intra_refresh_is_rejected_or_converted(suffix: str, tmp_path: Path) -> None:
    """A clip could begin at what it marks as keyframes, and readers would drop or garble the first second."""
    film = a_video(
        tmp_path / f"film.{suffix}", seconds=4, gop=25, b_frames=0, options={"x264-params": "intra-refresh=1"}, **SMALL
    )
    source, accepted = probe(film), CutConfig(min_short_side=0)
    with pytest.raises(Unusable, match="intra refresh") as caught:
        refuse_unfit(source, accepted)
    assert caught.value.reason is Reason.UNSUPPORTED_MEDIA

    copy = probe(convert(source, tmp_path / "copy.mp4"))
    refuse_unfit(copy, accepted)
    assert abs(copy.duration_ms - 4000) <= 40


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_keyframes_of_open_groups_are_whole(suffix: str, tmp_path: Path) -> None:
    film = a_video(tmp_path / f"film.{suffix}", seconds=4, gop=25, open_gop=True, **SMALL)
    assert not probe(film).video.refreshes


IDR, I_SLICE, P_SLICE = b"\x65\x88\x84", b"\x41\x88\x84", b"\x41\x9a\x84"  # first macroblock 0; slices of type 7 and 5
ABOUT = b"\x09\x10"


@pytest.mark.parametrize(
    ("units", "whole"),
    [
        ([ABOUT, IDR], True),
        ([ABOUT, I_SLICE], True),
        ([ABOUT, P_SLICE], False),
        ([I_SLICE, P_SLICE], True),
        ([ABOUT], True),
        ([b"\x41"], True),
        ([], True),
    ],
)
def test_the_first_slice_says_whether_a_keyframe_refers_to_others(units: list[bytes], whole: bool) -> None:
    in_mp4, avc_c = b"".join(len(unit).to_bytes(2, "big") + unit for unit in units), b"\x01\x64\x00\x1f\xfd"
    in_a_stream = b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
    assert is_whole(in_mp4, avc_c) is is_whole(in_a_stream, b"") is is_whole(memoryview(in_a_stream), b"\x00") is whole
