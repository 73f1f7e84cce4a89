"""Several lines of stages under one driver: who waits for whom, who gets the slots, and what a stop leaves."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from manifests.lock import LockLost, RunLock
from manifests.run_status import StageStatus
from pipeline.engine.run import clock, driver
from pipeline.engine.run import stage_run as live_module
from pipeline.engine.run.drain import Drained, StopRequest
from pipeline.engine.run.driver import run_lines
from pipeline.engine.run.lines import Beside, Line, one_chain
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Finished, LocalExecutor
from pipeline.engine.work.unit import Context, Output, Resources, Unit
from tests.pipeline.engine.clocks import going_by


@dataclass(frozen=True)
class Numbered:
    """This many units that do nothing, or, with `over`, a unit for each that the stage of that name has committed."""

    name: str
    n: int = 0
    over: str = ""
    first: int = 0
    resources: Resources = Resources(time_limit_s=30)
    marks: list[str] = field(default_factory=list)

    def units(self, store: Store) -> Iterator[Unit]:
        names = sorted(store.committed(self.over)) if self.over else [f"u{self.first + i}" for i in range(self.n)]
        yield from (Unit(name) for name in names)

    def process(self, unit: Unit, context: Context) -> Output:
        self.marks.append(f"{self.name} {unit.name}")
        return Output()


@dataclass(frozen=True)
class Lasting:
    """Units that are said to last for so many seconds each, by name."""

    lasts_s: dict[str, float]
    name: str = "cut"
    resources: Resources = Resources(time_limit_s=30)

    def units(self, store: Store) -> list[Unit]:
        return [Unit(name, expected_s=seconds) for name, seconds in self.lasts_s.items()]

    def process(self, unit: Unit, context: Context) -> Output:
        return Output()


@dataclass
class Jumping:
    """A clock that goes by what is waited for."""

    at: float = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@dataclass
class Watching(LocalExecutor):
    """Runs units in this process and remembers in which order, and what was in flight at the most."""

    root: Path
    n_slots: int = 1
    ran: list[str] = field(default_factory=list)
    in_flight: list[dict[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.root)

    def collect(self, timeout_s: float) -> Finished | None:
        queue: deque[Any] = self._queue
        self.in_flight.append({stage: sum(q[0] == stage for q in queue) for stage in {q[0] for q in queue}})
        finished = super().collect(timeout_s)
        self.ran += [f"{finished.stage} {finished.unit.name}"] if finished else []
        return finished


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


@pytest.fixture
def run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watching]:
    monkeypatch.setattr(driver, "GROUP_S", 0.0)
    monkeypatch.setattr(live_module, "ASK_EVERY_S", 0.0)

    def run(*lines: Line, n_slots: int = 1, desk: Desk | None = None) -> Watching:
        executor = Watching(tmp_path / "scratch", n_slots)
        with RunLock(store) as lock:
            run_lines(lines, store, executor, lock, desk=desk)
        return executor

    return run


def test_a_later_stage_of_a_chain_works_while_the_first_goes_on(store: Store, run: Callable[..., Watching]) -> None:
    ran = run(one_chain(Numbered("first", 6), Numbered("second", over="first"))).ran

    assert store.committed("second") == store.committed("first") == {f"u{i}" for i in range(6)}
    assert ran.index("second u0") < ran.index("first u5")


def test_lines_run_side_by_side_each_in_its_own_order(run: Callable[..., Watching]) -> None:
    def in_order() -> Line:
        (first,) = yield (Numbered("a", 3),)
        yield (Numbered("b", first.n_made),)

    ran = run(in_order(), one_chain(Numbered("c", 6))).ran

    assert ran.index("a u2") < ran.index("b u0") < ran.index("b u2")
    assert ran.index("c u0") < ran.index("a u2"), "neither line waits for the other"


def test_a_line_that_waits_goes_on_when_another_stage_is_over(store: Store, run: Callable[..., Watching]) -> None:
    seen = []

    def waiting() -> Line:
        while len(store.committed("other")) < 4:
            seen.append(len(store.committed("other")))
            yield ()
        yield (Numbered("after", 1),)

    ran = run(waiting(), one_chain(Numbered("other", 4))).ran

    assert ran[-1] == "after u0" and len(ran) == 5
    assert len(seen) < 4, "asked when a stage is over, not in a busy loop"


def test_a_line_begins_another_beside_itself_and_goes_on_while_that_works(run: Callable[..., Watching]) -> None:
    ended: list[str] = []

    def work(name: str) -> Line:
        yield (Numbered(name, 4),)
        ended.append(name)

    def beginning() -> Line:
        yield Beside(work("a"))
        yield Beside(one_chain(Numbered("nothing")))
        while "a" not in ended:
            yield ()
        yield (Numbered("after", 1),)

    ran = run(beginning(), one_chain(Numbered("b", 6))).ran

    assert ran.index("b u0") < ran.index("a u3") < ran.index("after u0")
    assert ended == ["a"] and len(ran) == 11


def test_slots_are_dealt_by_share_and_none_is_left_idle(run: Callable[..., Watching]) -> None:
    big, small = Resources(time_limit_s=30, share=3.0), Resources(time_limit_s=30, share=1.0)
    lines = one_chain(Numbered("big", 40, resources=big)), one_chain(Numbered("small", 40, resources=small))

    executor = run(*lines, n_slots=4)

    assert executor.in_flight[0] == {"big": 6, "small": 2}
    assert {"small": 8} in executor.in_flight, "what the other leaves is used"


def test_of_stages_of_one_name_the_first_is_finished_first_and_they_share_as_one(run: Callable[..., Watching]) -> None:
    batches = [one_chain(Numbered("media", 40, first=100 * n)) for n in range(3)]

    executor = run(*batches, one_chain(Numbered("other", 40)), n_slots=4)

    assert executor.in_flight[0] == {"media": 4, "other": 4}
    media = [int(name.removeprefix("media u")) for name in executor.ran if name.startswith("media")]
    assert media == sorted(media) and len(media) == 120


def test_one_line_tells_of_all_stages_of_a_name(store: Store, run: Callable[..., Watching]) -> None:
    batches = [one_chain(Numbered("media", 4, first=100 * n)) for n in range(3)]
    statuses: list[StageStatus] = []

    run(*batches, desk=Desk(store, publishes=False, tell=statuses.append))

    assert max(status.in_flight for status in statuses) <= 2
    assert [(s.done_before, s.done, s.known, s.in_flight) for s in statuses[-1:]] == [(0, 12, 12, 0)]
    assert [status.done for status in statuses] == sorted(status.done for status in statuses)


def test_a_run_whose_lock_was_taken_over_commits_nothing_more(store: Store, tmp_path: Path) -> None:
    with RunLock(store) as lock, pytest.raises(LockLost):
        store.write("run.lock", b'{"holder": "another"}')
        run_lines([one_chain(Numbered("a", 3)), one_chain(Numbered("b", 3))], store, LocalExecutor(tmp_path), lock)

    assert not store.committed("a") and not store.committed("b")


def test_workers_get_what_is_planned_before_another_line_plans_for_long(run: Callable[..., Watching]) -> None:
    events: list[str] = []

    def slowly(name: str) -> Line:
        clock.sleep(60)
        events.append(f"{name} is planned")
        yield (Numbered(name, 2, marks=events),)

    with going_by(Jumping()):
        run(slowly("a"), slowly("b"))

    assert events[:3] == ["a is planned", "a u0", "b is planned"]


def test_a_stop_names_what_remains_of_every_stage(store: Store, run: Callable[..., Watching]) -> None:
    stop = StopRequest()
    stop.request("SIGTERM")

    with pytest.raises(Drained, match=r"a, b: stopped on request \(SIGTERM\); a: of .* 0 units.*b: of .* 0 units"):
        run(one_chain(Numbered("a", 2)), one_chain(Numbered("b", 2)), desk=Desk(store, stop))
    assert not store.committed("a")


def test_an_error_in_a_line_ends_the_run_and_closes_the_others(store: Store, run: Callable[..., Watching]) -> None:
    closed = []

    def careful() -> Line:
        try:
            yield (Numbered("a", 50),)
        finally:
            closed.append(True)

    def broken() -> Line:
        yield (Numbered("b", 1),)
        raise ValueError("the plan is wrong")

    with pytest.raises(ValueError, match="the plan is wrong"):
        run(careful(), broken())
    assert closed and 0 < len(store.committed("a")) < 50


def test_a_long_unit_of_a_later_stage_begins_in_time_to_end_with_its_stage(run: Callable[..., Watching]) -> None:
    first = Lasting({f"a{i}": 10.0 for i in range(8)})  # 20 s on four slots
    later = Lasting({"long": 50.0, "longer": 15.0, **{f"b{i}": 10.0 for i in range(4)}})  # 26 s more

    ran = [said.removeprefix("cut ") for said in run(one_chain(first), one_chain(later), n_slots=4).ran]

    assert ran == ["long", *first.lasts_s, "longer", *(f"b{i}" for i in range(4))], "what has time keeps its turn"


def test_the_total_of_a_batch_counts_what_earlier_ones_made(
    store: Store, tmp_path: Path, run: Callable[..., Watching]
) -> None:
    class Batch(Lasting):
        @property
        def unit_names(self) -> list[str]:
            return list(self.lasts_s)

    run(one_chain(Batch({"a": 1.0, "b": 1.0})))
    told: list[StageStatus] = []
    run(one_chain(Batch({"b": 1.0, "c": 1.0, "d": 1.0})), desk=Desk(store, publishes=False, tell=told.append))

    assert (told[-1].done_before, told[-1].done, told[-1].total) == (2, 2, 4)
