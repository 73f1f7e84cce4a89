"""Where people meet the run: status.json out, the stop request in; checked between units."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import TracebackType

from manifests.errors import UserError, storage_errors
from manifests.exits import ExitCode
from manifests.lock import LockLost
from manifests.run_status import STATUS_NAME, RunStatus, StageStatus, State
from manifests.stages import n_units, rank_of
from manifests.time_left import left_in_words
from pipeline.engine.run import clock
from pipeline.engine.run.drain import StopRequest
from pipeline.engine.run.progress import RunProgress, log
from pipeline.engine.run.spending import FREE, Prices, Spending
from pipeline.engine.store.store import Store

TAKE_EVERY_S = 1.0
WRITE_EVERY_S = 5.0
BEAT_S = 15.0
"""A status that is older is written once more, so that a loop that waits for something long is not taken for dead. So
often a run also says where it is, unless a terminal shows it.
"""


class Desk:
    """Publishes the run's status, at most every few seconds, and knows whether the run is asked to stop.

    Stages with the same name (the batches of media) share one line: finished ones plus those under way. As a context
    manager it writes the final status (how the run ended), unless another run has taken over. With `publishes` false,
    as for a stage run on its own, it publishes nothing while it runs.
    """

    def __init__(
        self,
        store: Store,
        stop: StopRequest | None = None,
        *,
        publishes: bool = True,
        tell: Callable[[StageStatus], None] = lambda stage: None,
        tell_run: Callable[[RunStatus], None] = lambda status: None,
        prices: Prices = FREE,
        foresee: Callable[[Mapping[str, StageStatus]], float | None] = lambda lines: None,
    ) -> None:
        """`tell` is called with the combined status of the stages of a name whenever it is updated, `tell_run` with
        each status that is written. `foresee`: the seconds left, from those of all names.
        """
        self.publishes, self._tell, self._foresee = publishes, tell, foresee
        self._tell_run, self._spending = tell_run, Spending(prices)
        self.requests: dict[str, int] = {}
        self._lag_s = self._planned_at = self._committed_at = 0.0
        self._left_s: float | None = None
        self._progress: RunProgress | None = None
        self.rejects_in_force: dict[str, dict[str, int]] = {}
        self.ends_with: tuple[int, str] = (ExitCode.OK, "")
        """How a run that reaches its end has ended: its exit code, and why it is not 0."""
        self.stop = stop or StopRequest()
        self._store = store
        self._over: dict[str, StageStatus] = {}
        self._live: dict[int, StageStatus] = {}
        self._lines: dict[str, StageStatus] = {}
        self._active_s: dict[str, float] = {}
        self._has_begun = False
        self._started_at = time.time()
        self._taken = self._written = float("-inf")
        self._last: RunStatus | None = None
        self._ended = threading.Event()
        self._heart = threading.Thread(target=self._beat, name="status", daemon=True)

    def begin(self) -> None:
        """Loads, once, what earlier runs did of each stage."""
        if self._has_begun or not self.publishes:
            return
        self._has_begun = True
        self._spending.go_on(self._store)
        for name in sorted(self._store.stages(), key=rank_of):
            n_done = self._store.n_committed(name)
            before = dict(self._store.reject_counts(name))
            self._over[name] = StageStatus(stage=name, done_before=n_done, total=n_done, rejects_before=before)
            self._lines[name] = self._over[name]

    @property
    def lines(self) -> list[StageStatus]:
        """The combined status of each stage name so far."""
        return list(self._lines.values())

    @property
    def whole(self) -> str:
        """What is to be said of the whole run: what it does, if that is not to run, and the time left."""
        said: list[str] = [self._state()] if self._state() != "running" else []
        said += [] if self._left_s is None else [left_in_words(self._left_s)]
        return ", ".join(said)

    @property
    def share_past(self) -> float | None:
        """The share of the run's time that has passed, from 0 to 1; None if the time left is unknown."""
        past_s = time.time() - self._started_at
        return None if self._left_s is None else past_s / (past_s + self._left_s)

    @contextmanager
    def shown_by(self, progress: RunProgress) -> Iterator[None]:
        """While the block runs, these lines show the run, if there is a terminal."""
        self._progress = progress
        try:
            yield
        finally:
            self._progress = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to report the stages' progress again."""
        return clock.now() - self._taken > TAKE_EVERY_S

    def note_turn(self, busy_s: float) -> None:
        """Takes note of a turn of the driver's loop: how long it was busy, without what it waited."""
        self._lag_s = max(self._lag_s, busy_s)

    def note_plan(self) -> None:
        """Takes note that something was planned."""
        self._planned_at = round(time.time(), 3)

    def note_commit(self) -> None:
        """Takes note that units were committed."""
        self._committed_at = round(time.time(), 3)

    def take(self, live: Mapping[int, StageStatus], n_slots: int = 0) -> None:
        """Takes in the progress of the stages under way, by a number for each, and writes status.json now and then."""
        now = clock.now()
        self._spending.pass_time(now, n_slots)
        for name in {stage.stage for stage in self._live.values()}:
            self._active_s[name] = self._active_s.get(name, 0.0) + now - self._taken
        self._live, self._taken = dict(live), now
        for name in dict.fromkeys(stage.stage for stage in live.values()):
            self._say(name)
        if self.publishes and now - self._written > WRITE_EVERY_S:
            self._write(self._state())

    def end(self, number: int, stage: StageStatus) -> None:
        """Takes in the final status of a finished stage."""
        self._live.pop(number, None)
        before = self._over.get(stage.stage)
        self._over[stage.stage] = before.with_others([stage]) if before else stage
        self._say(stage.stage)

    def _say(self, name: str) -> None:
        """Recomputes the line of a name and reports it."""
        parts = [stage for stage in (self._over.get(name), *self._live.values()) if stage and stage.stage == name]
        line = parts[0].with_others(parts[1:])
        seconds = max(line.seconds, round(self._active_s.get(name, 0.0), 1))
        self._lines[name] = line.model_copy(update={"seconds": seconds})
        self._tell(self._lines[name])

    def __enter__(self) -> Desk:
        self._heart.start()
        return self

    def _beat(self) -> None:
        store = replace(self._store, patience_s=0.0)
        while not self._ended.wait(BEAT_S):
            if not (self._progress and self._progress.is_live):
                log.info("%s", self._where())
            last = self._last
            if last and time.time() - last.updated_at > BEAT_S:
                self._last = last.model_copy(update={"updated_at": round(time.time(), 3)})
                with suppress(*storage_errors()):  # the next beat tells again
                    store.write_sealed(STATUS_NAME, self._last.model_dump_json(indent=1).encode())

    def _where(self) -> str:
        """Where the run is, in a line: the stages under way, and the whole of it."""
        under_way = []
        for line in self.lines:
            if line.in_flight:
                n_done, of = line.done_before + line.done, f" of {line.total:,}" if line.total else ""
                counted = n_units(line.total or n_done, line.stage).partition(" ")[2]
                under_way.append(f"{line.stage} {n_done:,}{of} {counted} ({line.in_flight} in flight)")
        return "; ".join([", ".join(under_way) or "planning, or reading what is made", *filter(None, [self.whole])])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._heart.join()
        if isinstance(error, LockLost):
            return
        with suppress(*storage_errors()):  # a failure to write must not hide the error that ended the run
            code, detail = (_exit_code(error), str(error)) if error else self.ends_with
            self._write("ended", detail, code)

    def _state(self) -> State:
        return "draining" if self.stop.is_due else "running"

    def _write(self, state: State, detail: str = "", exit_code: int = 0) -> None:
        self._left_s = self._foresee(self._lines) if state == "running" else None
        status = RunStatus(
            state=state,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=round(self._started_at, 3),
            updated_at=round(time.time(), 3),
            detail=detail or self.stop.why,
            exit_code=exit_code,
            stages=tuple(self._lines.values()),
            rejects_in_force=self.rejects_in_force,
            time_left_s=self._left_s,
            loop_lag_s=round(self._lag_s, 3),
            planned_at=self._planned_at,
            committed_at=self._committed_at,
            requests=dict(self.requests),
            cost=self._spending.cost(sum(line.bytes for line in self._lines.values())),
            clips=self._spending.n_clips(self._store),
        )
        self._lag_s = 0.0
        self._store.write_sealed(STATUS_NAME, status.model_dump_json(indent=1).encode())
        self._last, self._written = status, clock.now()
        self._tell_run(status)


def _exit_code(error: BaseException) -> int:
    if isinstance(error, UserError):
        return error.exit_code
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.INTERNAL
