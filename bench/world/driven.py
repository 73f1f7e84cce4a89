"""A run on an imagined cluster, whose plans and merges have accounts of their own.

Plans are made here when they are asked for. As in a run on a cluster they hold the loop up for nothing: they take
virtual time of a planning process, one plan after another, and are there when it has passed. Where plans are to be made
in the loop, as in a run without a cluster, the clock has advanced by them and they are there at once.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from bench.world.accounts import LISTS, PLANS, Accounts
from bench.world.cluster import Cluster
from pipeline.engine.run import clock
from pipeline.engine.run.lines import Chain, Line, LinesHere, ListedHere, StageResult
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import PerPart, Stage, Unit
from pipeline.run.session import Run, Session


class WatchedSession(Session):
    """A Session on an imagined cluster."""

    __slots__ = ()

    def run(self) -> Run:
        """The run for a recipe; like a planning process it has a store, with caches, of its own."""
        return Run(self.config, replace(self.store), self.lock.held, self)

    def complete_lines(self, lines: Sequence[Line]) -> None:
        """See Session."""
        cluster: Any = self.executor
        cluster.looks_away()
        if self.units is None:  # as beside a planning process: a thread reads what is committed, and lists new parts
            self.units = UnitsSoFar(self.store, InlinePool(cluster.accounts, LISTS))
            with cluster.accounts.of(LISTS):
                self.units.load()
        try:
            self.run_planned(Plans(lines, self.store, cluster))
        finally:
            cluster.looks_away()


class Plans:
    """A Planner; see the module."""

    def __init__(self, lines: Sequence[Line], store: Store, cluster: Cluster) -> None:
        self.n_lines = len(lines)
        self._here, self._store, self._accounts = LinesHere(lines), replace(store), cluster.accounts
        self._ready: deque[tuple[float, int, Chain | None]] = deque()
        self._free_at = 0.0

    @property
    def is_busy(self) -> bool:
        """See Planner."""
        return bool(self._ready)

    def resume(self, line: int, results: list[StageResult]) -> None:
        """See Planner."""
        with self._accounts.of(PLANS):
            self._here.resume(line, results)
            planned = [
                (number, None if chain is None else [(stage, self._listed(stage)) for stage, _ in chain])
                for number, chain in self._here.planned()
            ]
        now = clock.now()
        if not self._accounts.plans_count:
            self._free_at = max(self._free_at, now) + self._accounts.plans_s[-1]
        self._ready += [(self._free_at, number, chain) for number, chain in planned]

    def _listed(self, stage: Stage) -> ListedHere | None:
        """The units that a stage has now, listed with the plan; None if it works on parts, which the driver commits."""
        if isinstance(stage, PerPart):
            return None
        first: list[Iterable[Unit]] = [stage.units(self._store)]
        if not isinstance(first[0], Sequence):
            first[0] = iter(list(first[0]))
        return ListedHere(lambda: first.pop() if first else stage.units(self._store))

    def planned(self) -> list[tuple[int, Chain | None]]:
        """See Planner."""
        planned: list[tuple[int, Chain | None]] = []
        while self._ready and self._ready[0][0] <= clock.now():
            _, line, chain = self._ready.popleft()
            planned.append((line, chain))
        return planned

    def wait(self, seconds: float) -> None:
        """See Planner."""
        if self._ready:
            clock.sleep(min(seconds, max(0.0, self._ready[0][0] - clock.now())))

    def close(self) -> None:
        """See Planner."""
        self._here.close()


class InlinePool(ThreadPoolExecutor):
    """A thread's work, done at once and put to an account of its own: it keeps up with virtual time."""

    def __init__(self, accounts: Accounts, whose: str) -> None:
        super().__init__(1)
        self._accounts, self._whose = accounts, whose

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Does the work here."""
        done: Future[Any] = Future()
        with self._accounts.of(self._whose):
            done.set_result(work(*args, **kwargs))
        return done
