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
    RunStopped,
    StageResult,
    commit_together,
    describe_result,
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


def test_how_many_there_are_is_known_from_the_start_where_a_stage_knows_its_names(store: Store) -> None:
    store.commit_all("toy", {"a": {}, "of another batch": {}})
    stage = Listing(["a", "b", "x"])
    stage.unit_names = ("a", "b", "x")  # type: ignore[attr-defined]
    live, around, _ = begin(store, stage)

    assert live.status().total == 4, "two are done, and two are to come"
    live.submit_next()
    assert around.submitted == [("b", 1, False)] and around.of("queued") == [(2,)]


def before(n_made: int = 0, is_over: bool = False) -> Any:
    """The stage before another."""
    upstream = SimpleNamespace(n_made_so_far=n_made, over=is_over)
    upstream.is_over = lambda: upstream.over
    return upstream


def test_a_later_stage_is_asked_again_when_the_one_before_has_committed_but_not_all_the_time(
    store: Store, time_: Seconds
) -> None:
    stage, upstream = Listing([], one_by_one=False), before()
    live, around, _ = begin(store, stage, upstream=upstream)

    assert not live.has_next() and not live.is_over() and stage.n_asked == 1
    time_.at += 60
    assert not live.has_work() and stage.n_asked == 1, "nothing was committed"
    upstream.n_made_so_far, stage.names = 1, ["a"]
    assert live.has_next() and stage.n_asked == 2
    assert live.status().total == 0, "more may come"
    live.submit_next()
    upstream.n_made_so_far, stage.names = 2, ["a", "b"]
    time_.at += 1.9
    assert not live.has_next() and stage.n_asked == 2, "asked a moment ago"
    time_.at += 0.1
    assert live.has_next() and stage.n_asked == 3
    live.submit_next()
    upstream.n_made_so_far, upstream.over, stage.names = 3, True, ["a", "b", "c"]
    assert live.has_next(), "once the one before is over nobody waits"
    live.submit_next()
    assert [name for name, _, _ in around.submitted] == ["a", "b", "c"]
    assert around.of("queued")[-1] == (3,)


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


def test_five_units_in_a_row_with_the_same_error_end_the_run_and_none_of_them_is_rejected(store: Store) -> None:
    live, around, context = begin(store, Listing([f"u{i}" for i in range(99)]))
    fail(live, around, "", *["KeyError: 'x'"] * 4, "", *["KeyError: 'x'"] * 4, *["KeyError: 'y'"] * 4)
    commit_together([live], context)
    assert store.committed("toy") == {f"u{i}" for i in range(14)}

    with pytest.raises(RunStopped, match="5 units in a row failed in the same way: KeyError: 'y'"):
        fail(live, around, "KeyError: 'y'")
    assert store.committed("toy") == {f"u{i}" for i in range(10)}, "the verdicts on the five are taken back"
    assert around.n_checks == 1, "before it commits them with others"


def test_a_result_is_one_line_for_people() -> None:
    result = StageResult("media", n_units=3, n_made=2, seconds=1.26)
    assert describe_result(result) == "media: 2 videos, no rows; rejected: none; 1.3 s" and result.n_missing == 1
    assert StageResult("media") == StageResult("media", 0, 0, 0, bytes=0, seconds=0.0)
    result.n_done_before, result.n_made = 4, 1
    result.rows.update({"videos": 2, "clips": 7})
    result.rejects.update({"private": 1, "live": 3})
    assert describe_result(result) == (
        "media: 1 video (4 done before), 7 clips planned, 2 videos; rejected: 3 live, 1 private; 1.3 s"
    )
