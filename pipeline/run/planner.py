"""The planning process of a run on a cluster: here the recipe runs, from top to bottom, beside the driver's loop.

Plans read tables of millions of rows, which may take minutes. Meanwhile the driver gives out units, commits them, tells
of its progress and hears signals. What is planned is recorded before it is sent; the driver ends this process at any
moment, and so may anything else.
"""

import logging
import logging.handlers
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from manifests.errors import UserError
from pipeline.engine.run.lines import Chain, Line, LinesHere
from pipeline.engine.run.memory import return_freed_memory, return_large_blocks
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import PerPart, Stage, Unit
from pipeline.run import plan_messages
from pipeline.run.session import Run

PIECE_UNITS, PIECE_S = 500, 1.0
"""Units that are listed one by one are sent as soon as there are so many, or after so many seconds."""
LOOK_EVERY_S = 1.0


def main(file_number: int) -> None:
    """Carries out the job that comes over a connection. The driver hears signals, and ends this process."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    return_freed_memory()
    return_large_blocks()
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    wire = plan_messages.Wire(Connection(file_number))
    job: plan_messages.Job = wire.receive()
    _log_to(wire, job.level)
    sys.excepthook = lambda kind, error, trace: _tell(wire, error)
    store = replace(job.store, patience_s=job.patience_s)
    wire.send(plan_messages.Made(job.recipe(Run(job.config, store, job.held, _Driver(wire, store)))))


def _end_with(driver: int) -> None:
    """Ends this process once the driver's is gone: another run may have taken over."""
    while os.getppid() == driver:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)


def _log_to(wire: plan_messages.Wire, level: int) -> None:
    class ToDriver(logging.handlers.QueueHandler):
        def enqueue(self, record: logging.LogRecord) -> None:
            wire.send(plan_messages.Said(record))

    log = logging.getLogger("hdvila")
    log.handlers, log.propagate = [ToDriver(None)], False  # type: ignore[arg-type]  # enqueue needs no queue
    log.setLevel(level)


def _tell(wire: plan_messages.Wire, error: BaseException) -> None:
    """Sends what ended the recipe; if the driver is gone, there is nobody to tell."""
    with suppress(OSError):
        wire.send(plan_messages.Failed(_as_sent(error)))


def _as_sent(error: BaseException) -> BaseException:
    """An error that can be sent; with the traceback, unless it is for a person to mend."""
    said = "".join(traceback.format_exception(error)).rstrip()
    if not isinstance(error, UserError):
        error.add_note(said)
    try:
        pickle.loads(pickle.dumps(error))
    except (pickle.PicklingError, AttributeError, TypeError):  # what pickle and the error's own code raise
        return RuntimeError(said)
    return error


class _Driver:
    """The driver as the recipe sees it from here."""

    def __init__(self, wire: plan_messages.Wire, store: Store) -> None:
        self._wire, self._store = wire, store
        self._waiting: deque[Any] = deque()
        self._sources: dict[tuple[int, int], _Source] = {}

    def complete_lines(self, lines: Sequence[Line]) -> None:
        """Plans for the driver until all lines have ended."""
        here, n_left = LinesHere(lines), len(lines)
        self._wire.send(plan_messages.Begin(n_left))
        while n_left:
            match self._next():
                case plan_messages.Resume(line, results):
                    here.resume(line, results)
                    planned = here.planned()
                    n_left += len(planned) - 1  # one is this line's, the others are of lines that it began
                    for number, chain in planned:
                        self._wire.send(
                            plan_messages.Planned(number, None if chain is None else self._listed(number, chain))
                        )
                        n_left -= chain is None
                case plan_messages.More(number, anew):
                    self._wire.send(self._sources[number].next_piece(anew=anew))

    def _listed(self, line: int, chain: Chain) -> list[tuple[Stage, plan_messages.Piece | None]]:
        """The stages of a line's chain with their first units; None for one that works on parts, which the driver
        commits itself. The line's last chain is over, and forgotten.
        """
        self._sources = {number: source for number, source in self._sources.items() if number[0] != line}
        listed: list[tuple[Stage, plan_messages.Piece | None]] = []
        for place, (stage, _) in enumerate(chain):
            source = None if isinstance(stage, PerPart) else _Source((line, place), stage, self._store)
            if source:
                self._sources[line, place] = source
            listed.append((stage, source.next_piece(anew=True) if source else None))
        return listed

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Driver."""
        self._wire.send(plan_messages.Share(name, build))
        return plan_messages.SharedThere(name, self._call)

    def show_rejects(self, counts: dict[str, dict[str, int]]) -> None:
        """See Driver."""
        self._wire.send(plan_messages.Rejects(counts))

    def _call(self, call: plan_messages.Call) -> Any:
        self._wire.send(call)
        while not isinstance(message := self._wire.receive(), plan_messages.Answer):
            self._waiting.append(message)
        if message.error is not None:
            raise message.error
        return message.value

    def _next(self) -> Any:
        return self._waiting.popleft() if self._waiting else self._wire.receive()


class _Source:
    """The units of a stage, as they are asked for."""

    def __init__(self, number: tuple[int, int], stage: Stage, store: Store) -> None:
        self._number, self._stage, self._store = number, stage, store
        self._left: Iterator[Unit] = iter(())

    def next_piece(self, *, anew: bool) -> plan_messages.Piece:
        """The next units; `anew`: of a new list."""
        if anew:
            units = self._stage.units(self._store)
            if isinstance(units, Sequence):
                return plan_messages.Piece(self._number, units, is_last=True, is_whole=True)
            self._left = iter(units)
        listed: list[Unit] = []
        until = time.monotonic() + PIECE_S
        for unit in self._left:
            listed.append(unit)
            if len(listed) == PIECE_UNITS or time.monotonic() > until:
                return plan_messages.Piece(self._number, listed, is_last=False)
        return plan_messages.Piece(self._number, listed, is_last=True)
