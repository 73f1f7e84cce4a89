"""Where driver and people meet: status.json out, control.json in, a stop request; seen between two units."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from manifests.errors import UserError
from manifests.exits import ExitCode
from manifests.live import CONTROL_NAME, STATUS_NAME, Control, RunStatus, StageStatus, State
from pipeline.engine.drain import StopRequest
from pipeline.engine.lock import LockLost
from pipeline.engine.store import Store

WRITE_EVERY_S = 5.0
READ_EVERY_S = 5.0

Model = TypeVar("Model", bound=BaseModel)


class Desk:
    """The run's status as it is reported, and what was asked of it. `publish` writes at most every few seconds.

    As a context manager it writes the run's last word: how it ended, unless another run has taken over. One that does
    not publish writes nothing: that of a stage run on its own.
    """

    def __init__(
        self,
        store: Store,
        stop: StopRequest | None = None,
        *,
        publishes: bool = True,
        tell: Callable[[StageStatus], None] = lambda stage: None,
    ) -> None:
        """`tell` is given every word of how far a stage is."""
        self.publishes, self._tell = publishes, tell
        self.stop = stop or StopRequest()
        self._store = store
        self._stages: dict[str, StageStatus] = {}
        self._started_at = time.time()
        self._written = self._read = float("-inf")
        self._control = Control()

    @property
    def is_paused(self) -> bool:
        """Whether control.json asks for a pause, as of a few seconds ago."""
        if time.monotonic() - self._read > READ_EVERY_S:
            self._control, self._read = read_control(self._store), time.monotonic()
        return self._control.paused

    def publish(self, stage: StageStatus) -> None:
        """Takes up how far a stage is, and writes status.json where the last time was long enough ago."""
        self._stages.pop(stage.stage, None)
        self._stages[stage.stage] = stage
        self._tell(stage)
        if self.publishes and time.monotonic() - self._written > WRITE_EVERY_S:
            self._write(self._state())

    def __enter__(self) -> Desk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, LockLost):
            return
        with suppress(OSError):  # the error that ended the run is the one to show
            self._write("ended", str(error or ""), _exit_code(error))

    def _state(self) -> State:
        if self.stop.is_due:
            return "draining"
        return "paused" if self._control.paused else "running"

    def _write(self, state: State, detail: str = "", exit_code: int = 0) -> None:
        status = RunStatus(
            state=state,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=round(self._started_at, 3),
            updated_at=round(time.time(), 3),
            detail=detail or self.stop.why,
            exit_code=exit_code,
            stages=tuple(self._stages.values()),
        )
        self._store.write(STATUS_NAME, status.model_dump_json(indent=1).encode())
        self._written = time.monotonic()


def _exit_code(error: BaseException | None) -> int:
    if error is None:
        return ExitCode.OK
    if isinstance(error, UserError):
        return error.exit_code
    return ExitCode.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ExitCode.INTERNAL


def read_control(store: Store) -> Control:
    """What is asked of the run; nothing where the file is absent or damaged."""
    return _read(store, CONTROL_NAME, Control.model_validate_json) or Control()


def read_run_status(store: Store) -> RunStatus | None:
    """The run's own word; None where it has written none that can be read."""
    return _read(store, STATUS_NAME, RunStatus.model_validate_json)


def write_control(store: Store, control: Control) -> None:
    """Asks something of the run that works on this store."""
    store.write(CONTROL_NAME, control.model_dump_json().encode())


def _read(store: Store, name: str, parse: Callable[[bytes], Model]) -> Model | None:
    try:
        return parse(store.read(name))
    except (FileNotFoundError, ValidationError):
        return None
