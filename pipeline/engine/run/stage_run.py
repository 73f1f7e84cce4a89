"""One stage under way: what is in flight, what waits, and what is tried again or given up.

lost worker      tried again, on another machine if any; the third time a reject `killed_worker`
lost machine     not charged; after three such losses the unit gets a machine to itself, and the next loss decides
memory, time     tried again once; the second time a reject `over_memory` or `timeout`
Transient        waits its turn and is tried again without a charge, up to `patience` times
StopRun          the run ends; everything committed stays
stop request     no further unit starts, those in flight get the grace period, the others are given back
PlaceFailed      the machine gets no unit for a while, and the unit goes to another; the run ends if there is none
internal error   the unit is tried once more; if it fails again it is left to another version of this program
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from manifests.errors import UserError
from manifests.exits import ExitCode
from manifests.lock import RunLock
from manifests.reasons import AnyReason, Reason
from manifests.run_status import StageStatus
from manifests.stages import ROWS_SAID, n_units
from pipeline.engine.run import clock
from pipeline.engine.run.lines import ListedHere, ListedInThread, StageResult, UnitSource
from pipeline.engine.run.name_set import Names
from pipeline.engine.run.progress import RunProgress, StageProgress
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.commits import Facts
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome, reject_unit
from pipeline.engine.work.executor import Executor, Finished
from pipeline.engine.work.scratch import host_name
from pipeline.engine.work.unit import PerPart, Stage, Unit

MAX_LOST = 3
MAX_OVER = 2
MAX_TAKEN = 3
"""After this many machines were lost while running a unit, it gets a machine to itself."""
MAX_ALIKE = 5
"""If this many units in a row end with the same internal error, it is not the units' fault."""
ASK_EVERY_S = 2.0
"""Seconds between requests to a stage for new units while the stages before it still commit."""


class RunStopped(UserError):
    """A reason of class `stop` ended the run."""

    exit_code = ExitCode.STOPPED


@dataclass(slots=True)
class _Charges:
    """How a unit's attempts have ended so far."""

    ended: Counter[End] = field(default_factory=Counter)
    alone: bool = False
    """Whether the unit gets a machine to itself."""

    @property
    def attempts(self) -> int:
        return sum(self.ended.values()) - self.ended[End.TAKEN] + 1


@dataclass(frozen=True, slots=True)
class RunContext:
    """What all stages of a run share. `patience`: how often a temporary refusal is tried again."""

    store: Store
    executor: Executor
    lock: RunLock
    progress: RunProgress
    patience: int
    units: UnitsSoFar


