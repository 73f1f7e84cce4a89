"""The driver's loop: gives a stage's units to an executor, commits what comes back, decides what is tried again.

lost worker      tried again, elsewhere where there is an elsewhere; the third time a reject `killed_worker`
memory, time     tried again once; the second time a reject `over_memory` or `timeout`
Transient        waits its turn and is tried again without a charge, up to `patience` times
StopRun          the run ends; everything committed stays
stop request     no further unit starts, those in flight have the grace to end, the others are given back
PlaceFailed      the machine gets no further unit and this one goes elsewhere; the run ends where there is no elsewhere
internal error   the unit is tried once more; what fails again stays away until another version of this program runs
"""

import heapq
import itertools
import logging
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from manifests.errors import UserError
from manifests.exits import ExitCode
from manifests.live import StageStatus
from manifests.reasons import Reason
from pipeline.engine.attempt import End, Outcome, turn_away_all
from pipeline.engine.desk import Desk
from pipeline.engine.drain import Drained
from pipeline.engine.executor import Executor, Finished
from pipeline.engine.lock import RunLock
from pipeline.engine.progress import StageProgress
from pipeline.engine.store import Store
from pipeline.engine.unit import Stage, Unit

log = logging.getLogger("hdvila")

MAX_LOST = 3
MAX_OVER = 2
MAX_ALIKE = 5
"""So many units that end one after the other with one and the same error of this program are no fault of the units."""
POLL_S = 1.0
GROUP_S = 1.0
"""Units that end within this time are committed together: a killed driver loses at most these, and they run again."""


class RunStopped(UserError):
    """A reason of class `stop` ended the run."""

    exit_code = ExitCode.STOPPED


@dataclass(slots=True)
class StageResult:
    """What one run of a stage did. `missing` units have no commit: a non-zero exit."""

    stage: str
    n_done_before: int = 0
    n_units: int = 0
    n_made: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    rejects: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def n_missing(self) -> int:
        """Units that this run took up and did not commit."""
        return self.n_units - self.n_made


@dataclass(slots=True)
class _Charges:
    """What a unit has cost so far, by how its attempts ended."""

    ended: Counter[End] = field(default_factory=Counter)

    @property
    def attempts(self) -> int:
        return sum(self.ended.values()) + 1


def run_stage(
    stage: Stage, store: Store, executor: Executor, lock: RunLock, *, patience: int = 20, desk: Desk | None = None
) -> StageResult:
    """Runs the units of a stage that have no commit yet. Raises RunStopped, Drained, LockLost or UserError."""
    desk = desk or Desk(store, publishes=False)
    done = store.committed(stage.name)
    result = StageResult(stage.name, n_done_before=len(done))
    started = time.monotonic()
    pending = (unit for unit in stage.units(store) if unit.name not in done)
    with StageProgress(stage.name, len(done)) as progress:
        executor.begin(stage, store)
        try:
            _Loop(stage, store, executor, lock, progress, result, patience, desk or Desk(store, publishes=False)).run(
                pending
            )
        except BaseException:
            executor.cancel_all()
            raise
        finally:
            result.seconds = time.monotonic() - started
    log.log(logging.INFO if result.n_units else logging.DEBUG, "%s", describe(result))
    return result


def describe(result: StageResult) -> str:
    """One line for the log: units, rows, rejects by reason, seconds."""
    rows = ", ".join(f"{n} {table}" for table, n in sorted(result.rows.items())) or "no rows"
    away = ", ".join(f"{n} {reason}" for reason, n in result.rejects.most_common()) or "none"
    before = f" ({result.n_done_before} done before)" if result.n_done_before else ""
    return f"{result.stage}: {result.n_made} units{before}, {rows}; turned away: {away}; {result.seconds:.1f} s"


