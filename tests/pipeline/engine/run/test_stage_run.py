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
    what_remains,
)
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome
from pipeline.engine.work.executor import Finished
from pipeline.engine.work.scratch import host_name
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
BUG = Outcome(End.DONE, Reason.INTERNAL_ERROR, "KeyError: 'x'", facts={"rejects": {"internal_error": 1}})


def test_units_are_taken_up_one_by_one_and_the_stage_is_over_once_all_are_committed(
    store: Store, time_: Seconds
) -> None:
    live, around, context = begin(store, Listing(["a", "b"]))
    assert around.of("stage") == [("toy", 0)] and live.is_idle

    for n in (1, 2):
        assert live.has_next() and live.has_work()
        live.submit_next()
        assert live.n_in_flight == n and not live.is_idle
    assert around.submitted == [("a", 1, False), ("b", 1, False)] and not live.has_next()
    live.submit_next()
    assert len(around.submitted) == 2 and live.stage.n_asked == 1, "there is no more to ask for"  # type: ignore[attr-defined]
    assert around.of("queued") == [(0,), (0,)]
    assert live.has_in_flight(Finished("toy", Unit("a"), 1, DONE))
    assert not live.has_in_flight(Finished("other", Unit("a"), 1, DONE))
    assert not live.has_in_flight(Finished("toy", Unit("c"), 1, DONE))

    end(live, "a", DONE)
    assert live.waits_for_commit and list(live.ended) == ["a"] and not live.is_idle
    end(live, "b", Outcome(End.DONE, facts={}))
    assert live.has_work() and not live.is_over() and live.is_idle
    commit_together([live], context)

    assert live.is_over() and not live.waits_for_commit
    assert store.committed("toy") == {"a", "b"}
    assert around.of("committed") == [("a", "spot-7", DONE.facts), ("b", host_name(), {})]
    time_.at += 2.5
    result = live.end()
    assert (result.n_units, result.n_made, result.n_missing, result.bytes, result.seconds) == (2, 2, 0, 10, 2.5)
    assert (dict(result.rows), dict(result.rejects)) == ({"videos": 2}, {"private": 1})


def test_how_many_there_are_is_known_where_a_stage_gives_all_at_once(store: Store, time_: Seconds) -> None:
    store.commit_all("toy", {"a": {}})
    live, around, _ = begin(store, Listing(["a", "b", "c"], one_by_one=False))
    assert live.status().total == 0
    live.submit_next()
    time_.at += 1.26

    status = live.status()
    assert (status.stage, status.done_before, status.done, status.known, status.total) == ("toy", 1, 0, 1, 3)
    assert (status.in_flight, status.seconds, status.bytes, status.rejects) == (1, 1.3, 0, {})
    assert around.of("queued") == [(2,)]


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


def test_a_lost_worker_is_reported_and_tried_again_at_once_and_the_third_loss_is_a_reject(
    store: Store, time_: Seconds
) -> None:
    live, around, context = begin(store, Listing(["a"]))
    for attempt, lost in enumerate((Outcome(End.LOST, detail="died", host="h"), Outcome(End.TIMEOUT, node="n")), 1):
        live.submit_next()
        end(live, "a", lost, attempt)
        assert live.has_next() and live.next_at() == time_.at and live.n_in_flight == 0 and not live.is_idle
    for attempt in (3, 4):
        live.submit_next()
        end(live, "a", Outcome(End.LOST, detail="died", host="h"), attempt)

    assert around.submitted == [("a", n, False) for n in (1, 2, 3, 4)]
    assert around.of("say") == [
        ("a: lost on h (died); tried again", "a", "h"),
        ("a: timeout (); tried again", "a", "n"),
        ("a: lost on h (died); tried again", "a", "h"),
    ]
    assert live.status().losses == {"h: lost": 3, "n: timeout": 1}
    commit_together([live], context)
    (row,) = store.read_rejects().to_pylist()
    assert (row["video_id"], row["reason"], row["attempts"], row["node"]) == ("a", "killed_worker", 4, "h")
    assert live.is_over() and live.next_at() is None


def test_a_lost_machine_is_not_charged_and_after_three_a_unit_has_one_to_itself(store: Store, time_: Seconds) -> None:
    live, around, _ = begin(store, Listing(["a"]))
    for _ in range(4):
        live.submit_next()
        end(live, "a", Outcome(End.TAKEN, Reason.KILLED_WORKER))

    assert around.submitted == [("a", 1, False)] * 3 + [("a", 1, True)]
    assert live.status().losses == {"an unknown machine: taken": 4}
    assert live.waits_for_commit


def test_a_refusal_waits_its_time_without_a_word_while_others_go_on(store: Store, time_: Seconds) -> None:
    live, around, _ = begin(store, Listing(["a", "b", "c"]))
    live.submit_next()
    end(live, "a", Outcome(End.AGAIN, Reason.RATE_LIMITED, "429", 30.0))
    live.submit_next()
    end(live, "b", Outcome(End.AGAIN, Reason.RATE_LIMITED, "429", 20.0))
    assert live.next_at() == time_.at + 20 and live.has_next()
    live.submit_next()
    assert not live.has_next() and live.has_work()
    time_.at += 20
    assert live.has_next()
    live.submit_next()
    live.submit_next()
    assert not live.has_next() and live.next_at() == time_.at + 10
    time_.at += 11
    live.submit_next()

    assert around.submitted == [("a", 1, False), ("b", 1, False), ("c", 1, False), ("b", 2, False), ("a", 2, False)]
    assert around.of("say") == [] and live.status().losses == {}


