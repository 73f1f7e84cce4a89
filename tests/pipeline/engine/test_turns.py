"""When the driver gives units out, commits them, waits and stops, by a clock that jumps."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from manifests.lock import RunLock
from manifests.reasons import Reason
from manifests.run_status import StageStatus
from pipeline.engine.run import clock
from pipeline.engine.run.drain import Drained, StopRequest
from pipeline.engine.run.driver import run_lines
from pipeline.engine.run.lines import Line, one_chain
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome
from pipeline.engine.work.executor import Finished
from pipeline.engine.work.unit import Resources, Stage, Unit
from tests.pipeline.engine.clocks import going_by


@dataclass
class Jumping:
    """A clock that goes by what is waited for, and notes it."""

    at: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@dataclass
class Lasting:
    """Units by name with the seconds that each takes."""

    lasts: dict[str, float]
    name: str = "toy"
    resources: Resources = Resources()

    def units(self, store: Store) -> Iterator[Unit]:
        yield from (Unit(name, seconds) for name, seconds in self.lasts.items())

    def process(self, unit: Unit, context: Any) -> Any:
        raise NotImplementedError


@dataclass
class Late:
    """Units end as long after they were given as their payload says. `refused`: those are refused once, for so long."""

    n_slots_now: int = 1
    n_without_slot: int = 0
    n_not_begun: dict[str, int] = field(default_factory=dict)
    refused: dict[str, float] = field(default_factory=dict)
    in_flight: list[tuple[float, str, Unit, int]] = field(default_factory=list)
    most: Counter[str] = field(default_factory=Counter)
    ended: list[tuple[float, str]] = field(default_factory=list)
    n_looks: int = 0
    n_cancelled: int = 0
    given_at_once: list[int] = field(default_factory=lambda: [0])
    """Units submitted between each two looks at what has ended."""

    @property
    def n_slots(self) -> int:
        self.n_looks += 1
        return self.n_slots_now

    def begin(self, stage: Stage, store: Store) -> None: ...

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        self.in_flight.append((clock.now() + unit.payload, stage, unit, attempt))
        self.given_at_once[-1] += 1
        now = Counter(name for _, name, _, _ in self.in_flight)
        self.most.update({name: n - self.most[name] for name, n in now.items() if n > self.most[name]})

    def collect(self, timeout_s: float) -> Finished | None:
        self.given_at_once.append(0)
        first = min(self.in_flight, key=lambda given: given[0])
        if first[0] > clock.now():
            clock.sleep(min(timeout_s, first[0] - clock.now()))
        if first[0] > clock.now():
            return None
        self.in_flight.remove(first)
        _, stage, unit, attempt = first
        if (wait_s := self.refused.pop(unit.name, None)) is not None:
            return Finished(stage, unit, attempt, Outcome(End.AGAIN, Reason.RATE_LIMITED, "429", wait_s))
        self.ended.append((clock.now(), unit.name))
        return Finished(stage, unit, attempt, Outcome(End.DONE))

    def drop_queued(self) -> dict[str, int]:
        for stage, n in self.n_not_begun.items():
            for given in [given for given in reversed(self.in_flight) if given[1] == stage][:n]:
                self.in_flight.remove(given)
        return self.n_not_begun

    def cancel_all(self) -> None:
        self.n_cancelled += 1


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


@pytest.fixture
def time_() -> Iterator[Jumping]:
    jumping = Jumping()
    with going_by(jumping):
        yield jumping


@pytest.fixture
def run(store: Store, time_: Jumping) -> Callable[..., Late]:
    def run(*stages: Lasting, executor: Late | None = None, **more: Any) -> Late:
        executor = executor or Late()
        with RunLock(store) as lock:
            run_lines([one_chain(stage) for stage in stages], store, executor, lock, **more)  # type: ignore[arg-type]
        return executor

    return run


def seconds(n: int, each: float, first: str = "u") -> dict[str, float]:
    return {f"{first}{i:02d}": each for i in range(n)}


@pytest.mark.parametrize(("n_slots", "most"), [(0, 2), (1, 2), (3, 6)])
def test_each_slot_has_a_unit_that_runs_and_one_that_is_there_when_it_ends(
    run: Callable[..., Late], n_slots: int, most: int
) -> None:
    assert run(Lasting(seconds(20, 1.0)), executor=Late(n_slots)).most == {"toy": most}


def test_a_stage_may_have_a_number_of_its_own_beside_what_others_share(run: Callable[..., Late]) -> None:
    few = Lasting(seconds(20, 1.0), "few", Resources(max_in_flight=3))

    assert run(few, Lasting(seconds(20, 1.0), "sharing")).most == {"few": 3, "sharing": 2}


def test_units_that_end_within_a_second_share_a_commit_and_the_last_waits_for_none(
    run: Callable[..., Late], store: Store
) -> None:
    run(Lasting({f"u{i}": 0.25 * (i + 1) for i in range(9)}), executor=Late(9))

    sizes = sorted(len(store.read_json(f"commits/toy/{name}")["units"]) for name in store.names("commits/toy"))
    assert sizes == [1, 4, 4], "at once, and then as a second has passed"


def stopped(run: Callable[..., Late], store: Store, executor: Late, *stages: Lasting, at_s: float, **more: Any) -> str:
    """What a run says that is asked to stop after so long, with ten seconds of grace."""
    desk = Desk(store, StopRequest(grace_s=10.0, stop_after_s=at_s), publishes=False, **more)
    with pytest.raises(Drained) as drained:
        run(*stages, executor=executor, desk=desk)
    return str(drained.value)


def test_units_in_flight_may_end_within_the_grace_and_are_given_back_after_it(
    run: Callable[..., Late], store: Store, time_: Jumping
) -> None:
    told: list[tuple[float, int]] = []

    def tell(status: StageStatus) -> None:
        told.append((time_.at, status.in_flight))

    executor = Late()
    said = stopped(run, store, executor, Lasting({"a": 8.0, "b": 99.0, "c": 1.0}), at_s=5.0, tell=tell)

    assert executor.ended == [(8.0, "a")] and executor.n_cancelled == 1
    assert said.startswith("toy: stopped on request (--stop-after 5 s has passed); of the plans under way 1 unit is")
    assert "others had not begun. Run the same command" in said
    assert time_.at == pytest.approx(15.0) and store.committed("toy") == {"a"}
    assert [(at, n) for at, n in told if 8 < at <= 14], "it goes on to tell how far it is"


def test_a_stop_ends_as_soon_as_nothing_is_in_flight(run: Callable[..., Late], store: Store, time_: Jumping) -> None:
    said = stopped(run, store, Late(), Lasting(seconds(9, 6.0)), at_s=5.0)

    assert time_.at == 6.0 and "2 units are committed, 0 given back, others" in said


def test_units_that_had_not_begun_are_given_back_at_once_also_of_several_stages_of_a_name(
    run: Callable[..., Late], store: Store, time_: Jumping
) -> None:
    batches = [Lasting(seconds(4, 6.0, name), "media", Resources(max_in_flight=4)) for name in "xyz"]
    other = Lasting(seconds(1, 6.0), "other", Resources(max_in_flight=4))
    executor = Late(n_not_begun={"media": 6})
    said = stopped(run, store, executor, *batches, other, at_s=5.0)

    assert time_.at == 6.0, "it waits for those that run alone"
    assert len(store.committed("media")) == 6 and store.committed("other") == {"u00"}
    assert said.startswith("media: stopped on request") and "6 videos are committed, 6 given back" in said


def test_a_run_whose_work_is_done_when_it_is_asked_to_stop_ends_well(run: Callable[..., Late], store: Store) -> None:
    stop = StopRequest(grace_s=10.0, stop_after_s=5.0)
    run(Lasting({"a": 6.0, "b": 7.0}), desk=Desk(store, stop, publishes=False))

    assert stop.is_due and store.committed("toy") == {"a", "b"}


def test_lines_that_wait_for_each_other_are_an_error_of_ours(store: Store, time_: Jumping) -> None:
    def waiting() -> Line:
        while True:
            yield ()

    executor = Late()
    with RunLock(store) as lock, pytest.raises(RuntimeError, match="every line waits for another"):
        run_lines([waiting(), waiting()], store, executor, lock)  # type: ignore[arg-type]
    assert executor.n_cancelled == 1


def test_what_has_ended_is_committed_also_where_the_run_ends_in_an_error(
    run: Callable[..., Late], store: Store, time_: Jumping
) -> None:
    executor = Late(9)

    def between() -> None:
        if len(executor.ended) == 2:
            raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        run(Lasting({"a": 0.25, "b": 0.5, "c": 99.0}), executor=executor, between=between)
    assert time_.at == 0.5 and store.committed("toy") == {"a", "b"} and executor.n_cancelled == 1
