"""What a driver costs on a virtual clock: processor time by whose it is, requests, standstills, memory, objects.

The clock advances by what is waited for, and by what the driver does: its processor time, the time its requests to the
store would take, and the time Ray takes from a driver for a task. What imagined workers do in this process is kept
apart, and so are merging and listing units, which threads do beside the loop. A plan made in a line counts or not
(`plans_count`): a run may plan beside its loop.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hdvila_testing.requests import Requests
from manifests.parallel import READERS
from pipeline.engine.run.memory import ARROW_POOL, LARGE_BYTES

TASK_S = 0.0025
"""What Ray takes from its driver for a task, seconds (`git show 57eb9b0f:bench/engine.py`)."""
PLANS, LISTS, MERGES = "plans", "lists", "merges"
"""Whose work is apart from the loop's. `LISTS`: of the thread that lists units for the loop."""
FREED_MEMORY_RETURNS = {ARROW_POOL: "system", "MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(LARGE_BYTES)}
"""What the program asks of its own process when it begins (`engine.run.memory`), by environment.

A bench imports Arrow as it begins, and threads may start with that: its code would ask too late.
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent: processor seconds, and requests one after the other."""

    cpu_s: float = 0.0
    n_requests: float = 0.0

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.cpu_s - other.cpu_s, self.n_requests - other.n_requests)

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.cpu_s + other.cpu_s, self.n_requests + other.n_requests)


@dataclass(slots=True)
class Accounts:
    """A Clock (`pipeline.engine.run.clock`), and the accounts by which it goes."""

    requests: Requests
    latency_s: float = 0.0
    """Of a request, in the mean."""
    plans_count: bool = False
    n_tasks: int = 0
    apart: dict[str, Spent] = field(default_factory=dict)
    """By whose it is, all that is not the loop's."""
    standstills_s: list[float] = field(default_factory=list)
    """Between each two looks at the executor, without plans."""
    plans_s: list[float] = field(default_factory=list)
    """Of each plan made in a line: its processor time and requests."""
    _jumped: float = 0.0
    _began: Spent = field(default_factory=Spent)
    _others: Spent = field(default_factory=Spent)
    """The sum of `apart`."""
    _inside: bool = False

    def __post_init__(self) -> None:
        self._began = self._all()

    # the clock

    def now(self) -> float:
        """Seconds since it was made."""
        loop = self.loop
        counted = loop + self.apart.get(PLANS, Spent()) if self.plans_count else loop
        return self._jumped + self._seconds(counted) + self.n_tasks * TASK_S

    def sleep(self, seconds: float) -> None:
        """Jumps ahead."""
        self._jumped += max(0.0, seconds)

    # the accounts

    def _all(self) -> Spent:
        of_main = self.requests.n_of("MainThread")
        return Spent(time.process_time(), of_main + (self.requests.n - of_main) / READERS)

    def _seconds(self, spent: Spent) -> float:
        return spent.cpu_s + spent.n_requests * self.latency_s

    @property
    def loop(self) -> Spent:
        """What the loop itself has spent."""
        return self._all() - self._began - self._others

    @contextmanager
    def of(self, whose: str) -> Iterator[None]:
        """What the block spends is not the loop's. A block inside another is the outer one's."""
        if self._inside:
            yield
            return
        self._inside, before = True, self._all()
        try:
            yield
        finally:
            self._inside = False
            spent = self._all() - before
            self.apart[whose] = self.apart.get(whose, Spent()) + spent
            self._others += spent
            if whose == PLANS:
                self.plans_s.append(self._seconds(spent))

    def loop_s(self) -> float:
        """Seconds that the loop has spent, by this clock, without plans and waiting."""
        return self._seconds(self.loop) + self.n_tasks * TASK_S


@dataclass(frozen=True, slots=True)
class Sample:
    """The state of a run at some moment. Seconds are processor time since its begin; requests those of the driver."""

    hours: float
    n_videos: int
    loop_s: float
    plans_s: float
    merges_s: float
    own_s: float
    mb: float
    n_requests: int
    n_merge_requests: int
    n_objects: int
    n_loose: int
    p99_s: float
    longest_s: float
    longest_plan_s: float


def own_mb() -> float:
    """The memory of this process, except pages of mapped files, which the machine can take back at any time."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024


def objects_in(folder: Path) -> Counter[str]:
    """Files by the first folder on their path; packs' and shards' tars are not written here."""
    counts: Counter[str] = Counter()
    for path, _, files in os.walk(folder):
        counts[Path(path).relative_to(folder).parts[0] if Path(path) != folder else ""] += len(files)
    return counts


def percentile(values: Sequence[float], q: float) -> float:
    """A percentile; 0 of nothing."""
    return float(np.percentile(values, q)) if values else 0.0
