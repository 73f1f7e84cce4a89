"""On which machine an attempt is made, what is asked of Ray for it, and what its end means: without Ray."""

from collections.abc import Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import NodeDiedError, OutOfMemoryError, RayError, TaskUnschedulableError, WorkerCrashedError

from manifests.errors import UserError
from manifests.reasons import Reason
from pipeline.engine.on_ray.waiting import Waiting
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End
from pipeline.engine.work.unit import Resources, Unit
from tests.pipeline.engine.fake_ray import GIB, FakeRay, an_executor, done, fetched, machine


@dataclass(frozen=True)
class AStage:
    resources: Resources = Resources(n_cpus=2, memory_bytes=4 * GIB, time_limit_s=60)
    name: str = "toy"


@pytest.fixture
def three() -> Iterator[tuple[FakeRay, Any]]:
    """A head without slots and two machines, one of them larger."""
    with an_executor([machine("head", 0), machine("a", 4), machine("b", 8)], address="cluster:6379") as (ray, executor):
        executor.begin(AStage(), Store("out"))
        yield ray, executor


def submit(executor: Any, *names: str, **how: Any) -> None:
    for name in names:
        executor.submit("toy", Unit(name), 1, **how)


def test_a_unit_goes_to_any_machine_and_asks_for_its_cores_and_memory(three: tuple[FakeRay, Any]) -> None:
    ray, executor = three
    submit(executor, "u")

    (task,) = ray.sent
    assert task.options == {
        "name": "toy",
        "max_retries": 0,
        "num_cpus": 2,
        "memory": 4 * GIB,
        "scheduling_strategy": "SPREAD",
    }
    assert executor.n_slots == 12 and executor.n_without_slot == 0


def test_no_unit_asks_for_more_memory_than_most_of_the_largest_machine_and_a_local_ray_for_none() -> None:
    small = [machine("head", 0, 64 * GIB), machine("a", 4, 2 * GIB), machine("b", 4, 4 * GIB)]
    with an_executor(small, address="cluster:6379") as (ray, executor):
        executor.begin(AStage(), Store("out"))
        submit(executor, "u")
        assert ray.of("u").options["memory"] == int(0.8 * 4 * GIB)
    with an_executor(small) as (ray, executor):
        executor.begin(AStage(), Store("out"))
        submit(executor, "u")
        assert "memory" not in ray.of("u").options


def test_a_unit_that_runs_alone_has_the_largest_free_machine_and_others_are_kept_off_it(
    three: tuple[FakeRay, Any],
) -> None:
    ray, executor = three
    submit(executor, "early")
    submit(executor, "alone", alone=True)
    submit(executor, "other")

    assert (ray.of("alone").home, ray.of("alone").options["num_cpus"]) == ("b", 8)
    assert ray.of("other").options["label_selector"] == {"ray.io/node-id": "!in(b)"}
    assert executor.n_slots == 4, "the slots of the machine that is kept free are no one's"
    submit(executor, "second", alone=True)
    assert ray.of("second").home == "a"
    submit(executor, "third", alone=True)
    assert ray.of("third").home in ("", "head"), "none with slots is left"


def test_when_the_lone_unit_ends_its_machine_is_free_and_what_had_not_begun_is_given_again(
    three: tuple[FakeRay, Any],
) -> None:
    ray, executor = three
    submit(executor, "alone", alone=True)
    submit(executor, "runs", "waits")
    ray.begins(ray.of("runs"), "a")
    kept_off = ray.of("waits")
    ray.of("alone").ends(done("b"))

    finished = executor.collect(0.0)

    assert finished.unit.name == "alone" and executor.n_slots == 12
    assert ray.cancelled == [(kept_off, False)]
    assert ray.of("waits") is not kept_off and "label_selector" not in ray.of("waits").options
    assert [task.unit for task in ray.sent].count("runs") == 1


@pytest.mark.parametrize(
    ("error", "begun_on", "end", "reason"),
    [
        (WorkerCrashedError(), "a", End.LOST, None),
        (WorkerCrashedError(), "", End.LOST, None),
        (WorkerCrashedError(), "gone", End.TAKEN, Reason.KILLED_WORKER),
        (OutOfMemoryError("too much"), "a", End.TAKEN, Reason.OVER_MEMORY),
        (NodeDiedError("spot"), "a", End.TAKEN, Reason.KILLED_WORKER),
    ],
    ids=["worker", "worker before it began", "worker of a lost machine", "memory", "machine"],
)
def test_what_a_lost_worker_means_for_its_unit(
    three: tuple[FakeRay, Any], error: RayError, begun_on: str, end: End, reason: Reason | None
) -> None:
    ray, executor = three
    submit(executor, "u")
    if begun_on:
        ray.begins(ray.of("u"), begun_on)
    ray.of("u").ends(error)

    outcome = executor.collect(0.0).outcome

    assert (outcome.end, outcome.reason, outcome.node) == (end, reason, begun_on)
    assert outcome.host == (f"host-of-{begun_on}" if begun_on else "")


