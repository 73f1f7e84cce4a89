"""The desk: what a run says of itself."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import UserError
from manifests.lock import LockLost, RunLock
from manifests.run_status import RunStatus, StageStatus
from pipeline.engine.run import driver
from pipeline.engine.run import status_and_control as desk_module
from pipeline.engine.run.drain import Drained, StopRequest
from pipeline.engine.run.driver import run_stage
from pipeline.engine.run.spending import Prices
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.run.status_files import read_run_status
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from tests.pipeline.engine.clocks import going_by
from tests.pipeline.engine.desk_runs import StopsAfter, run
from tests.pipeline.engine.run.test_lines import Jumping
from tests.pipeline.engine.toys import ToyStage


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(driver, "GROUP_S", 0.0)  # each unit is committed as it ends, so that commits are countable
    (tmp_path / "marks").mkdir()
    return Store(str(tmp_path / "out"))


def test_a_run_in_which_nothing_ends_says_where_it_is_and_how_long_the_whole_of_it_still_takes(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(desk_module, "BEAT_S", 0.05)
    media = StageStatus(stage="media", done=3, known=5, total=9, in_flight=2)
    with caplog.at_level("INFO", "hdvila"), Desk(store, foresee=lambda lines: 600.0) as desk:
        desk.take({1: media, 2: media.model_copy(update={"in_flight": 1})})
        until = time.monotonic() + 20
        while not caplog.messages:
            assert time.monotonic() < until
            time.sleep(0.01)
        seen = read_run_status(store)

    assert caplog.messages[0] == "media 6 of 18 videos (3 in flight); about 10 min left"
    assert seen is not None and seen.time_left_s == 600


@pytest.mark.parametrize("damaged", [b"", b"[]", b'{"state": 3}', b"\xff"])
def test_a_damaged_status_counts_as_absent(store: Store, damaged: bytes) -> None:
    store.write("status.json", damaged)

    assert read_run_status(store) is None


def test_unknown_fields_of_a_status_are_passed_over(store: Store) -> None:
    store.write("status.json", b'{"host": "one", "louder": 3}')

    status = read_run_status(store)
    assert status is not None and status.host == "one"


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


def test_a_run_whose_loop_waits_for_something_long_is_still_alive(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "BEAT_S", 0.05)

    with Desk(store) as desk:
        desk.take({1: live(7)})
        first = status_of(store)["updated_at"]
        until = time.monotonic() + 20
        while status_of(store)["updated_at"] == first and time.monotonic() < until:
            time.sleep(0.02)
        now = status_of(store)

    assert now["updated_at"] > first and now["stages"][0]["done"] == 7


def test_a_run_that_lost_its_lock_leaves_the_status_to_the_other(store: Store) -> None:
    store.write("status.json", b'{"state": "running", "host": "another"}')

    with pytest.raises(LockLost), Desk(store):
        raise LockLost("taken over")

    status = read_run_status(store)
    assert status is not None and status.host == "another"


@pytest.fixture
def at() -> Iterator[Jumping]:
    jumping = Jumping(1000.0)
    with going_by(jumping):
        yield jumping


def status_of(store: Store) -> dict[str, Any]:
    return store.read_json("status.json")  # type: ignore[no-any-return]


def live(n_done: int, seconds: float = 0.0, **more: Any) -> StageStatus:
    return StageStatus(stage="media", done=n_done, seconds=seconds, **more)


def test_cost_goes_on_from_earlier_runs_and_is_of_slots_time_and_bytes(store: Store, at: Jumping) -> None:
    store.write("manifest.json", b'{"totals": {"samples": 500}}')
    for cost in (4.0 + 1.0 + 0.5, 2 * (4.0 + 1.0 + 0.5)):
        said: list[RunStatus] = []
        desk = Desk(store, tell_run=said.append, prices=Prices(slot_hour=0.25, run_hour=0.5, gb_written=0.1))
        desk.begin()
        desk.requests["here"] = 7
        desk.take({}, n_slots=8)
        desk.note_turn(3.0)
        desk.note_turn(0.1)
        at.at += 7200.0
        desk.take({1: live(1, bytes=5 * 10**9)}, n_slots=8)
        assert (said[-1].cost, said[-1].clips, said[-1].loop_lag_s) == (cost, 500, 3.0)
        assert said[-1].requests == status_of(store)["requests"] == {"here": 7} and status_of(store)["version"] == 2


def test_the_seconds_of_a_stage_are_those_in_which_any_batch_of_it_was_under_way(store: Store, at: Jumping) -> None:
    told: list[StageStatus] = []
    desk = Desk(store, publishes=False, tell=told.append)
    desk.take({1: live(1, 10.0), 2: live(5, 4.0)})
    at.at += 20.04
    desk.take({1: live(2, 30.0)})
    assert told[-1].seconds == 30.0
    at.at += 20.0
    desk.take({1: live(3, 35.0)})
    desk.end(1, live(3, 35.0))
    desk.take({})
    at.at += 1000.0
    desk.take({3: live(1, 2.0)})

    assert (told[-1].done, told[-1].seconds) == (4, 40.0)
    desk.end(3, live(2, 2.0))
    assert told[-1].done == 5
    assert not store.exists("status.json"), "a stage on its own publishes nothing"


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (None, 0, ""),
        (UserError("wrong"), 2, "wrong"),
        (KeyboardInterrupt(), 130, ""),
        (ValueError("ours"), 4, "ours"),
    ],
)
def test_the_last_word_says_how_the_run_ended(
    store: Store, error: BaseException | None, code: int, detail: str
) -> None:
    before = time.time()
    with suppress(BaseException), Desk(store):
        if error:
            raise error

    status = status_of(store)
    assert (status["state"], status["exit_code"], status["detail"]) == ("ended", code, detail)
    assert before - 1 < status["started_at"] <= status["updated_at"] < time.time() + 1
    assert all(round(status[name], 3) == status[name] for name in ("started_at", "updated_at"))
    assert store.read("status.json").startswith(b'{\n "')


def test_the_status_of_a_run_that_stops_says_why(store: Store, at: Jumping) -> None:
    desk = Desk(store, foresee=lambda lines: 600.0)
    desk.stop.request("SIGTERM")
    desk.take({})

    assert (status_of(store)["state"], status_of(store)["detail"]) == ("draining", "SIGTERM")
    assert status_of(store)["time_left_s"] is None, "of a run that stops, the time left is not how long that takes"
    running = Desk(store)
    at.at += 10
    running.take({})
    assert (status_of(store)["state"], status_of(store)["exit_code"]) == ("running", 0)
