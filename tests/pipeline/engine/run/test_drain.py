"""A run that is asked to stop loses nothing, and says what remains; a paused one waits."""

import os
import signal
from pathlib import Path

import pytest

from manifests.exits import ExitCode
from pipeline.engine.run import clock, driver
from pipeline.engine.run.drain import Drained, StopRequest, drain_on_sigterm
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.store.store import Store
from tests.conftest import REPO
from tests.pipeline.engine.clocks import going_by
from tests.pipeline.engine.desk_runs import StopsAfter, run


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(driver, "GROUP_S", 0.0)  # each unit is committed as it ends, so that commits are countable
    (tmp_path / "marks").mkdir()
    return Store(str(tmp_path / "out"))


def test_what_is_committed_stays_and_the_rest_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(
        Drained, match=r"stopped on request \(a test asks\); of the plans under way 2 units are committed.*same command"
    ):
        run(store, tmp_path, Desk(store, StopsAfter(store, 2)))

    assert len(store.committed("toy")) == 2
    assert Drained.exit_code == ExitCode.DRAINED == 75
    assert run(store, tmp_path, Desk(store)).n_made == 3


def test_a_stage_that_is_complete_does_not_drain(store: Store, tmp_path: Path) -> None:
    run(store, tmp_path, Desk(store))
    stop = StopRequest()
    stop.request("SIGTERM")

    assert run(store, tmp_path, Desk(store, stop)).n_units == 0


def test_a_run_stops_after_its_time(store: Store, tmp_path: Path) -> None:
    with pytest.raises(Drained, match="--stop-after"):
        run(store, tmp_path, Desk(store, StopRequest(stop_after_s=1e-6)))
    assert not store.committed("toy")


def test_a_second_request_takes_the_grace_away() -> None:
    stop = StopRequest(grace_s=60)
    stop.request("SIGTERM")
    assert 59 < stop.grace_left_s <= 60

    stop.request("SIGTERM")

    assert stop.grace_left_s == 0


def test_the_signal_asks_for_the_end_and_the_process_lives() -> None:
    stop = StopRequest()
    before = signal.getsignal(signal.SIGTERM)

    with drain_on_sigterm(stop):
        os.kill(os.getpid(), signal.SIGTERM)

        assert stop.is_due
        assert stop.why == "SIGTERM"
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_grace_is_the_one_that_the_documentation_names() -> None:
    page = REPO / "docs" / "crawl.md"

    assert f"`--grace` seconds ({StopRequest().grace_s:.0f})" in page.read_text()


class At:
    """A clock that stands."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_a_stop_is_due_once_its_time_has_passed_and_the_grace_runs_from_then() -> None:
    with going_by(At(1000.0)):
        stop, never = StopRequest(stop_after_s=90.0), StopRequest()
        for seconds, is_due in ((89.0, False), (1.0, True), (1e9, True)):
            clock.sleep(seconds)
            assert (stop.is_due, never.is_due) == (is_due, False)
            if seconds == 1.0:
                assert stop.grace_left_s == stop.grace_s == 60.0
                clock.sleep(20)
                assert (stop.is_due, stop.grace_left_s) == (True, 40.0), "asked again it is the same request"
        assert stop.grace_left_s == 0.0
        assert (stop.why, never.why) == ("--stop-after 90 s has passed", "")


def test_ctrl_c_leaves_no_grace_to_what_is_written_at_the_end() -> None:
    stop = StopRequest()

    with pytest.raises(KeyboardInterrupt), drain_on_sigterm(stop):
        raise KeyboardInterrupt

    assert stop.is_due and stop.time_left_s == 0.0