@pytest.mark.parametrize("error", [NodeDiedError("spot"), TaskUnschedulableError("gone")], ids=["machine", "its own"])
def test_an_attempt_that_had_not_begun_is_given_again_and_charged_to_nobody(
    three: tuple[FakeRay, Any], error: RayError
) -> None:
    ray, executor = three
    submit(executor, "u")
    first = ray.of("u")
    first.ends(error)

    assert executor.collect(0.0) is None
    assert ray.of("u") is not first and ray.of("u").number != first.number


def test_an_autoscaler_is_told_how_many_slots_could_be_used_and_at_the_end_that_none_is(
    three: tuple[FakeRay, Any],
) -> None:
    ray, executor = three
    submit(executor, "u", "v", "w")
    executor.collect(0.0)
    executor.collect(0.0)
    assert ray.slots_asked == [3], "once, while it stays the same"
    ray.of("u").ends(done("a"))
    executor.collect(0.0)
    executor.collect(0.0)
    assert ray.slots_asked == [3, 2]
    executor.close()
    assert ray.slots_asked == [3, 2, 0] and not ray.is_shut, "a Ray that others started stays"


def test_what_no_machine_has_is_said_before_a_run_and_ends_one_on_a_local_ray(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked = {"toy": {"n_gpus": 1}, "other": {"n_cpus": 4}}
    said = "engine.resources.toy: no machine has CPU 1, GPU 1; at most CPU 4, GPU 0. "
    with an_executor([machine("a")], address="cluster:6379", resources=asked):
        assert [one.getMessage() for one in caplog.records] == [said + "Its units wait until one joins that has"]
    with pytest.raises(UserError, match=said), an_executor([machine("a")], resources=asked):
        pass


@pytest.fixture
def two_steps() -> Iterator[tuple[FakeRay, Any]]:
    """Two machines of two slots, at most three fetches at a time, and 100 bytes that may wait on each."""
    waiting = Waiting(most_bytes=100, most_fetches=3)
    with an_executor([machine("a", 2), machine("b", 2)], address="cluster:6379", waiting=waiting) as (ray, executor):
        executor.begin(AStage(), Store("out"))
        yield ray, executor


def fetch(executor: Any, *names: str, **how: Any) -> None:
    for name in names:
        executor.submit("toy", Unit(name, is_fetched=True), 1, **how)


def test_what_waits_on_a_disk_is_bounded_and_given_back_when_its_unit_ends(two_steps: tuple[FakeRay, Any]) -> None:
    ray, executor = two_steps
    ray.machines.pop()
    fetch(executor, "u", "v")
    for name in ("u", "v"):
        ray.of(name).ends(fetched(45))
    executor.collect(0.0)
    executor.collect(0.0)
    fetch(executor, "w")
    assert all(task.unit != "w" for task in ray.sent), "a third one would be too much"
    ray.of("u").ends(done("a"))
    executor.collect(0.0)
    executor.collect(0.0)

    assert ray.of("w").kind == "fetch"


def test_a_lost_fetch_frees_its_place_and_a_lone_unit_fetches_for_itself(two_steps: tuple[FakeRay, Any]) -> None:
    ray, executor = two_steps
    fetch(executor, "u")
    ray.begins(ray.of("u"), "a")
    ray.of("u").ends(WorkerCrashedError())
    assert executor.collect(0.0).outcome.end is End.LOST
    assert executor.n_without_slot == 0

    fetch(executor, "v", alone=True)

    assert ray.of("v").kind == "attempt"


def test_units_that_wait_for_their_fetch_can_be_dropped_and_all_can_be_cancelled(
    two_steps: tuple[FakeRay, Any],
) -> None:
    ray, executor = two_steps
    fetch(executor, "u", "v", "w", "x", "y")

    assert executor.drop_queued() == {"toy": 2}
    executor.cancel_all()

    assert [force for _, force in ray.cancelled] == [True] * 3
    assert executor.n_without_slot == 0 and executor.collect(0.0) is None
    assert executor.drop_queued() == {}


def test_a_machine_that_failed_gets_no_unit_for_half_an_hour_and_then_for_an_hour(
    three: tuple[FakeRay, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    ray, executor = three
    now = [1000.0]
    monkeypatch.setattr("pipeline.engine.on_ray.machines.time", SimpleNamespace(monotonic=lambda: now[0]))
    for minutes in (30, 60, 120):
        assert executor.fence("a")
        submit(executor, "u")
        assert ray.sent[-1].options["label_selector"] == {"ray.io/node-id": "!in(a)"}
        now[0] += 60 * minutes - 1
        assert executor.n_slots == 8
        now[0] += 1
        submit(executor, "v")
        assert "label_selector" not in ray.sent[-1].options, "its time is over"
