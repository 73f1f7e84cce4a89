"""The one decode pass: what it takes too long for, and what a busy machine is no verdict on."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hdvila_testing.video import a_video
from manifests.reasons import Reason, ReasonClass
from pipeline.engine.work.unit import Rejected, Transient
from pipeline.media.decode_pass import ClipLook, VideoLook, hash_interval_ms
from pipeline.media.frames import DecodeFault
from pipeline.media.stopwatch import Stopwatch
from tests.pipeline.media.stage_runs import SMALL, process


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "film.mp4", seconds=8, gop=50, cuts=(80,), **SMALL)


def test_a_video_that_takes_too_long_is_rejected(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used_s = itertools.count(step=100)
    monkeypatch.setattr("pipeline.media.work_limit.time.process_time", lambda: float(next(used_s)))
    with pytest.raises(Rejected, match=r"decoding took \d+ s of processor time") as caught:
        process(film, tmp_path)
    assert caught.value.reason is Reason.TIMEOUT


def test_a_busy_machine_is_no_verdict_on_a_video(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.media.work_limit.WALL_FACTOR", 0.0)

    for attempt in (1, 2):
        with pytest.raises(Transient, match="% of a core") as given_back:
            process(film, tmp_path / str(attempt), attempt=attempt)
        assert given_back.value.reason is Reason.TIMEOUT and given_back.value.wait_s > 0
    with pytest.raises(Rejected, match=r"at a load of [\d.]+ on \d+ cores") as third:
        process(film, tmp_path / "3", attempt=3)
    assert third.value.reason is Reason.TIMEOUT and third.value.reason.class_ is ReasonClass.LATER


def test_the_first_frame_of_each_quarter_second_is_hashed() -> None:
    look = ClipLook(cast(Any, None), 0, 0, cast(Any, None), {})
    times_ms = [0, 40, 249, 250, 251, 499, 520, 740, 750, 1300, 1490, 1500]
    assert [ms for ms in times_ms if look.hash_is_due(ms, lambda: None)] == [0, 250, 520, 750, 1300, 1500]
    late = ClipLook(cast(Any, None), 0, 0, cast(Any, None), {})
    assert [ms for ms in (13, 40, 250) if late.hash_is_due(ms, lambda: None)] == [13, 250]


def test_a_short_clip_is_hashed_as_often_as_one_of_four_seconds() -> None:
    def n_hashed(duration_ms: int, frame_ms: int = 10) -> int:
        look = ClipLook(cast(Any, None), 0, 0, cast(Any, None), {}, hash_every_ms=hash_interval_ms(duration_ms))
        return sum(look.hash_is_due(ms, lambda: None) for ms in range(0, duration_ms, frame_ms))

    assert [n_hashed(ms) for ms in (8000, 4000, 2000, 1000)] == [32, 16, 16, 16]
    assert n_hashed(1000, 40) == 16 and n_hashed(3, 1) == 3


def test_a_fault_counts_for_the_clips_that_need_its_moment() -> None:
    """From the frame that decoding begins with, to those a little after the end that the last ones refer to."""

    def faults(time_ms: int, n_frames: int = 50) -> list[str]:
        clip: Any = SimpleNamespace(from_ms=900, start_ms=1000, end_ms=3000, n_frames=50)
        facts = SimpleNamespace(n_frames=n_frames, close=lambda ms: None)
        makers = SimpleNamespace(finish=lambda: None)
        look = ClipLook(clip, 0, 0, cast(Any, makers), {}, facts=cast(Any, facts))
        video: Any = SimpleNamespace(_watch=Stopwatch(), _faults=[DecodeFault(time_ms, "bad slice")])
        return VideoLook._end(video, look).faults

    for time_ms, counts in [(899, False), (900, True), (3000, True), (3199, True), (3200, False)]:
        assert faults(time_ms) == ([f"bad slice at {time_ms} ms"] if counts else [])
    assert faults(0, 49) == ["49 of 50 frames can be decoded"] and faults(0, 51) == ["51 of 50 frames can be decoded"]
