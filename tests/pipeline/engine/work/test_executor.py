"""Executors: machines that go away are not charged to their units."""

from dataclasses import replace
from pathlib import Path

import pytest

from manifests.reasons import Reason
from pipeline.engine.work.attempt import End, Outcome
from pipeline.engine.work.executor import Finished, LocalExecutor
from pipeline.engine.work.unit import Unit
from tests.pipeline.engine.runs import attempts, run


class OnSpot(LocalExecutor):
    """Machines that go away under the first attempts at a unit; notes which were to be alone, and as which attempt."""

    def __init__(self, scratch: Path, unit: str, n_lost: int) -> None:
        super().__init__(scratch)
        self._unit, self._n_lost = unit, n_lost
        self.asked: list[tuple[int, bool]] = []

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        super().submit(stage, unit, attempt, alone=alone)
        if unit.name == self._unit:
            self.asked.append((attempt, alone))

    def collect(self, timeout_s: float) -> Finished | None:
        finished = super().collect(timeout_s)
        if finished is None or finished.unit.name != self._unit or len(self.asked) > self._n_lost:
            return finished
        return replace(finished, outcome=Outcome(End.TAKEN, Reason.KILLED_WORKER, "node died", host="spot-7"))


@pytest.mark.parametrize("n_lost", [2, 3])
def test_a_machine_that_goes_away_is_not_charged_to_its_unit(tmp_path: Path, n_lost: int) -> None:
    spot = OnSpot(tmp_path / "scratch", "a", n_lost)
    store, result = run(tmp_path, spot, ("a", ""), ("b", ""))

    assert spot.asked == [(1, False), (1, False), (1, False), (1, True)][: n_lost + 1]
    assert store.commit_facts("toy", "a")["attempt"] == 1
    assert result.rejects == {}


def test_a_unit_that_loses_a_machine_of_its_own_after_three_others_is_given_up(tmp_path: Path) -> None:
    store, _ = run(tmp_path, OnSpot(tmp_path / "scratch", "a", 99), ("a", ""), ("b", ""))

    (row,) = store.read_rejects().to_pylist()
    assert (row["video_id"], row["reason"], row["node"]) == ("a", "killed_worker", "spot-7")
    assert attempts(tmp_path, "a") == 4


def test_dropped_units_are_counted_by_stage_and_never_run(tmp_path: Path) -> None:
    executor = LocalExecutor(tmp_path / "scratch")
    for stage, name in (("toy", "a"), ("toy", "b"), ("other", "c")):
        executor.submit(stage, Unit(name), 1)

    assert executor.drop_queued() == {"toy": 2, "other": 1}
    assert executor.collect(0.0) is None and executor.drop_queued() == {}


def test_cancelled_units_never_run(tmp_path: Path) -> None:
    executor = LocalExecutor(tmp_path / "scratch")
    executor.submit("toy", Unit("a"), 1)

    executor.cancel_all()

    assert executor.collect(0.0) is None


def test_the_settings_memory_limit_of_a_stage_counts_here(tmp_path: Path) -> None:
    executor = LocalExecutor(tmp_path / "scratch", {"toy": {"memory_bytes": 100 << 20}, "other": {"memory_bytes": 1}})
    store, _ = run(tmp_path, executor, ("a", "hog"), ("b", ""))

    (row,) = store.read_rejects().to_pylist()
    assert (row["video_id"], row["reason"]) == ("a", "over_memory") and str(100 << 20) in row["detail"]
    assert store.committed("toy") == {"a", "b"}