class _Loop:
    """State of one stage's run: what is in flight, what waits, what each unit has cost."""

    def __init__(
        self,
        stage: Stage,
        store: Store,
        executor: Executor,
        lock: RunLock,
        progress: StageProgress,
        result: StageResult,
        patience: int,
        desk: Desk,
    ) -> None:
        self._stage, self._store, self._executor, self._lock = stage, store, executor, lock
        self._progress, self._result, self._patience = progress, result, patience
        self._desk, self._started = desk, time.monotonic()
        self._charges: dict[str, _Charges] = {}
        self._losses: Counter[str] = Counter()
        self._waiting: list[tuple[float, int, Unit]] = []
        self._order = itertools.count()
        self._n_in_flight = 0
        self._alike: list[tuple[str, str]] = []
        self._max_in_flight = stage.resources.max_in_flight or 2 * executor.n_slots
        self._ended: dict[str, Outcome] = {}
        self._grouped_at = float("-inf")

    def run(self, pending: Iterator[Unit]) -> None:
        """Until every unit is committed. Raises Drained where the run is asked to stop before."""
        try:
            self._run(pending)
        finally:
            self._commit_ended()

    def _run(self, pending: Iterator[Unit]) -> None:
        more = True
        while more or self._waiting or self._n_in_flight:
            if time.monotonic() - self._grouped_at >= GROUP_S:
                self._commit_ended()
            self._desk.publish(self._status())
            if self._desk.stop.is_due:
                more = more and next(pending, None) is not None
                self._drain(more)
                return
            if not self._desk.is_paused:
                more = more and self._fill(pending)
                self._submit_due()
            self._handle_next()

    def _handle_next(self) -> None:
        """Takes up the next attempt that ended, or waits a moment where none did."""
        finished = self._executor.collect(POLL_S) if self._n_in_flight else None
        if finished:
            self._handle(finished)
        elif not self._n_in_flight and self._desk.is_paused:
            time.sleep(POLL_S)
        elif not self._n_in_flight and self._waiting:
            time.sleep(min(POLL_S, max(0.0, self._waiting[0][0] - time.monotonic())))

    def _drain(self, more: bool) -> None:
        """Lets units in flight end within the grace. Raises Drained unless nothing remains of the stage."""
        stop = self._desk.stop
        self._n_in_flight -= self._executor.drop_queued()
        self._progress.say(f"stopping ({stop.why}): {self._n_in_flight} units in flight may end within the grace")
        while self._n_in_flight and stop.grace_left_s > 0:
            self._handle_next()
            self._desk.publish(self._status())
        self._commit_ended()
        n_left = self._result.n_missing
        if n_left or more:
            others = ", and others not yet taken up" if more else ""
            raise Drained(
                f"{self._stage.name}: stopped on request ({stop.why}); {self._result.n_made} units were committed by "
                f"this run, {n_left} were given back{others}. Run the same command again to go on"
            )

    def _status(self) -> StageStatus:
        return StageStatus(
            stage=self._stage.name,
            done_before=self._result.n_done_before,
            done=self._result.n_made,
            known=self._result.n_units,
            in_flight=self._n_in_flight,
            seconds=round(time.monotonic() - self._started, 1),
            rejects=dict(self._result.rejects),
            losses=dict(self._losses),
        )

    def _fill(self, pending: Iterator[Unit]) -> bool:
        while self._n_in_flight < self._max_in_flight:
            unit = next(pending, None)
            if unit is None:
                return False
            self._result.n_units += 1
            self._progress.queued(self._result.n_units)
            self._submit(unit)
        return True

    def _submit_due(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now and self._n_in_flight < self._max_in_flight:
            self._submit(heapq.heappop(self._waiting)[2])

    def _submit(self, unit: Unit) -> None:
        charges = self._charges.setdefault(unit.name, _Charges())
        self._executor.submit(unit, charges.attempts)
        self._n_in_flight += 1

    def _handle(self, finished: Finished) -> None:
        self._n_in_flight -= 1
        unit, outcome = finished.unit, finished.outcome
        first = not self._charges[unit.name].ended[End.DONE]
        if outcome.end is End.DONE and first:
            self._stop_if_alike(unit, outcome)
        if outcome.end is End.DONE and outcome.n_internal and first:
            self._progress.say(f"{unit.name}: an error of this program; tried once more\n{outcome.detail}")
            self._again(unit, outcome)
        elif outcome.end is End.DONE:
            self._commit(unit, outcome)
        elif outcome.end is End.PLACE and self._executor.fence(outcome.node):
            self._progress.say(f"machine {outcome.host or outcome.node} gets no further unit: {outcome.detail}")
            self._again(unit, outcome)
        elif outcome.end is End.PLACE:
            raise RunStopped(f"{self._stage.name}: {outcome.reason or Reason.PLACE_FAILED}: {outcome.detail}")
        elif outcome.end is End.STOP:
            raise RunStopped(f"{self._stage.name}: {outcome.reason or Reason.INTERNAL_ERROR}: {outcome.detail}")
        else:
            self._charge(unit, outcome, finished.attempt)

    def _again(self, unit: Unit, outcome: Outcome) -> None:
        """Another attempt, as soon as there is room."""
        self._charges[unit.name].ended[outcome.end] += 1
        heapq.heappush(self._waiting, (time.monotonic(), next(self._order), unit))

    def _charge(self, unit: Unit, outcome: Outcome, attempt: int) -> None:
        charges = self._charges[unit.name]
        charges.ended[outcome.end] += 1
        n = charges.ended[outcome.end]
        if outcome.end is not End.AGAIN:
            self._losses[f"{outcome.host or outcome.node or 'an unknown machine'}: {outcome.end}"] += 1
        verdict = _verdict(outcome, n, self._patience)
        if verdict is not None:
            self._commit(
                unit, turn_away_all(self._stage.name, unit, verdict, outcome.detail, self._store, attempt, outcome.host)
            )
            return
        if outcome.end is not End.AGAIN:
            self._progress.say(f"{unit.name}: {outcome.end} ({outcome.detail}); tried again")
        wait_s = outcome.wait_s if outcome.end is End.AGAIN else 0.0
        heapq.heappush(self._waiting, (time.monotonic() + wait_s, next(self._order), unit))

    def _commit(self, unit: Unit, outcome: Outcome) -> None:
        """With those that end within a second; at once where none did in the last one."""
        self._charges.pop(unit.name, None)
        self._ended[unit.name] = outcome
        if time.monotonic() - self._grouped_at >= GROUP_S:
            self._commit_ended()
        if outcome.n_internal:
            what = f"{outcome.n_internal} turned away by an error of this program"
            self._progress.say(f"{unit.name}: {what}\n{outcome.detail}")

    def _commit_ended(self) -> None:
        if not self._ended:
            return
        self._lock.check()
        self._store.commit_all(self._stage.name, {name: outcome.facts for name, outcome in self._ended.items()})
        ended, self._ended = self._ended, {}
        self._grouped_at = time.monotonic()
        for outcome in ended.values():
            rejects = outcome.facts.get("rejects", {})
            self._result.n_made += 1
            self._result.rows.update(outcome.facts.get("rows", {}))
            self._result.rejects.update(rejects)
            self._progress.advance(rejects)

    def _stop_if_alike(self, unit: Unit, outcome: Outcome) -> None:
        """Ends a run whose units all meet the same error of this program, and takes their verdicts back."""
        if outcome.reason is not Reason.INTERNAL_ERROR or (self._alike and self._alike[-1][1] != outcome.detail):
            self._alike.clear()
        if outcome.reason is Reason.INTERNAL_ERROR:
            self._alike.append((unit.name, outcome.detail))
        if len(self._alike) < MAX_ALIKE:
            return
        self._commit_ended()
        self._store.uncommit(self._stage.name, *(name for name, _ in self._alike))
        raise RunStopped(
            f"{self._stage.name}: {len(self._alike)} units one after the other failed alike: {outcome.detail}\n"
            "That is an error of this program or of what is installed beside it (`pip check`), not of the videos; none "
            "of them is turned away. rejects/ holds the traceback."
        )


def _verdict(outcome: Outcome, n: int, patience: int) -> Reason | None:
    """The reason for which a unit is given up after n attempts that ended this way; None: try again."""
    if outcome.end is End.LOST:
        return Reason.KILLED_WORKER if n >= MAX_LOST else None
    if outcome.end is End.TIMEOUT:
        return Reason.TIMEOUT if n >= MAX_OVER else None
    if outcome.end is End.MEMORY:
        return Reason.OVER_MEMORY if n >= MAX_OVER else None
    return outcome.reason if n >= patience else None
