"""One stage under way: when a unit is given up."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from manifests.reasons import Reason
from pipeline.engine.run.stage_run import LiveStage, RunContext
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome
from pipeline.engine.work.executor import Finished
from pipeline.engine.work.unit import Resources, Unit
from tests.pipeline.engine.clocks import going_by


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
    with going_by(seconds):
        yield seconds


@dataclass
class One:
    """A stage of one unit."""

    name: str = "toy"
    resources: Resources = Resources()

    def units(self, store: Store) -> Iterator[Unit]:
        yield UNIT

    def process(self, unit: Unit, context: Any) -> Any:
        raise NotImplementedError


class Around:
    """What a stage is given: it takes what is submitted and told."""

    def fence(self, node: str) -> bool:
        return True

    def stage(self, stage: str, n_done_before: int) -> Any:
        return self

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: None


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


UNIT = Unit("a", ids=("a",))
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
    around = Around()
    context = RunContext(store, around, around, around, patience=3, units=UnitsSoFar(store))  # type: ignore[arg-type]
    live = LiveStage(One(), None, context)
    for attempt, outcome in enumerate(outcomes, 1):
        assert not live.ended
        live.submit_next()
        live.handle(Finished("toy", UNIT, attempt, outcome))

    assert [facts["rejects"] for facts in live.ended.values()] == ([{verdict.value: 1}] if verdict else [])