def test_a_machine_that_failed_is_fenced_and_its_unit_goes_elsewhere_or_the_run_ends(
    store: Store, time_: Seconds
) -> None:
    failed = Outcome(End.PLACE, Reason.NO_DISK, "h: full", node="n", host="h")
    live, around, _ = begin(store, Listing(["a"]))
    live.submit_next()
    end(live, "a", failed)
    assert around.of("fence") == [("n",)] and live.has_next()
    assert around.of("say") == [("a: machine h gets no unit for now: h: full", "a", "h")]
    live.submit_next()
    assert around.submitted == [("a", 1, False), ("a", 2, False)]

    for reason, said in ((Reason.NO_DISK, "no_disk"), (None, "place_failed")):
        live, _, _ = begin(store, Listing(["a"]), fences=False)
        live.submit_next()
        with pytest.raises(RunStopped, match=f"^toy: {said}: full$"):
            end(live, "a", Outcome(End.PLACE, reason, "full", node="n"))


@pytest.mark.parametrize(("reason", "said"), [(Reason.BAD_COOKIES, "bad_cookies"), (None, "internal_error")])
def test_a_stop_ends_the_run_with_its_reason(store: Store, reason: Reason | None, said: str) -> None:
    live, around, _ = begin(store, Listing(["a"]))
    live.submit_next()

    with pytest.raises(RunStopped, match=f"^toy: {said}: export them again$") as stopped:
        end(live, "a", Outcome(End.STOP, reason, "export them again"))
    assert stopped.value.exit_code == 3 and around.of("fence") == []


def test_an_error_of_this_program_is_tried_once_more_and_then_reported(store: Store, time_: Seconds) -> None:
    live, around, _ = begin(store, Listing(["a", "b"]))
    live.submit_next()
    end(live, "a", BUG)
    assert not live.waits_for_commit and live.has_next()
    live.submit_next()
    end(live, "a", BUG, 2)

    assert live.waits_for_commit and around.submitted == [("a", 1, False), ("a", 2, False)]
    assert [said for said, _, _ in around.of("say")] == [
        "a: an error of this program; tried once more\nKeyError: 'x'",
        "a: 1 rejected by an error of this program\nKeyError: 'x'",
    ]
    live.submit_next()
    end(live, "b", DONE)
    assert len(around.of("say")) == 2


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


def test_what_a_stop_leaves_undone_is_told_in_words(store: Store, time_: Seconds) -> None:
    live, _, context = begin(store, Listing(["a", "b"]))
    assert what_remains([live]) == "of the plans under way 0 units are committed, 0 given back, others had not begun"
    live.submit_next()
    end(live, "a", DONE)
    commit_together([live], context)
    live.submit_next()
    assert what_remains([live]) == "of the plans under way 1 unit is committed, 1 given back"
    end(live, "b", DONE)
    commit_together([live], context)
    assert what_remains([live]) == ""

    later, _, _ = begin(store, Listing([]), upstream=before())
    assert what_remains([later]).endswith("0 given back, others had not begun")
    done, _, _ = begin(store, Listing([]), upstream=before(is_over=True))
    assert what_remains([done]) == ""
    assert (
        what_remains([live, later, done])
        == "of the plans under way 2 units are committed, 0 given back, others had not begun"
    )


def test_stages_of_one_name_commit_together(store: Store) -> None:
    first, _, context = begin(store, Listing(["a"]))
    second, _, _ = begin(store, Listing(["b"]))
    for live, name in ((first, "a"), (second, "b")):
        live.submit_next()
        end(live, name, DONE)
    commit_together([first, second], context)

    assert len(store.names("commits/toy")) == 1 and store.committed("toy") == {"a", "b"}
    assert not first.waits_for_commit and not second.waits_for_commit


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


def test_how_long_the_next_unit_takes_is_told_of_the_one_that_is_due(store: Store, time_: Seconds) -> None:
    class Timed(Listing):
        def units(self, store: Store) -> Iterator[Unit]:
            return iter([Unit("a", expected_s=5.0), Unit("b", expected_s=7.0)])

    live, around, _ = begin(store, Timed([]))
    assert live.has_next() and live.next_expected_s == 5.0
    live.submit_next()
    assert live.has_next() and live.next_expected_s == 7.0
    live.handle(Finished("toy", Unit("a", expected_s=5.0), 1, Outcome(End.AGAIN, Reason.RATE_LIMITED, "429", 30.0)))
    assert live.next_expected_s == 7.0
    time_.at += 30.0
    assert live.has_next() and live.next_expected_s == 5.0, "what waited is due"
    live.submit_next()
    live.submit_next()
    assert not live.has_next() and live.next_expected_s == 0.0
    assert [name for name, _, _ in around.submitted] == ["a", "a", "b"]
