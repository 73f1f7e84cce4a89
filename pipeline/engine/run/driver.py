"""The driver's loop: gives the units of several stages to one executor, commits what comes back, decides what is tried
again.

Which stages come is planned by lines (`lines.py`), here or in another process: the loop resumes each line once its
chain is over, and goes on with the others while it plans. Each later stage of a chain is asked for units again while
the stages before it commit. A line that plans an empty chain waits until something else is over.
"""

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from manifests.lock import RunLock
from pipeline.engine.run import clock
from pipeline.engine.run.drain import Drained
from pipeline.engine.run.lines import Chain, Line, LinesHere, Planner, StageResult, one_chain
from pipeline.engine.run.progress import RunProgress
from pipeline.engine.run.stage_run import (
    ASK_EVERY_S,
    LiveStage,
    RunContext,
    commit_together,
    describe_result,
    what_remains,
)
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Executor
from pipeline.engine.work.unit import Stage

log = logging.getLogger("hdvila")

POLL_S = 1.0
PLAN_POLL_S = 0.1
"""The same while a line plans: workers get what it planned within this time."""
QUEUE = 2
"""Units in flight per slot: one running, and one ready for when it ends."""
GROUP_S = 1.0
"""Units that end within this many seconds are committed together: a killed driver loses at most these, and they run
again.
"""
PATIENCE = 20
"""How often a unit may fail temporarily before it is deferred."""
MOST_AT_ONCE = 100
"""Units submitted before the loop looks at what has ended and what was asked of it: .25 to .5 s with Ray."""
LEAST = 2
"""Units in flight when there is no slot: an autoscaled cluster that has no machine yet must see some work."""


def nothing() -> None:
    """Does nothing: the default of `between`."""


def run_stage(
    stage: Stage, store: Store, executor: Executor, lock: RunLock, *, patience: int = PATIENCE, desk: Desk | None = None
) -> StageResult:
    """Runs the units of a stage that have no commit yet. Raises RunStopped, Drained, LockLost or UserError."""
    results: list[StageResult] = []
    run_lines([one_chain(stage)], store, executor, lock, patience=patience, desk=desk, over=results.append)
    return results[0]


def run_lines(
    lines: Sequence[Line],
    store: Store,
    executor: Executor,
    lock: RunLock,
    *,
    patience: int = PATIENCE,
    desk: Desk | None = None,
    over: Callable[[StageResult], None] = lambda result: None,
    between: Callable[[], None] = nothing,
) -> None:
    """Runs lines side by side until all have ended, planning in this process. Raises the same as `run_stage`.

    `over` gets each stage's result. `between` is called repeatedly while units are under way; it must not block.
    """
    desk, units = desk or Desk(store, publishes=False), UnitsSoFar(store)
    run_planned(LinesHere(lines), executor, lock, units, desk, patience=patience, over=over, between=between)


def run_planned(
    planner: Planner,
    executor: Executor,
    lock: RunLock,
    units: UnitsSoFar,
    desk: Desk,
    *,
    patience: int = PATIENCE,
    over: Callable[[StageResult], None] = lambda result: None,
    between: Callable[[], None] = nothing,
) -> None:
    """Runs what a planner plans, as `run_lines` does."""
    with RunProgress() as progress, desk.shown_by(progress):
        context = RunContext(units.store, executor, lock, progress, patience, units)
        try:
            _Driver(context, planner, desk, over, between).run()
        except BaseException:
            executor.cancel_all()
            raise
        finally:
            planner.close()


@dataclass(slots=True)
class _LineState:
    """A line's state: its chain under way, whether it is planning the next one, or for what it waits."""

    number: int
    live: list[LiveStage] = field(default_factory=list)
    is_planning: bool = False
    asked_at: int = -1
    """How many stages and lines were over, or begun by others, when it was last resumed."""
    waits: bool = False

    def can_go_on(self, n_changes: int) -> bool:
        """Whether its chain is over, and, if it planned nothing the last time, something else is over or has begun."""
        if self.is_planning or (self.waits and self.asked_at == n_changes):
            return False
        return all(live.is_over() for live in self.live)


