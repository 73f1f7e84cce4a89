"""Imagined workers: an Executor whose units take virtual time, straggle, and are lost with their worker or machine.

A unit of the crawl runs on machines of its own, as many as the driver lets run; all other units share the slots. What a
unit makes is written when its end is collected.
"""

import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bench.world.accounts import Accounts
from bench.world.work import Work
from manifests.hashing import hash_name
from manifests.run_status import RunStatus, StageStatus
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome
from pipeline.engine.work.executor import Finished, SharedHere
from pipeline.engine.work.part_units import ids_of
from pipeline.engine.work.unit import Stage, Unit

MINUTE_S = 60.0


class Ended(BaseException):
    """The driver was to end here, as if it were killed."""


@dataclass(order=True, slots=True)
class _Running:
    ends_at: float
    number: int
    began_at: float = field(compare=False)
    slot: int = field(compare=False)
    """-1: on a machine of the crawl."""
    finished: Finished = field(compare=False)


class Cluster:
    """See the module. `seen` is called after each attempt that ended; it may raise."""

    def __init__(
        self, n_workers: int, accounts: Accounts, work: Work, *, seen: Callable[[Finished], None], seed: int = 0
    ) -> None:
        self.n_slots, self.n_without_slot = n_workers, 0
        self.accounts, self.seen = accounts, seen
        self.busy_s: list[float] = []
        """By minute: seconds that slots spent on attempts that succeeded."""
        self.lost_s, self.ends, self.last_began, self.first_began = 0.0, Counter[End](), 0.0, -1.0
        self._work, self._of = work, work.world.distribution
        self._seed, self._rng = seed, np.random.default_rng([seed, 3])
        self._stages: dict[str, tuple[Stage, Store]] = {}
        self._running: list[_Running] = []
        self._ended: deque[_Running] = deque()
        self._queue: deque[tuple[str, Unit, int, float]] = deque()
        self._free = list(range(n_workers))
        self._nodes = [self._next_loss(0.0) for _ in range(-(-n_workers // self._of.slots_a_node))]
        self._numbers = itertools.count()
        self._looked_at = -1.0

    def _next_loss(self, after: float) -> float:
        return after + float(self._rng.exponential(3600 * self._of.node_hours))

    def begin(self, stage: Stage, store: Store) -> None:
        """See Executor."""
        self._stages[stage.name] = stage, store

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        """See Executor. A unit that is fetched first is two tasks."""
        self.accounts.n_tasks += 2 if unit.is_fetched else 1
        with self.accounts.of("workers"):
            now = self.accounts.now()
            if self._stages[stage][0].resources.n_cpus < 1:
                self._begin(stage, unit, attempt, now, -1)
                return
            self._queue.append((stage, unit, attempt, now))
            self._fill(now)

    def _fill(self, at: float) -> None:
        """Gives queued units to free slots, from a time on that may be past."""
        while self._queue and self._free:
            stage, unit, attempt, since = self._queue.popleft()
            self._begin(stage, unit, attempt, max(at, since), self._free.pop())

    def _begin(self, stage: str, unit: Unit, attempt: int, at: float, slot: int) -> None:
        if unit.part is not None:  # the driver has not read which videos these are
            unit = replace(unit, ids=ids_of(unit, self._stages[stage][1]))
        host = f"node{slot // self._of.slots_a_node}" if slot >= 0 else "crawl"
        takes_s, outcome = self._work.seconds(stage, unit), Outcome(End.DONE, host=host)
        straggles, dies, when = self._drawn(f"{stage} {unit.name} {attempt}")
        if straggles < self._of.straggling and slot >= 0:
            takes_s *= self._of.straggler_factor
        if unit.time_limit_s and takes_s > unit.time_limit_s:
            takes_s, outcome = unit.time_limit_s, Outcome(End.TIMEOUT, detail="drawn", host=outcome.host)
        if dies < self._of.lost:
            takes_s *= when
            outcome = Outcome(End.LOST, detail="drawn", host=outcome.host)
        if slot >= 0:
            node = slot // self._of.slots_a_node
            while self._nodes[node] < at:
                self._nodes[node] = self._next_loss(self._nodes[node])
            if self._nodes[node] < at + takes_s:
                takes_s, outcome = self._nodes[node] - at, Outcome(End.TAKEN, detail="drawn", host=host)
            if stage == "media":
                self.last_began = max(self.last_began, at)
                self.first_began = at if self.first_began < 0 else self.first_began
        finished = Finished(stage, unit, attempt, outcome)
        heapq.heappush(self._running, _Running(at + takes_s, next(self._numbers), at, slot, finished))

    def _drawn(self, attempt: str) -> tuple[float, float, float]:
        """Three numbers from 0 to 1 for an attempt, the same in every run."""
        drawn = hash_name(self._seed, "attempt", attempt)
        return drawn % 2**21 / 2**21, (drawn >> 21) % 2**21 / 2**21, (drawn >> 42) % 2**21 / 2**21

    def _catch_up(self, now: float) -> None:
        """Lets happen what happened by now: attempts that ended, and others that began in their slots."""
        while self._running and self._running[0].ends_at <= now:
            one = heapq.heappop(self._running)
            self._ended.append(one)
            if one.slot >= 0:
                self._free.append(one.slot)
                self._fill(one.ends_at)

    def collect(self, timeout_s: float) -> Finished | None:
        """See Executor. Jumps to the next end of an attempt, but no further than the timeout."""
        if self._looked_at >= 0:
            self.accounts.standstills_s.append(self.accounts.loop_s() - self._looked_at)
        with self.accounts.of("workers"):
            finished = self._next(timeout_s)
            if finished:
                finished = self._worked(finished)
        self._looked_at = self.accounts.loop_s()
        return finished

    def _next(self, timeout_s: float) -> Finished | None:
        now = self.accounts.now()
        self._catch_up(now)
        if not self._ended:
            until = min(now + timeout_s, self._running[0].ends_at if self._running else now + timeout_s)
            self.accounts.sleep(until - now)
            self._catch_up(max(until, self.accounts.now()))
        if not self._ended:
            return None
        one = self._ended.popleft()
        self._count(one)
        return one.finished

    def _count(self, one: _Running) -> None:
        self.ends[one.finished.outcome.end] += 1
        if one.slot < 0:
            return
        if one.finished.outcome.end is not End.DONE:
            self.lost_s += one.ends_at - one.began_at
            return
        at = one.began_at
        while at < one.ends_at:
            minute = int(at // MINUTE_S)
            until = min(one.ends_at, (minute + 1) * MINUTE_S)
            self.busy_s.extend([0.0] * (minute + 1 - len(self.busy_s)))
            self.busy_s[minute] += until - at
            at = until

    def _worked(self, finished: Finished) -> Finished:
        """What a worker leaves behind when its attempt ended."""
        outcome = finished.outcome
        if outcome.end is End.DONE:
            stage, store = self._stages[finished.stage]
            facts = {**self._work.make(stage, finished.unit, store, finished.attempt), "seconds": 1.0}
            outcome = Outcome(End.DONE, host=outcome.host, facts=facts)  # type: ignore[arg-type]
        done = Finished(finished.stage, finished.unit, finished.attempt, outcome)
        self.seen(done)
        return done

    def busy(self) -> float:
        """Share of the slots' time that succeeded, from the first unit of media that began to the last."""
        first, last = int(self.first_began // MINUTE_S) + 1, int(self.last_began // MINUTE_S)
        return sum(self.busy_s[first:last]) / (self.n_slots * MINUTE_S * max(1, last - first))

    def looks_away(self) -> None:
        """The loop is not under way: no standstill is counted until it looks again."""
        self._looked_at = -1.0

    def fence(self, node: str) -> bool:
        """See Executor."""
        return True

    def drop_queued(self) -> dict[str, int]:
        """See Executor."""
        dropped = Counter(stage for stage, *_ in self._queue)
        self._queue.clear()
        return dict(dropped)

    def cancel_all(self) -> None:
        """See Executor."""
        now = self.accounts.now()
        self.lost_s += sum(now - one.began_at for one in self._running if one.slot >= 0)
        for left in (self._queue, self._running, self._ended):
            left.clear()
        self._free = list(range(self.n_slots))

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Executor. Nobody asks it anything."""
        return SharedHere(build())

    def spread(self, work: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        """See Executor. The workers do it at the same time; the driver waits for them."""
        for item in items:
            with self.accounts.of("searches"):
                done = work(item)
            yield done

    def measure(self, status: StageStatus) -> None:
        """See Executor."""

    def measure_run(self, status: RunStatus) -> None:
        """See Executor."""

    def close(self) -> None:
        """See Executor."""
