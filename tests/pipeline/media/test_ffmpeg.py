"""The ffmpeg program on untrusted files, and the conversion of what can't be cut as it is."""

from pathlib import Path

import pytest

from manifests.reasons import Reason
from pipeline.media.ffmpeg import find_ffmpeg, input_options, run_ffmpeg
from pipeline.media.probe import Starved, Unusable

ffmpeg = pytest.importorskip("ffmpeg")


def test_a_program_is_found() -> None:
    assert Path(find_ffmpeg()).is_file()


@pytest.mark.parametrize(
    "text", ["#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", "ffconcat version 1.0\nfile a.mp4\n"]
)
def test_a_playlist_under_a_video_s_name_is_refused_with_ffmpeg_s_last_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "film.mp4"
    path.write_text(text)
    graph = ffmpeg.output(ffmpeg.input(str(path), **input_options()), str(tmp_path / "out.mp4"))
    with pytest.raises(Unusable) as caught:
        run_ffmpeg(graph, time_limit_s=30)
    assert caught.value.reason is Reason.BROKEN_MEDIA
    assert len(caught.value.detail) < 500


def test_a_run_past_its_time_limit_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.media.ffmpeg.WALL_FACTOR", 100.0)  # also on a machine that does much else
    endless = ffmpeg.output(ffmpeg.input("testsrc2=s=1280x720", f="lavfi"), str(tmp_path / "out.mp4"))
    with pytest.raises(Unusable) as caught:
        run_ffmpeg(endless, time_limit_s=1)
    assert caught.value.reason is Reason.TIMEOUT


def test_a_program_that_waits_is_starved_and_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-re` reads a film at its own pace: hardly any processor time in a minute."""
    monkeypatch.setattr("pipeline.media.ffmpeg.WALL_FACTOR", 1.0)
    slow = ffmpeg.input("testsrc2=s=64x36:r=1:d=60", f="lavfi", re=None)
    with pytest.raises(Starved, match="ffmpeg got"):
        run_ffmpeg(ffmpeg.output(slow, str(tmp_path / "out.mp4")), time_limit_s=1)
