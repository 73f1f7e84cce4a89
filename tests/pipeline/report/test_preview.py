"""The small videos of the report: a clip's own frames with its sound, and nothing for a file that is none."""

import io
from fractions import Fraction
from pathlib import Path

import av
import pytest

from hdvila_testing.frame_code import read_frame_code
from hdvila_testing.video import a_video
from pipeline.report.preview import WIDTH, preview


@pytest.mark.parametrize("audio", ["aac", ""])
def test_a_preview_holds_the_frames_of_the_clip_with_their_sound(tmp_path: Path, audio: str) -> None:
    film = a_video(tmp_path / "film.mp4", seconds=4, fps=Fraction(12), audio=audio)

    with av.open(io.BytesIO(preview(film.read_bytes(), 10, 24))) as made:
        frames = list(made.decode(video=0))
    assert (frames[0].width, frames[0].height) == (WIDTH, 270) and frames[0].time == 0
    assert [read_frame_code(frame.to_ndarray(format="rgb24")) for frame in frames] == list(range(10, 34))
    with av.open(io.BytesIO(preview(film.read_bytes(), 10, 24))) as made:
        heard_s = sum(block.samples / block.sample_rate for block in made.decode(made.streams.audio[0])) if audio else 2
        assert len(made.streams.audio) == bool(audio) and heard_s == pytest.approx(2, abs=0.1)


def test_of_many_frames_a_second_some_are_left_out(tmp_path: Path) -> None:
    film = a_video(tmp_path / "film.mp4", seconds=2, fps=Fraction(50), audio="")
    with av.open(io.BytesIO(preview(film.read_bytes(), 0, 100))) as made:
        times = [frame.time for frame in made.decode(video=0)]
    assert 28 <= len(times) <= 31 and times[-1] > 1.9


def test_a_file_that_is_no_video_has_no_preview() -> None:
    assert preview(b"\0" * 5000, 0, 10) == b""
