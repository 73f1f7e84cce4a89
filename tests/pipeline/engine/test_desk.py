"""The desk: what a run says of itself, and what it takes from those who ask it."""

import json
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from manifests.live import Control
from pipeline.engine import desk as desk_module
from pipeline.engine import driver
from pipeline.engine.desk import Desk, read_run_status, write_control
from pipeline.engine.drain import Drained, StopRequest
from pipeline.engine.driver import run_stage
from pipeline.engine.executor import LocalExecutor
from pipeline.engine.lock import LockLost, RunLock
from pipeline.engine.store import Store
from tests.pipeline.engine.desk_runs import UNITS, StopsAfter, run
from tests.pipeline.engine.toys import ToyStage


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(driver, "GROUP_S", 0.0)  # each unit is committed as it ends, so that commits are countable
    (tmp_path / "marks").mkdir()
    return Store(str(tmp_path / "out"))


def test_a_paused_run_starts_nothing_until_it_is_resumed(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "READ_EVERY_S", 0.05)
    monkeypatch.setattr(desk_module, "WRITE_EVERY_S", 0.0)
    write_control(store, Control(paused=True))
    thread = threading.Thread(target=run, args=(store, tmp_path, Desk(store)))
    thread.start()
    time.sleep(1.5)
    seen = read_run_status(store)

    assert not store.committed("toy") and seen is not None and seen.state == "paused"
    write_control(store, Control(paused=False))
    thread.join(timeout=20)
    assert len(store.committed("toy")) == len(UNITS)


def test_the_status_says_how_far_a_stage_is_and_how_the_run_ended(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "WRITE_EVERY_S", 0.0)
    with pytest.raises(Drained), Desk(store, StopsAfter(store, 3)) as desk:
        run(store, tmp_path, desk)

    status = read_run_status(store)
    assert status is not None
    assert (status.state, status.exit_code, status.stages[-1].done) == ("ended", 75, 3)
    assert "stopped on request" in status.detail


def test_the_status_of_a_run_that_goes_on_also_says_what_earlier_ones_did(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "WRITE_EVERY_S", 0.0)
    stage = ToyStage((("a", ""), ("b", "reject"), ("c", "reject")), tmp_path / "marks")
    for stop in (StopsAfter(store, 2), StopRequest()):
        with suppress(Drained), Desk(store, stop) as desk, RunLock(store) as lock:
            run_stage(stage, store, LocalExecutor(tmp_path / "scratch"), lock, desk=desk)

    status = read_run_status(store)
    assert status is not None
    (line,) = status.stages
    assert (line.stage, line.done_before, line.done) == ("toy", 2, 1)
    assert (line.rejects_before, line.rejects) == ({"private": 1}, {"private": 1})


def test_a_run_that_lost_its_lock_leaves_the_status_to_the_other(store: Store) -> None:
    store.write("status.json", b'{"state": "running", "host": "another"}')

    with pytest.raises(LockLost), Desk(store):
        raise LockLost("taken over")

    status = read_run_status(store)
    assert status is not None and status.host == "another"


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"state": 3}', b"\xff"])
def test_damaged_files_count_as_absent(store: Store, damaged: bytes) -> None:
    store.write("status.json", damaged)
    store.write("control.json", damaged)

    assert read_run_status(store) is None
    assert not Desk(store).is_paused


def test_unknown_fields_are_passed_over(store: Store) -> None:
    store.write("control.json", json.dumps({"paused": True, "louder": 3}).encode())

    assert Desk(store).is_paused
