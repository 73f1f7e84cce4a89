"""How often and for what the executor on a cluster asks Ray, by a clock that a test sets on: without Ray."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from ray.exceptions import NodeDiedError, WorkerCrashedError

from pipeline.engine.on_ray import cluster, machines
from pipeline.engine.on_ray.waiting import Waiting
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End
from pipeline.engine.work.limits import KILL_AFTER_S
from pipeline.engine.work.unit import Resources, Unit
from tests.pipeline.engine.fake_ray import FakeRay, an_executor, done, fetched, machine


@dataclass(frozen=True)
class AStage:
    resources: Resources = Resources(time_limit_s=60)
    name: str = "toy"


@dataclass
class Clock:
    """Time that sleeping sets on."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def __post_init__(self) -> None:
        self.slept: list[float] = []


@pytest.fixture
def time_(monkeypatch: pytest.MonkeyPatch) -> Clock:
    fake = Clock()
    monkeypatch.setattr(cluster, "time", fake)
    monkeypatch.setattr(machines, "time", fake)
    monkeypatch.setattr("pipeline.engine.on_ray.running_attempts.time", fake)
    return fake


@pytest.fixture
def two(time_: Clock) -> Iterator[tuple[FakeRay, Any]]:
    """A head without slots and two machines, looked at as often as in a run."""
    there = [machine("head", 0), machine("a", 2), machine("b", 3)]
    often = {"look_every_s": cluster.LOOK_EVERY_S}
    with an_executor(there, address="auto", waiting=Waiting(130), **often) as (ray, executor):
        executor.begin(AStage(), Store("out"))
        yield ray, executor


def give(executor: Any, *names: str, is_fetched: bool = False) -> None:
    for name in names:
        executor.submit("toy", Unit(name, is_fetched=is_fetched), 1)


def give_alone(executor: Any, name: str) -> None:
    executor.submit("toy", Unit(name), 1, alone=True)


def test_a_machine_that_failed_gets_no_unit_for_half_an_hour_and_then_for_an_hour(
    two: tuple[FakeRay, Any], time_: Clock
) -> None:
    ray, executor = two
    for minutes in (30, 60, 120):
        assert executor.fence("a")
        give(executor, "u")
        assert ray.sent[-1].options["label_selector"] == {"ray.io/node-id": "!in(a)"}
        time_.now += 60 * minutes - 1
        assert executor.n_slots == 3
        time_.now += 1
        give(executor, "v")
        assert "label_selector" not in ray.sent[-1].options, "its time is over"
        time_.now += 10
        assert executor.n_slots == 5


def test_what_was_fetched_is_made_where_it_lies_whatever_is_fenced(two: tuple[FakeRay, Any]) -> None:
    ray, executor = two
    executor.fence("b")
    give(executor, "u", is_fetched=True)
    fetch = ray.of("u")
    assert (fetch.home, fetch.options["max_retries"]) == ("a", 0)
    fetch.ends(fetched(60))
    executor.collect(0.0)

    made = ray.of("u")
    assert made.kind == "attempt" and made.home == "a" and "label_selector" not in made.options
    assert made.options["max_retries"] == 0


def test_what_fetches_or_was_fetched_is_not_given_again_when_a_machine_is_free(two: tuple[FakeRay, Any]) -> None:
    ray, executor = two
    give(executor, "made", "fetches", is_fetched=True)
    ray.of("made").ends(fetched(10))
    executor.collect(0.0)
    give_alone(executor, "alone")
    give_alone(executor, "next")
    ray.of("alone").ends(done())
    n_before = len(ray.sent)

    assert executor.collect(0.0).unit.name == "alone"
    assert len(ray.sent) == n_before and ray.cancelled == []


def test_while_the_roll_is_away_nothing_is_given_again_or_overdue(two: tuple[FakeRay, Any], time_: Clock) -> None:
    ray, executor = two
    give_alone(executor, "alone")
    give(executor, "waits")
    ray.begins(ray.of("waits"), "a")
    ray.roll_is_gone = True
    ray.of("alone").ends(done())
    time_.now += 1000

    assert executor.collect(0.0).unit.name == "alone"
    assert executor.collect(0.0) is None and len(ray.sent) == 2 and ray.cancelled == []


def test_all_that_ended_is_taken_up_and_nothing_is_waited_for_meanwhile(two: tuple[FakeRay, Any], time_: Clock) -> None:
    ray, executor = two
    give(executor, "a", "b", "c")
    for name in ("a", "c"):
        ray.of(name).ends(done())

    assert [executor.collect(9.0).unit.name for _ in range(2)] == ["a", "c"]
    assert sum(ray.waited) == 0
    assert executor.collect(1.5) is None and ray.waited[-1] == 1.5
    ray.of("b").ends(done())
    assert executor.collect(9.0).attempt == 1
    for timeout_s in (0.2, 30.0):
        assert executor.collect(timeout_s) is None
    assert time_.slept == [0.2, 0.5], "with nothing in flight no longer than half a second"


@pytest.mark.parametrize("alone", [False, True])
def test_an_attempt_that_had_not_begun_is_given_again_as_it_was(
    two: tuple[FakeRay, Any], time_: Clock, alone: bool
) -> None:
    ray, executor = two
    give_alone(executor, "u") if alone else give(executor, "u")
    ray.of("u").ends(NodeDiedError("gone"))
    ray.machines.pop()
    time_.now += 10

    assert executor.collect(0.0) is None
    assert [task.home for task in ray.sent] == (["b", "a"] if alone else ["", ""])
    assert executor.n_slots == (0 if alone else 2)


@pytest.mark.parametrize(("age_s", "end"), [(60.0, End.LOST), (61.0, End.TIMEOUT)])
def test_a_worker_that_died_past_its_limit_did_not_end_by_itself(
    two: tuple[FakeRay, Any], time_: Clock, age_s: float, end: End
) -> None:
    ray, executor = two
    give(executor, "u")
    ray.begins(ray.of("u"), "a")
    time_.now += age_s
    ray.of("u").ends(WorkerCrashedError())

    assert executor.collect(0.0).outcome.end is end


def test_what_nothing_ends_is_looked_for_every_two_seconds_and_gives_its_machine_back(
    two: tuple[FakeRay, Any], time_: Clock
) -> None:
    ray, executor = two
    give_alone(executor, "stuck")
    give(executor, "other")
    ray.begins(ray.of("stuck"), "b")
    time_.now += 60 + KILL_AFTER_S + cluster.OVERDUE_GRACE_S - 1
    assert executor.collect(0.0) is None
    time_.now += 1.9
    assert executor.collect(0.0) is None, "it looked a moment ago"
    time_.now += 0.1

    assert executor.collect(0.0).unit.name == "stuck"
    assert (ray.of("stuck"), True) in ray.cancelled
    assert executor.n_slots == 5


def test_what_is_cancelled_leaves_nothing(two: tuple[FakeRay, Any]) -> None:
    ray, executor = two
    give_alone(executor, "alone")
    give(executor, "a", "b")
    give(executor, *(f"f{i}" for i in range(9)), is_fetched=True)
    for name in ("a", "b"):
        ray.of(name).ends(done())
    executor.collect(0.0)

    executor.cancel_all()

    assert executor.collect(0.0) is None and executor.drop_queued() == {}
    assert (executor.n_slots, executor.n_without_slot) == (5, 0)
