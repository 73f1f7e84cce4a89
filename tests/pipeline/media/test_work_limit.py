"""Limits on the work at a video: its own time rejects it, the machine's does not."""

import pytest

from manifests.reasons import Reason
from pipeline.media.probe import Starved, Unusable
from pipeline.media.work_limit import WALL_FACTOR, WorkLimit


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Seconds of the processor and of the wall that have passed."""
    seconds = {"cpu": 0.0, "wall": 0.0}
    monkeypatch.setattr("pipeline.media.work_limit.time.process_time", lambda: 50 + seconds["cpu"])
    monkeypatch.setattr("pipeline.media.work_limit.time.monotonic", lambda: 900 + seconds["wall"])
    return seconds


def test_processor_time_past_the_limit_is_a_verdict(passed: dict[str, float]) -> None:
    limit = WorkLimit(10, "scaling")
    passed.update(cpu=10.0, wall=10.0)
    limit.check()
    passed.update(cpu=10.1)
    with pytest.raises(Unusable, match="scaling took 10 s of processor time") as caught:
        limit.check()
    assert caught.value.reason is Reason.TIMEOUT


def test_a_machine_that_gives_too_little_is_none(passed: dict[str, float]) -> None:
    limit = WorkLimit(10)
    passed.update(cpu=4.0, wall=WALL_FACTOR * 10)
    limit.check()
    passed.update(wall=WALL_FACTOR * 10 + 0.1)
    with pytest.raises(Starved, match="10 % of a core for 40 s"):
        limit.check()


def test_each_step_has_its_own_processor_time_and_all_share_the_wall(passed: dict[str, float]) -> None:
    limit = WorkLimit(10, "cutting")
    passed.update(cpu=9.0, wall=20.0)
    limit.begin("decoding")
    passed.update(cpu=18.0, wall=WALL_FACTOR * 10)
    limit.check()
    passed.update(wall=WALL_FACTOR * 10 + 0.1)
    with pytest.raises(Starved, match="decoding got 45 % of a core for 40 s"):
        limit.check_wall()
    passed.update(cpu=19.1, wall=20.0)
    with pytest.raises(Unusable, match="decoding took 10 s"):
        limit.check()
