"""A run planned in a process of its own: the same as one planned here, and its loop never waits for a plan."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from manifests.errors import UserError
from manifests.lock import RunLock
from pipeline.config import RunConfig
from pipeline.engine.run.drain import Drained, StopRequest
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.run.status_files import read_run_status
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.run.planned_beside import plan_beside
from pipeline.run.session import Run, Session
from tests.pipeline.run import recipes

PATIENCE_S = 60.0


@dataclass
class Started:
    """A session on an output directory of its own."""

    session: Session
    told: list[str] = field(default_factory=list)

    @property
    def store(self) -> Store:
        return self.session.store

    def run(self, recipe: Callable[[Run], Any], *, beside: bool = True) -> Any:
        return plan_beside(self.session, recipe) if beside else recipe(self.session.run())

    def wait_for(self, is_so: Callable[[], object], what: str) -> None:
        until = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < until, what
            time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Started]]:
    opened: list[Any] = []

    def start(name: str = "out", stop: StopRequest | None = None) -> Started:
        store = Store(str(tmp_path / name))
        lock, desk = RunLock(store), Desk(store, stop)
        for entered in (lock, desk):
            entered.__enter__()
            opened.append(entered)
        executor = LocalExecutor(tmp_path / "scratch")
        return Started(Session(RunConfig.model_validate({"out": store.url}), store, executor, lock, desk))

    yield start
    for entered in reversed(opened):
        entered.__exit__(None, None, None)


def test_lines_planned_beside_do_what_they_do_when_planned_here(start: Callable[..., Started]) -> None:
    beside, here = start("beside"), start("here")

    seen = beside.run(recipes.some_lines)
    assert seen[-1] == 3 and here.run(recipes.some_lines, beside=False)[-1] == 3

    for stage, n in {"first": 60, "second": 60, "many": 520, "listed": 7, "beside": 5, "after": 3, "last": 2}.items():
        assert len(beside.store.committed(stage)) == n
        assert beside.store.committed(stage) == here.store.committed(stage)
    totals = [{r.stage: (r.n_units, r.n_made) for r in started.session.results} for started in (beside, here)]
    assert totals[0] == totals[1]
    assert beside.run(recipes.some_lines) == [0], "a second run finds nothing to do"


def test_while_a_plan_is_made_units_are_given_out_and_committed_and_the_run_is_alive(
    start: Callable[..., Started],
) -> None:
    started = start()
    seen: dict[str, Any] = {}

    def watch() -> None:
        started.wait_for(lambda: started.store.exists(recipes.PLANS), "no plan began")
        started.wait_for(lambda: len(started.store.committed("work")) == 40, "units wait for the plan")
        status = read_run_status(started.store)
        seen.update(
            alive=status and status.is_alive(time.time()),
            held=started.store.exists(recipes.LATCH),
            planner=int(started.store.read(recipes.PLANS)),
            after=started.store.committed("after"),
        )
        started.store.delete(recipes.LATCH)

    watcher = threading.Thread(target=watch)
    watcher.start()
    made = started.run(recipes.held)
    watcher.join()

    assert made == "delivered" and started.store.committed("after") == {"u0000"}
    assert (seen["alive"], seen["held"], seen["after"]) == (True, True, set())
    assert seen["planner"] != os.getpid()


@pytest.mark.parametrize("recipe", [recipes.held, recipes.held_at_the_end])
def test_a_stop_request_is_heard_while_a_plan_is_made(
    start: Callable[..., Started], recipe: Callable[[Run], Any]
) -> None:
    stop = StopRequest(grace_s=2.0)
    started = start(stop=stop)

    def ask() -> None:
        started.wait_for(lambda: started.store.exists(recipes.PLANS), "no plan began")
        stop.request("SIGTERM")

    asking = threading.Thread(target=ask)
    asking.start()
    with pytest.raises(Drained, match=r"stopped on request \(SIGTERM\)") as drained:
        started.run(recipe)
    asking.join()

    assert "Run the same command again" in str(drained.value) and "plan" in str(drained.value)
    planner = int(started.store.read(recipes.PLANS))
    started.wait_for(lambda: not Path(f"/proc/{planner}").exists(), "the planning process goes on")


def test_what_all_workers_share_lives_with_the_driver(
    start: Callable[..., Started], caplog: pytest.LogCaptureFixture
) -> None:
    started = start()

    assert started.run(recipes.shares) == 105

    assert started.session.shared["counter"].add(0) == 105
    assert started.session.desk.rejects_in_force == {"media": {"private": 2}}
    assert "planned with 105 shared" in caplog.text


@pytest.mark.parametrize(
    ("recipe", "error", "says"),
    [
        (recipes.refuses_in_a_line, UserError, "the list is empty"),
        (recipes.dies, RunStopped, "the planning process died (SIGKILL); the machine may have run out of memory"),
    ],
)
def test_what_a_person_can_mend_is_told_in_one_message(
    start: Callable[..., Started], recipe: Callable[[Run], Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error) as raised:
        start().run(recipe)

    assert says in str(raised.value) and not getattr(raised.value, "__notes__", [])


def test_an_error_of_this_program_brings_the_traceback_of_where_it_was_raised(start: Callable[..., Started]) -> None:
    with pytest.raises(ValueError, match="the plan is wrong") as raised:
        start().run(recipes.breaks)

    assert "in breaks" in "".join(raised.value.__notes__)
