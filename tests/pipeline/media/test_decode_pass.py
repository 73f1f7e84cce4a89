"""The one decode pass: what it takes too long for, and what a busy machine is no verdict on."""

from pathlib import Path

import pytest

from manifests.reasons import Reason, ReasonClass
from pipeline.engine.unit import Rejected, Transient
from pipeline.testing.video import a_video
from tests.pipeline.media.stage_runs import SMALL, process


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_video(tmp_path_factory.mktemp("film") / "film.mp4", seconds=8, gop=50, cuts=(80,), **SMALL)


def test_a_video_that_takes_too_long_is_turned_away(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.media.decode_pass.time_limit_s", lambda found, limits: -1.0)
    with pytest.raises(Rejected) as caught:
        process(film, tmp_path)
    assert caught.value.reason is Reason.TIMEOUT


def test_a_busy_machine_is_no_verdict_on_a_video(film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.media.clock.WALL_FACTOR", 0.0)

    for attempt in (1, 2):
        with pytest.raises(Transient, match="% of a core") as given_back:
            process(film, tmp_path / str(attempt), attempt=attempt)
        assert given_back.value.reason is Reason.TIMEOUT and given_back.value.wait_s > 0
    with pytest.raises(Rejected, match=r"at a load of [\d.]+ on \d+ cores") as third:
        process(film, tmp_path / "3", attempt=3)
    assert third.value.reason is Reason.TIMEOUT and third.value.reason.class_ is ReasonClass.LATER