class LiveStage:
    """One stage under way: what is in flight, what waits, and how each unit's attempts ended."""

    def __init__(
        self, stage: Stage, source: UnitSource | None, context: RunContext, upstream: "LiveStage | None" = None
    ) -> None:
        """`source`: of its units; None: they are listed here."""
        self.stage, self.n_in_flight = stage, 0
        self.expected_s, self.due_s = 0.0, -1.0
        self.resources = stage.resources  # cached: may be costly to compute, and the loop reads it at every step
        self._context, self._upstream, self._store = context, upstream, context.store
        self._done, self._taken = context.units.committed(stage.name), Names()
        n_done = len(self._done)
        planned: set[str] = set(getattr(stage, "unit_names", ()))  # if a stage knows them before it makes them
        self._result = StageResult(stage.name, n_done_before=n_done)
        self._n_planned = n_done + sum(name not in self._done for name in planned) if planned else 0
        self._progress: StageProgress = context.progress.stage(stage.name, n_done)
        self._started = clock.now()
        self._charges: dict[str, _Charges] = {}
        self._losses: Counter[str] = Counter()
        self._waiting: list[tuple[float, int, Unit]] = []
        self._order = itertools.count()
        self._alike: list[tuple[str, str]] = []
        self._ended: dict[str, Outcome] = {}
        self._source = source or self._listed_here()
        self._next: Unit | None = None
        self._asked_at, self._n_upstream = float("-inf"), -1

    # what is to be done

    def is_over(self) -> bool:
        """Whether every unit is committed and no more can come."""
        return (self._upstream is None or self._upstream.is_over()) and not self.has_work()

    def has_work(self) -> bool:
        """Whether a unit is in flight, waits, is about to be committed, can be taken up now, or is still listed."""
        return bool(self.n_in_flight or self._waiting or self._ended or self.has_listed())

    def has_next(self) -> bool:
        """Whether a unit can be submitted now."""
        return bool(self._waiting and self._waiting[0][0] <= clock.now()) or self._peek() is not None

    @property
    def next_expected_s(self) -> float:
        """The rough duration in seconds of the unit that is submitted next; 0 if unknown."""
        is_due = self._waiting and self._waiting[0][0] <= clock.now()
        unit = self._waiting[0][2] if is_due else self._next
        return unit.expected_s if unit else 0.0

    def next_at(self) -> float | None:
        """When, by the driver's clock, a waiting unit is due; None if none waits."""
        return self._waiting[0][0] if self._waiting else None

    def has_listed(self) -> bool:
        """Whether there is a unit that was not taken up yet, or its units are still being listed."""
        return self._peek() is not None or self._source.is_listing

    def _peek(self) -> Unit | None:
        """Returns the next unit that was not taken up yet, without taking it up; None if none is listed by now."""
        while self._next is None:
            if not self._source.is_listing:
                if not self._may_ask():
                    return None
                self._source.ask()
            if whole := self._source.take_whole():
                self._count(whole)
            unit = self._source.take()
            if unit is None and self._source.is_listing:
                return None
            self._next = unit if unit and self._is_new(unit) else None
        return self._next

    @property
    def is_listing(self) -> bool:
        """Whether its units are being listed."""
        return self._source.is_listing

    def _listed_here(self) -> UnitSource:
        thread = self._context.units.thread
        return ListedInThread(self._listed, thread) if thread else ListedHere(self._listed)

    def _listed(self) -> Iterable[Unit]:
        """The units that may be new; of a stage that works on parts, those of parts committed since the last call."""
        if isinstance(self.stage, PerPart):
            return self.stage.units_of(self._store, self._context.units.new_parts(self.stage))
        return self.stage.units(self._store)

    def _is_new(self, unit: Unit) -> bool:
        return unit.name not in self._taken and unit.name not in self._done

    def _count(self, units: Sequence[Unit]) -> None:
        """Takes note of how many units there are, if no more can come after these."""
        if self._upstream is None or self._upstream.is_over():
            left = [unit for unit in units if self._is_new(unit)]
            self._n_planned = self._result.n_done_before + self._result.n_units + len(left)
            self.expected_s = sum(unit.expected_s for unit in left)

    def _may_ask(self) -> bool:
        """Whether asking for units can give new ones: once, and again after any stage before has committed.

        Any: the first may give rows for this one, past the one between (texts that come with a list need no captions).
        """
        upstream = self._upstream
        n_upstream = upstream.n_made_so_far if upstream else 0
        if n_upstream == self._n_upstream:
            return False
        too_soon = clock.now() - self._asked_at < ASK_EVERY_S
        if too_soon and upstream and not upstream.is_over():
            return False
        self._n_upstream, self._asked_at = n_upstream, clock.now()
        return True

    def submit_next(self) -> None:
        """Submits a waiting unit that is due, else the next new unit."""
        if self._waiting and self._waiting[0][0] <= clock.now():
            self._submit(heapq.heappop(self._waiting)[2])
        elif unit := self._peek():
            self._next = None
            self._taken.add(unit.name)
            self._result.n_units += 1
            self._progress.queued(max(0, self._n_planned - self._result.n_done_before))
            self._submit(unit)

    def _submit(self, unit: Unit) -> None:
        charges = self._charges.setdefault(unit.name, _Charges())
        self._context.executor.submit(self.stage.name, unit, charges.attempts, alone=charges.alone)
        self.n_in_flight += 1

    # reporting

    def end(self) -> StageResult:
        """Returns the result; call once the stage is over."""
        self._result.seconds = clock.now() - self._started
        return self._result

    def has_more(self) -> bool:
        """Whether there are units that were not taken up yet."""
        return self.has_listed() or (self._upstream is not None and not self._upstream.is_over())

    @property
    def n_made(self) -> int:
        """Units that this run committed."""
        return self._result.n_made

    @property
    def n_made_so_far(self) -> int:
        """How many units it and the stages before have made."""
        return self.n_made + (self._upstream.n_made_so_far if self._upstream else 0)

    @property
    def n_missing(self) -> int:
        """Units that this run took up and did not commit."""
        return self._result.n_missing

    def status(self) -> StageStatus:
        """The stage's progress."""
        return StageStatus(
            stage=self.stage.name,
            done_before=self._result.n_done_before,
            done=self._result.n_made,
            known=self._result.n_units,
            total=self._n_planned,
            bytes=self._result.bytes,
            in_flight=self.n_in_flight,
            seconds=round(clock.now() - self._started, 1),
            rejects=dict(self._result.rejects),
            losses=dict(self._losses),
            rows=dict(self._result.rows),
        )

    # ended attempts

    def has_in_flight(self, finished: Finished) -> bool:
        """Whether an attempt belongs to this stage."""
        return finished.stage == self.stage.name and finished.unit.name in self._charges

    def handle(self, finished: Finished) -> None:
        """Commits an attempt that ended, or decides when to try the unit again."""
        self.n_in_flight -= 1
        unit, outcome = finished.unit, finished.outcome
        first = not self._charges[unit.name].ended[End.DONE]
        if outcome.end is End.DONE and first:
            self._stop_if_alike(unit, outcome)
        if outcome.end is End.DONE and outcome.n_internal and first:
            self._say(unit, outcome, f"an error of this program; tried once more\n{outcome.detail}")
            self._again(unit, outcome)
        elif outcome.end is End.DONE:
            self._commit(unit, outcome)
        elif outcome.end is End.PLACE and self._context.executor.fence(outcome.node):
            self._say(unit, outcome, f"machine {outcome.host or outcome.node} gets no unit for now: {outcome.detail}")
            self._again(unit, outcome)
        elif outcome.end is End.PLACE:
            raise RunStopped(f"{self.stage.name}: {outcome.reason or Reason.PLACE_FAILED}: {outcome.detail}")
        elif outcome.end is End.STOP:
            raise RunStopped(f"{self.stage.name}: {outcome.reason or Reason.INTERNAL_ERROR}: {outcome.detail}")
        else:
            self._charge(unit, outcome, finished.attempt)

    def _say(self, unit: Unit, outcome: Outcome, message: str) -> None:
        self._progress.say(f"{unit.name}: {message}", unit=unit.name, node=outcome.host or outcome.node)

    def _again(self, unit: Unit, outcome: Outcome) -> None:
        """Schedules another attempt as soon as there is room."""
        self._charges[unit.name].ended[outcome.end] += 1
        heapq.heappush(self._waiting, (clock.now(), next(self._order), unit))

    def _charge(self, unit: Unit, outcome: Outcome, attempt: int) -> None:
        charges = self._charges[unit.name]
        charges.ended[outcome.end] += 1
        n = charges.ended[outcome.end]
        if outcome.end is not End.AGAIN:
            self._losses[f"{outcome.host or outcome.node or 'an unknown machine'}: {outcome.end}"] += 1
        verdict = _verdict(outcome, n, self._context.patience, charges.alone)
        charges.alone = charges.alone or charges.ended[End.TAKEN] >= MAX_TAKEN
        if verdict is not None:
            self._commit(
                unit, reject_unit(self.stage.name, unit, verdict, outcome.detail, self._store, attempt, outcome.host)
            )
            return
        if outcome.end is not End.AGAIN:
            where = f" on {outcome.host}" if outcome.host else ""
            self._say(unit, outcome, f"{outcome.end}{where} ({outcome.detail}); tried again")
        wait_s = outcome.wait_s if outcome.end is End.AGAIN else 0.0
        heapq.heappush(self._waiting, (clock.now() + wait_s, next(self._order), unit))

    def _commit(self, unit: Unit, outcome: Outcome) -> None:
        """Adds a unit to those that ended and are to be committed."""
        self._charges.pop(unit.name, None)
        self._ended[unit.name] = outcome
        if outcome.n_internal:
            self._say(unit, outcome, f"{outcome.n_internal} rejected by an error of this program\n{outcome.detail}")

    @property
    def ended(self) -> dict[str, Facts]:
        """The commit facts of the units that ended and are not committed yet."""
        return {name: outcome.facts for name, outcome in self._ended.items()}

    @property
    def waits_for_commit(self) -> bool:
        """Whether some units ended and are not committed yet."""
        return bool(self._ended)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is in flight, and nothing waits for its turn."""
        return not (self.n_in_flight or self._waiting)

    def count_committed(self) -> None:
        """Records that the ended units are committed."""
        ended, self._ended = self._ended, {}
        for name, outcome in ended.items():
            rejects = outcome.facts.get("rejects", {})
            self._progress.committed(name, outcome.host or host_name(), outcome.facts)
            self._result.n_made += 1
            self._result.rows.update(outcome.facts.get("rows", {}))
            self._result.bytes += int(outcome.facts.get("bytes", 0))
            self._result.rejects.update(rejects)

    def _stop_if_alike(self, unit: Unit, outcome: Outcome) -> None:
        """Ends the run if several units in a row met the same internal error, and takes back their commits."""
        if outcome.reason is not Reason.INTERNAL_ERROR or (self._alike and self._alike[-1][1] != outcome.detail):
            self._alike.clear()
        if outcome.reason is Reason.INTERNAL_ERROR:
            self._alike.append((unit.name, outcome.detail))
        if len(self._alike) < MAX_ALIKE:
            return
        self._context.lock.check()
        commit_together([self], self._context)
        self._store.uncommit(self.stage.name, *(name for name, _ in self._alike))
        raise RunStopped(
            f"{self.stage.name}: {len(self._alike)} units in a row failed in the same way: {outcome.detail}\n"
            "That is an error of this program or of what is installed beside it (`pip check`), not of the videos; none "
            "of them is rejected. rejects/ holds the traceback."
        )


def commit_together(stages: Sequence[LiveStage], context: RunContext) -> None:
    """Commits, in one object, the units that have ended so far in stages of the same name. Call `lock.check` before."""
    name, ended = stages[0].stage.name, {name: facts for live in stages for name, facts in live.ended.items()}
    context.store.commit_all(name, ended)
    context.units.add(name, ended)
    for live in stages:
        live.count_committed()


def what_remains(stages: Sequence[LiveStage]) -> str:
    """Describes what a stop leaves undone in stages of the same name; "" if nothing."""
    more, n_left = any(live.has_more() for live in stages), sum(live.n_missing for live in stages)
    if not n_left and not more:
        return ""
    n_made = sum(live.n_made for live in stages)
    are, others = "is" if n_made == 1 else "are", ", others had not begun" if more else ""
    return (
        f"of the plans under way {n_units(n_made, stages[0].stage.name)} {are} committed, {n_left} given back{others}"
    )


def _verdict(outcome: Outcome, n: int, patience: int, alone: bool) -> AnyReason | None:
    """The reason to give up a unit after n attempts that ended this way; None: try again.

    `alone`: it had a machine to itself.
    """
    if outcome.end in (End.TAKEN, End.LOST) and alone:
        return outcome.reason or Reason.KILLED_WORKER
    if outcome.end is End.TAKEN:
        return None
    if outcome.end is End.LOST:
        return Reason.KILLED_WORKER if n >= MAX_LOST else None
    if outcome.end is End.TIMEOUT:
        return Reason.TIMEOUT if n >= MAX_OVER else None
    if outcome.end is End.MEMORY:
        return Reason.OVER_MEMORY if n >= MAX_OVER else None
    return outcome.reason if n >= patience else None


def describe_result(result: StageResult) -> str:
    """A line for the log: units, rows, rejects by reason, seconds."""
    rows = ", ".join(f"{n:,} {ROWS_SAID.get(table, table)}" for table, n in sorted(result.rows.items())) or "no rows"
    rejects = ", ".join(f"{n} {reason}" for reason, n in result.rejects.most_common()) or "none"
    before = f" ({result.n_done_before} done before)" if result.n_done_before else ""
    units = n_units(result.n_made, result.stage)
    return f"{result.stage}: {units}{before}, {rows}; rejected: {rejects}; {result.seconds:.1f} s"
