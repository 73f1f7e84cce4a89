"""One attempt at a unit: its own limit, and whose fault a failure is."""

import socket
from pathlib import Path

import pytest

from pipeline.engine.attempt import End, attempt_unit
from pipeline.engine.store import Store
from pipeline.engine.unit import Unit
from tests.pipeline.engine.toy_limits import toy

pytestmark = pytest.mark.faults


def test_a_unit_s_own_limit_goes_before_its_stage_s(tmp_path: Path) -> None:
    stage = toy(tmp_path, "hang", time_limit_s=50)
    outcome = attempt_unit(stage, Unit("a", "hang", ("a",), 0.3), Store(str(tmp_path / "out")), tmp_path / "s", 1)

    assert (outcome.end, outcome.detail) == (End.TIMEOUT, "over 0 s")


@pytest.mark.parametrize(("action", "reason"), [("full", "no_disk"), ("sick disk", "place_failed")])
def test_a_full_or_failing_disk_is_its_machine_s_and_names_it(tmp_path: Path, action: str, reason: str) -> None:
    stage = toy(tmp_path, action, time_limit_s=9)
    outcome = attempt_unit(stage, Unit("a", action, ("a",)), Store(str(tmp_path / "out")), tmp_path / "s", 1)

    assert (outcome.end, outcome.reason) == (End.PLACE, reason)
    assert outcome.detail.startswith(f"{socket.gethostname()}: ")


def test_a_reject_names_the_machine(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    unit = Unit("a", "reject", ("a",))
    store.commit(
        "toy", "a", attempt_unit(toy(tmp_path, "reject", time_limit_s=9), unit, store, tmp_path / "s", 1).facts
    )

    assert store.read_rejects().column("node").to_pylist() == [socket.gethostname()]