class _Driver:
    """The loop over all live stages: they share an executor, a lock and a desk."""

    def __init__(
        self,
        context: RunContext,
        planner: Planner,
        desk: Desk,
        over: Callable[[StageResult], None],
        between: Callable[[], None],
    ) -> None:
        self._between, self._planner = between, planner
        self._context, self._executor, self._desk, self._over = context, context.executor, desk, over
        self._live: list[LiveStage] = []
        self._lines = {number: _LineState(number) for number in range(planner.n_lines)}
        self._n_changes = 0
        self._n_slots, self._slots_read = 1, float("-inf")
        self._grouped_at: dict[str, float] = {}
        self._work_s: dict[str, float] = defaultdict(float)
        """By stage name: seconds for which the units of the stages so far would keep all slots busy."""

    @property
    def _n_in_flight(self) -> int:
        return sum(live.n_in_flight for live in self._live)

    def run(self) -> None:
        """Runs until every line has ended. Raises Drained if the run is asked to stop before that."""
        self._desk.begin()
        try:
            self._run()
        finally:
            self._commit(every=True)

    def _report(self) -> None:
        self._desk.take({id(live): live.status() for live in self._live}, self._slots())
        self._context.progress.show(self._desk.lines, self._desk.whole, self._desk.share_past)

    def _run(self) -> None:
        while self._lines:
            began = clock.now()
            went_on = self._advance()
            if self._desk.is_due:
                self._report()
            self._between()
            if self._desk.stop.is_due:
                self._drain()
            else:
                went_on |= self._fill() >= MOST_AT_ONCE
            self._desk.note_turn(clock.now() - began)
            self._handle_next(0.0 if went_on else PLAN_POLL_S if self._planner.is_busy else POLL_S)

    # lines

    def _advance(self) -> bool:
        """Resumes lines whose chains are over, and begins what was planned; returns whether there was any.

        Planning in this process may take a minute, so workers get what one line planned before another line plans.
        """
        began, went_on = clock.now(), False
        while self._resume_next() | self._begin_planned():  # going on may free another line
            went_on = True
            if clock.now() - began > POLL_S:
                break
        if self._lines and not (went_on or self._live or self._planner.is_busy):
            raise RuntimeError("every line waits for another")
        return went_on

    def _resume_next(self) -> bool:
        """Resumes the next line that can go on; returns whether there was one."""
        state = next((state for state in self._lines.values() if state.can_go_on(self._n_changes)), None)
        if state is None:
            return False
        results = [self._end(live) for live in state.live]
        state.live, state.is_planning, state.asked_at = [], True, self._n_changes
        self._planner.resume(state.number, results)
        return True

    def _begin_planned(self) -> bool:
        """Begins the chains that were planned by now; returns whether there were any."""
        planned = self._planner.planned()
        for number, chain in planned:
            if number not in self._lines:  # another line has begun it
                self._lines[number] = _LineState(number)
                self._n_changes += 1
            state = self._lines[number]
            state.is_planning = False
            self._desk.note_plan()
            if chain is None:
                del self._lines[number]
                self._n_changes += 1
            else:
                self._begin(state, chain)
        return bool(planned)

    def _begin(self, state: _LineState, chain: Chain) -> None:
        state.waits = not chain
        for stage, source in chain:
            self._executor.begin(stage, self._context.store)
            upstream = state.live[-1] if state.live else None
            state.live.append(LiveStage(stage, source, self._context, upstream))
        self._live += state.live

    def _end(self, live: LiveStage) -> StageResult:
        self._live.remove(live)
        self._n_changes += 1
        self._desk.end(id(live), live.status())
        result = live.end()
        log.log(logging.INFO if result.n_units else logging.DEBUG, "%s", describe_result(result))
        self._over(result)
        return result

    # units

    def _fill(self) -> int:
        """Submits units until every slot has its queue, or MOST_AT_ONCE, each time from the stage name that is furthest
        below its share; returns how many.

        Among stages of the same name the first to begin goes first, since the next plan waits for it; but a long unit
        of a later stage starts early enough to end together with the others of its stage (`_start_by`).
        """
        n = 0
        for live in self._live:
            if most := live.resources.max_in_flight:
                while n < MOST_AT_ONCE and live.n_in_flight < most and live.has_next():
                    live.submit_next()
                    n += 1
        sharing = [live for live in self._live if not live.resources.max_in_flight]
        in_flight = Counter({live.stage.name: 0 for live in sharing})
        for live in sharing:
            in_flight[live.stage.name] += live.n_in_flight
        most = max(LEAST, QUEUE * self._slots())
        while n < MOST_AT_ONCE and in_flight.total() - self._executor.n_without_slot < most:
            first = self._first_able(sharing)
            if not first:
                break
            live = min(first, key=lambda live: in_flight[live.stage.name] / live.resources.share)
            live.submit_next()
            in_flight[live.stage.name] += 1
            n += 1
        return n

    def _first_able(self, sharing: Sequence[LiveStage]) -> list[LiveStage]:
        """For each name, the stage whose next unit should start first, among those that have a unit to submit."""
        first: dict[str, tuple[float, LiveStage]] = {}
        for live in sharing:
            if live.has_next():
                start_by, name = self._start_by(live), live.stage.name
                if name not in first or start_by < first[name][0]:
                    first[name] = start_by, live
        return [live for _, live in first.values()]

    def _start_by(self, live: LiveStage) -> float:
        """When a stage's next unit should start, in seconds, if all slots worked through the stages of its name in
        turn.

        The same for all units if they have no expected duration.
        """
        if live.due_s < 0:
            self._work_s[live.stage.name] += live.expected_s / max(1, self._slots())
            live.due_s = self._work_s[live.stage.name]
        return live.due_s - live.next_expected_s

    def _slots(self) -> int:
        if clock.now() - self._slots_read > ASK_EVERY_S:
            self._n_slots, self._slots_read = self._executor.n_slots, clock.now()
        return self._n_slots

    def _handle_next(self, wait_s: float) -> None:
        """Handles the next attempt that ends, waiting for one at most `wait_s` seconds."""
        if self._n_in_flight:
            finished = self._executor.collect(wait_s)
            if finished:
                next(live for live in self._live if live.has_in_flight(finished)).handle(finished)
        elif due := [at for live in self._live if (at := live.next_at()) is not None]:
            clock.sleep(min(wait_s, max(0.0, min(due) - clock.now())))
        elif self._planner.is_busy:
            self._planner.wait(wait_s)
        elif any(live.is_listing for live in self._live):
            clock.sleep(min(wait_s, PLAN_POLL_S))
        self._commit()

    def _commit(self, *, every: bool = False) -> None:
        """Commits the units that ended, those of the same name together: now and then, or at once if a stage has no
        other unit to wait for.
        """
        ended: dict[str, list[LiveStage]] = {}
        for live in self._live:
            if live.waits_for_commit:
                ended.setdefault(live.stage.name, []).append(live)
        due = {
            name: stages
            for name, stages in ended.items()
            if every or self._is_group_due(name) or any(live.is_idle for live in stages)
        }
        if due:
            self._context.lock.check()  # once for all of them: it is a request
        for name, stages in due.items():
            commit_together(stages, self._context)
            self._grouped_at[name] = clock.now()
            self._desk.note_commit()

    def _is_group_due(self, name: str) -> bool:
        return clock.now() - self._grouped_at.get(name, float("-inf")) >= GROUP_S

    def _drain(self) -> None:
        """Lets units in flight end within the grace. Raises Drained unless nothing is left to do and no line plans."""
        stop = self._desk.stop
        if not (self._planner.is_busy or any(live.has_work() for live in self._live)):
            return
        for stage, n_dropped in self._executor.drop_queued().items():
            for live in self._live:
                if live.stage.name == stage:
                    n_own = min(live.n_in_flight, n_dropped)
                    live.n_in_flight, n_dropped = live.n_in_flight - n_own, n_dropped - n_own
        log.warning("stopping (%s): the %d that are in flight may end within the grace", stop.why, self._n_in_flight)
        while self._n_in_flight and stop.grace_left_s > 0:
            self._handle_next(POLL_S)
            if self._desk.is_due:
                self._report()
        self._commit(every=True)
        self._report()
        names = dict.fromkeys(live.stage.name for live in self._live)
        remains = {name: what_remains([live for live in self._live if live.stage.name == name]) for name in names}
        left = {name: words for name, words in remains.items() if words}
        if self._planner.is_busy:
            left["plans"] = "what was being planned is planned again"
        if left:
            words = "; ".join(left.values() if len(left) == 1 else (f"{name}: {said}" for name, said in left.items()))
            stages = ", ".join(left)
            raise Drained(f"{stages}: stopped on request ({stop.why}); {words}. Run the same command again to continue")
