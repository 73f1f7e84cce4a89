"""CPU seconds by step: the cost of a video, for the commit's facts and the benches.

Steps are timed by the wall clock, and the CPU time that the process has spent since the last reckoning is divided among
them in proportion. Asking for CPU time at each of ten steps per frame would itself be a cost: it enters the kernel,
which on a busy machine then lets another program in, and frames leave the cache (5 % of everything at a load of 15).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

RECKON_EVERY_S = 0.05
"""Wall-clock interval between reckonings: steps that end within it share the CPU time spent in it."""


class Stopwatch:
    """Adds up CPU time of this process by step; time in a nested step counts only for that step."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._wall_s: dict[str, float] = {}
        self._reckoned, self._spent = time.perf_counter(), time.process_time()
        self._depth = 0
        self._inside = 0.0

    def __call__(self, step: str) -> _Step:
        """Returns a context manager: time spent inside counts for `step`."""
        return _Step(self, step)

    def each(self, step: str, items: Iterable[T]) -> Iterator[T]:
        """Yields the items; the time taken to make each counts for `step`."""
        iterator = iter(items)
        while True:
            with self(step):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    @property
    def seconds(self) -> dict[str, float]:
        """{step: CPU seconds} of steps that have ended."""
        self._reckon(time.perf_counter())
        return dict(self._seconds)

    def enter(self) -> float:
        """Begins a step inside the open ones. Returns how long the enclosing step's inner steps have taken so far."""
        self._depth += 1
        before, self._inside = self._inside, 0.0
        return before

    def leave(self, step: str, wall_s: float, inside_before: float, now: float) -> None:
        """Ends a step that took `wall_s`; `now` is the wall clock's time."""
        self._wall_s[step] = self._wall_s.get(step, 0.0) + wall_s - self._inside
        self._inside = inside_before + wall_s
        self._depth -= 1
        if not self._depth and now - self._reckoned > RECKON_EVERY_S:
            self._reckon(now)

    def _reckon(self, now: float) -> None:
        spent = time.process_time()
        passed_s = now - self._reckoned
        share = (spent - self._spent) / passed_s if passed_s > 0 else 0.0
        for step, wall_s in self._wall_s.items():
            self._seconds[step] = self._seconds.get(step, 0.0) + wall_s * share
        self._wall_s = {}
        self._reckoned, self._spent = now, spent


class _Step:
    """One use of a stopwatch. Used several times per frame, so a class: a generator takes three times as long."""

    __slots__ = ("_before", "_began", "_name", "_watch")

    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._before = self._watch.enter()
        self._began = time.perf_counter()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        now = time.perf_counter()
        self._watch.leave(self._name, now - self._began, self._before, now)
