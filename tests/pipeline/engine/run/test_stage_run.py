"""One stage under way: which unit comes next, what is tried again and when, and what is said of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from manifests.reasons import Reason
from pipeline.engine.run import clock
from pipeline.engine.run.stage_run import (
    LiveStage,
    RunContext,
)
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome
from pipeline.engine.work.executor import Finished
from pipeline.engine.work.unit import Resources, Unit


@dataclass
class Seconds:
    """A clock that a test sets on."""

    at: float = 1000.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


@pytest.fixture
def time_() -> Iterator[Seconds]:
    seconds = Seconds()
    with clock.going_by(seconds):
        yield seconds


@dataclass
class Listing:
    """Units by name: all at once, or, where they come `one_by_one`, as they are asked for."""

    names: list[str]
    one_by_one: bool = True
    name: str = "toy"
    resources: Resources = Resources()
    n_asked: int = 0

    def units(self, store: Store) -> Iterator[Unit] | Sequence[Unit]:
        self.n_asked += 1
        made = [Unit(name, ids=(name,)) for name in self.names]
        return iter(made) if self.one_by_one else made

    def process(self, unit: Unit, context: Any) -> Any:
        raise NotImplementedError


@dataclass
class Around:
    """What a stage is given: it notes what is submitted and told, and decides whether a machine can be fenced."""

    fences: bool = True
    submitted: list[tuple[str, int, bool]] = field(default_factory=list)
    told: list[tuple[Any, ...]] = field(default_factory=list)
    n_checks: int = 0

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        self.submitted.append((unit.name, attempt, alone))

    def fence(self, node: str) -> bool:
        self.told.append(("fence", node))
        return self.fences

    def stage(self, stage: str, n_done_before: int) -> Any:
        self.told.append(("stage", stage, n_done_before))
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self.told.append((name, *args, *named.values()))

    def check(self) -> None:
        self.n_checks += 1

    def of(self, what: str) -> list[tuple[Any, ...]]:
        return [told[1:] for told in self.told if told[0] == what]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def begin(
    store: Store, stage: Any, *, upstream: Any = None, fences: bool = True
) -> tuple[LiveStage, Around, RunContext]:
    around = Around(fences)
    context = RunContext(store, around, around, around, patience=3, units=UnitsSoFar(store))  # type: ignore[arg-type]
    return LiveStage(stage, None, context, upstream), around, context


def end(live: LiveStage, name: str, outcome: Outcome, attempt: int = 1) -> None:
    live.handle(Finished("toy", Unit(name, ids=(name,)), attempt, outcome))


DONE = Outcome(End.DONE, host="spot-7", facts={"rows": {"videos": 2}, "rejects": {"private": 1}, "bytes": 10})


def before(n_made: int = 0, is_over: bool = False) -> Any:
    """The stage before another."""
    upstream = SimpleNamespace(n_made_so_far=n_made, over=is_over)
    upstream.is_over = lambda: upstream.over
    return upstream


OVER = Reason.OVER_MEMORY
TAKEN, AGAIN = Outcome(End.TAKEN, OVER), Outcome(End.AGAIN, Reason.RATE_LIMITED)


@pytest.mark.parametrize(
    ("outcomes", "verdict"),
    [
        ([Outcome(End.LOST)] * 2, None),
        ([Outcome(End.LOST)] * 3, Reason.KILLED_WORKER),
        ([TAKEN] * 3 + [Outcome(End.LOST)], Reason.KILLED_WORKER),
        ([TAKEN] * 3, None),
        ([TAKEN] * 4, OVER),
        ([TAKEN] * 3 + [Outcome(End.TIMEOUT)], None),
        ([Outcome(End.TIMEOUT)] * 2, Reason.TIMEOUT),
        ([TAKEN] * 3 + [Outcome(End.MEMORY)], None),
        ([Outcome(End.MEMORY)] * 2, OVER),
        ([TAKEN] * 3 + [AGAIN] * 2, None),
        ([AGAIN] * 3, Reason.RATE_LIMITED),
    ],
)
def test_when_a_unit_is_given_up(store: Store, time_: Seconds, outcomes: list[Outcome], verdict: Reason | None) -> None:
    live, _, _ = begin(store, Listing(["a"]))
    for attempt, outcome in enumerate(outcomes, 1):
        assert not live.ended
        live.submit_next()
        end(live, "a", outcome, attempt)

    assert [facts["rejects"] for facts in live.ended.values()] == ([{verdict.value: 1}] if verdict else [])


def fail(live: LiveStage, around: Around, *details: str) -> None:
    """One unit after the other ends so: with an error of this program, twice, or, "", well."""
    for detail in details:
        live.submit_next()
        name = around.submitted[-1][0]
        if not detail:
            end(live, name, DONE)
            continue
        bug = Outcome(End.DONE, Reason.INTERNAL_ERROR, detail, facts={"rejects": {"internal_error": 1}})
        end(live, name, bug)
        live.submit_next()
        end(live, name, bug, 2)
