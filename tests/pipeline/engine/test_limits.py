"""A unit's own limits: they count from its own start and end it whatever it does; what it left on the disk goes."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.engine.attempt import End, attempt_unit
from pipeline.engine.limits import KILL_AFTER_S
from pipeline.engine.scratch import scratch_folder
from pipeline.engine.store import Store
from pipeline.engine.unit import Resources, Unit
from tests.pipeline.engine.toys import ToyStage

pytestmark = pytest.mark.faults

STUCK_IN_C = """
import ctypes, signal
from pipeline.engine.limits import limits, process_ends_past
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # or it would end the call
with process_ends_past(1.0), limits(1.0, 0):
    ctypes.PyDLL(None).sleep(60)  # holds the interpreter's lock: no Python code runs, no signal is heard
"""


def toy(tmp_path: Path, action: str, **resources: float) -> ToyStage:
    (tmp_path / "marks").mkdir(exist_ok=True)
    return ToyStage((("a", action),), tmp_path / "marks", resources=Resources(**resources))  # type: ignore[arg-type]


def test_a_process_stuck_in_c_ends_itself_soon_after_its_limit_and_says_where() -> None:
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", STUCK_IN_C], capture_output=True, text=True, timeout=60)

    assert time.monotonic() - began < 1.0 + KILL_AFTER_S + 10
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "in <module>" in ended.stderr


def test_a_unit_s_own_limit_goes_before_its_stage_s(tmp_path: Path) -> None:
    stage = toy(tmp_path, "hang", time_limit_s=50)
    outcome = attempt_unit(stage, Unit("a", "hang", ("a",), 0.3), Store(str(tmp_path / "out")), tmp_path / "s", 1)

    assert (outcome.end, outcome.detail) == (End.TIMEOUT, "over 0 s")


def test_what_a_dead_worker_left_is_swept_by_the_next_attempt_there(tmp_path: Path) -> None:
    root, run = tmp_path / "scratch", str(tmp_path / "out")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    with scratch_folder(root, run, "toy-mine") as mine, scratch_folder(root, "another run", "toy-theirs") as theirs:
        left, of_another_run = (root / f.name.replace(f".{os.getpid()}.", f".{dead.pid}.") for f in (mine, theirs))
        for folder in (left, of_another_run):
            folder.mkdir()
            (folder / "half").write_bytes(b"x")
        alive, of_another_host = mine.with_name(mine.name + "-2"), left.with_name("elsewhere" + left.name)
        alive.mkdir()
        of_another_host.mkdir()

        attempt_unit(toy(tmp_path, "", time_limit_s=9), Unit("a", "", ("a",)), Store(run), root, 1)

        assert not left.exists()
        assert all(folder.exists() for folder in (mine, theirs, alive, of_another_run, of_another_host))


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
