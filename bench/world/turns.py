"""Threads on one virtual clock: one runs at a time, and when it waits the clock jumps to whoever is due next.

Real code that waits for its turn at a site (politeness, pauses, second tries) can so be run for a week in minutes, and
the same way each time.
"""

from __future__ import annotations

import heapq
import inspect
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from manifests.run_status import RunStatus, StageStatus
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import attempt_unit
from pipeline.engine.work.executor import Finished
from pipeline.engine.work.unit import Stage, Unit


class Gone(BaseException):
    """The thread is no longer wanted: its run has ended."""


class Turns:
    """A clock whose time passes only while all its threads wait. `began`: seconds since 1970 at its zero."""

    def __init__(self, began: float) -> None:
        self.began, self.at = began, 0.0
        self._waiting: list[tuple[float, int, threading.Event]] = []
        self._number = itertools.count()
        self._members = {threading.get_ident()}
        self._owner: threading.Event | None = None
        self._is_ending = False

    def now(self) -> float:
        """Seconds since its zero."""
        return self.at

    def wall(self) -> float:
        """Seconds since 1970."""
        return self.began + self.at

    def sleep(self, seconds: float) -> None:
        """Lets the others go on until this thread is due."""
        self._wait(threading.Event(), seconds)
        if self._is_ending and threading.current_thread() is not threading.main_thread():
            raise Gone

    def rest(self, seconds: float) -> None:
        """The same for the driver, which `wake` ends early."""
        self._owner = threading.Event()
        self._wait(self._owner, seconds)
        self._owner = None

    def wake(self) -> None:
        """Lets the driver go on at this moment, if it rests."""
        if self._owner:
            self._due(self._owner, 0.0)

    def _due(self, turn: threading.Event, seconds: float) -> None:
        heapq.heappush(self._waiting, (self.at + max(0.0, seconds), next(self._number), turn))

    def _wait(self, turn: threading.Event, seconds: float) -> None:
        self._due(turn, seconds)
        self._pass_on()
        turn.wait()

    def _pass_on(self) -> None:
        while True:
            at, _, turn = heapq.heappop(self._waiting)
            if not turn.is_set():  # else it was woken before
                break
        self.at = max(self.at, at)
        turn.set()

    def start(self, work: Callable[[], None]) -> None:
        """Begins work in a thread of its own, which gets its first turn at this moment."""
        turn = threading.Event()

        def in_turn() -> None:
            turn.wait()
            self._members.add(threading.get_ident())
            try:
                if not self._is_ending:
                    work()
            except Gone:
                pass
            finally:
                self._members.discard(threading.get_ident())
                self._pass_on()

        self._due(turn, 0.0)
        threading.Thread(target=in_turn, daemon=True).start()

    def end_others(self) -> None:
        """Ends the threads that were started, wherever they wait."""
        self._is_ending = True
        self._waiting = [(self.at, number, turn) for _, number, turn in self._waiting if not turn.is_set()]
        while self._waiting:
            self.sleep(0.0)
        self._is_ending = False

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """In the block, `time` is this clock's for its threads; the others (of the store, of Arrow) keep the machine's
        `monotonic` and `sleep`.
        """
        machine: dict[str, Callable[..., Any]] = {"monotonic": time.monotonic, "sleep": time.sleep}
        own: dict[str, Callable[..., Any]] = {"monotonic": self.now, "sleep": self.sleep}

        def ours_or_the_machines(name: str) -> Callable[..., Any]:
            def call(*args: Any) -> Any:
                return (own if threading.get_ident() in self._members else machine)[name](*args)

            return call

        clocks: dict[str, Any] = {"time": self.wall, **{name: ours_or_the_machines(name) for name in own}}
        with mock.patch.multiple(time, **clocks):
            yield


class Workers:
    """An Executor whose units run in threads on a virtual clock. `seen` is called for each attempt that ended."""

    n_without_slot = 0
    LOOK_EVERY_S = 60.0
    """Between two looks of the driver, if nothing ends: it has no clock of its own to watch here."""

    def __init__(self, turns: Turns, n_slots: int, scratch: Path, seen: Callable[[Finished], None]) -> None:
        self.n_slots = n_slots
        self._turns, self._scratch, self._seen = turns, scratch, seen
        self._stages: dict[str, tuple[Stage, Store]] = {}
        self._ended: deque[Finished] = deque()

    def begin(self, stage: Stage, store: Store) -> None:
        """See Executor."""
        self._stages[stage.name] = stage, store

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        """See Executor. The unit begins at once."""
        its, store = self._stages[stage]

        def work() -> None:
            outcome = attempt_unit(its, unit, store, self._scratch, attempt)
            self._ended.append(Finished(stage, unit, attempt, outcome))
            self._turns.wake()

        self._turns.start(work)

    def collect(self, timeout_s: float) -> Finished | None:
        """See Executor."""
        if not self._ended:
            self._turns.rest(max(timeout_s, self.LOOK_EVERY_S))
        if not self._ended:
            return None
        finished = self._ended.popleft()
        self._seen(finished)
        return finished

    def fence(self, node: str) -> bool:
        """See Executor."""
        return False

    def drop_queued(self) -> dict[str, int]:
        """See Executor. None is queued."""
        return {}

    def cancel_all(self) -> None:
        """See Executor."""
        self._turns.end_others()
        self._ended.clear()

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Executor."""
        return SharedInTurns(build())

    def measure(self, status: StageStatus) -> None:
        """See Executor."""

    def measure_run(self, status: RunStatus) -> None:
        """See Executor."""

    def close(self) -> None:
        """See Executor."""


class SharedInTurns:
    """An object whose async methods wait by the virtual clock (`asyncio.sleep` is its `sleep`), so never for a loop."""

    def __init__(self, shared: Any) -> None:
        self._shared = shared

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._shared, name)
        if not inspect.iscoroutinefunction(method):
            return method

        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                method(*args, **kwargs).send(None)
            except StopIteration as returned:
                return returned.value
            raise AssertionError(f"{name} waits for something else than the clock")

        return call
