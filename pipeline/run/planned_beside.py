"""The driver's side of a run that is planned in a process of its own (`planner.py`)."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import TYPE_CHECKING, Any

from pipeline.engine.run.drain import Drained
from pipeline.engine.run.driver import POLL_S
from pipeline.engine.run.lines import Chain, StageResult
from pipeline.engine.run.memory import return_large_blocks
from pipeline.engine.run.stage_run import RunStopped
from pipeline.engine.run.units_so_far import UnitsSoFar
from pipeline.engine.work.unit import Unit
from pipeline.run import plan_messages

if TYPE_CHECKING:
    from pipeline.run.session import Run, Session

log = logging.getLogger("hdvila")

AHEAD_UNITS = 100
"""More units are asked for when fewer than this many are left here."""
START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pipeline.run.planner import main; "
    "main(int(sys.argv[2]))"
)


def plan_beside(session: Session, recipe: Callable[[Run], Any]) -> Any:
    """Runs a recipe in a process of its own, and here what it plans; returns what the recipe returns.

    Raises what it raises; Drained if the run is asked to stop while nothing but a plan is under way, and RunStopped if
    the process dies.
    """
    return_large_blocks()
    level, store = log.getEffectiveLevel(), session.store
    job = plan_messages.Job(recipe, session.config, store, store.patience_s, session.lock.held, level)
    with PlannerProcess(session, job) as planner:
        while not planner.is_over:
            planner.wait(POLL_S)
            while planner.next_lines():
                session.run_planned(planner)
            _tell(session)
        return planner.made


def _tell(session: Session) -> None:
    """Tells `status` that the run is alive while no stage is under way. Raises Drained once a stop's grace is over."""
    if session.desk.is_due:
        session.desk.take({})
    stop = session.desk.stop
    if stop.is_due and not stop.grace_left_s:
        raise Drained(
            f"stopped on request ({stop.why}) during a plan; what is committed is kept. Run the same command again to "
            "continue"
        )


class PlannerProcess:
    """A planner (engine/run/lines.py) in another process, which is ended with the block."""

    def __init__(self, session: Session, job: plan_messages.Job) -> None:
        self.n_lines = 0
        self._begun: deque[int] = deque()
        self.is_over, self.made = False, None
        self._session, self._job = session, job
        self._planning: set[int] = set()
        self._calls = ThreadPoolExecutor(1, thread_name_prefix="planner-calls")
        self._lists = ThreadPoolExecutor(1, thread_name_prefix="units")
        self._chains: list[tuple[int, Chain | None]] = []
        self._sources: dict[tuple[int, int], ListedThere] = {}

    def __enter__(self) -> PlannerProcess:
        here, there = socket.socketpair()
        with there:
            command = [sys.executable, "-c", START, json.dumps(sys.path), str(there.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL)
        self._wire = plan_messages.Wire(Connection(here.detach()), self._session.shared)
        self._send(self._job)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._wire.close()
        for pool in (self._calls, self._lists):
            pool.shutdown(wait=False, cancel_futures=True)

    @property
    def is_busy(self) -> bool:
        """See Planner."""
        return bool(self._planning) or any(source.is_awaited for source in self._sources.values())

    def resume(self, line: int, results: list[StageResult]) -> None:
        """See Planner."""
        self._planning.add(line)
        self._sources = {number: source for number, source in self._sources.items() if number[0] != line}
        self._send(plan_messages.Resume(line, results))

    def planned(self) -> list[tuple[int, Chain | None]]:
        """See Planner."""
        self.wait(0.0)
        chains, self._chains = self._chains, []
        return chains

    def wait(self, seconds: float) -> None:
        """See Planner. Takes in all that was sent by then. Raises what the recipe raised."""
        while self._wire.is_ready(seconds):
            try:
                self._take(self._wire.receive())
            except EOFError:
                raise RunStopped(self._how_it_died()) from None
            if self.is_over:
                return
            seconds = 0.0

    def next_lines(self) -> bool:
        """Turns to the next lines that are to run side by side, if the recipe has come to any."""
        self.n_lines = self._begun.popleft() if self._begun else 0
        return bool(self.n_lines)

    def _load_units(self) -> None:
        """Reads, once, which units are committed, from when nothing is taken back any more; the run stays alive."""
        if self._session.units is not None:
            return
        self._session.units = UnitsSoFar(self._session.store, self._lists)
        loaded = self._lists.submit(self._session.units.load)
        while not wait([loaded], POLL_S).done:
            _tell(self._session)
        loaded.result()

    def close(self) -> None:
        """See Planner: all lines have ended, or the process is about to be."""

    def _send(self, message: object) -> None:
        try:
            self._wire.send(message)
        except OSError:
            raise RunStopped(self._how_it_died()) from None

    def _how_it_died(self) -> str:
        code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        cure = "the machine may have run out of memory: look there first. " if code == -signal.SIGKILL else ""
        return f"the planning process died ({how}); {cure}What is committed is kept: run the same command again"

    def _take(self, message: Any) -> None:
        match message:
            case plan_messages.Said(record):
                logging.getLogger(record.name).handle(record)
            case plan_messages.Share(name, build):
                self._session.share(name, build)
            case plan_messages.Call():  # may take long, and the loop goes on
                self._calls.submit(self._called, message).add_done_callback(self._answer)
            case plan_messages.Rejects(counts):
                self._session.show_rejects(counts)
            case plan_messages.Begin(n_lines):
                self._begun.append(n_lines)
                self._load_units()
            case plan_messages.Planned(line, chain):
                self._planning.discard(line)
                self._chains.append((line, None if chain is None else [(s, self._source_of(p)) for s, p in chain]))
            case plan_messages.Piece(number):
                self._sources[number].take_in(message)
            case plan_messages.Made(value):
                self.is_over, self.made = True, value
            case plan_messages.Failed(error):
                raise error

    def _called(self, call: plan_messages.Call) -> Any:
        return getattr(self._session.shared[call.shared], call.method)(*call.args, **call.kwargs)

    def _answer(self, called: Future[Any]) -> None:
        error = called.exception()
        with suppress(OSError):  # it has died, which the loop notices
            self._wire.send(plan_messages.Answer(error=error) if error else plan_messages.Answer(called.result()))

    def _source_of(self, piece: plan_messages.Piece | None) -> ListedThere | None:
        if piece is None:
            return None
        self._sources[piece.source] = ListedThere(piece, self._send)
        return self._sources[piece.source]


class ListedThere:
    """Units that the planning process lists, fetched some at a time; the first come with the plan."""

    def __init__(self, first: plan_messages.Piece, send: Callable[[object], None]) -> None:
        self.is_listing = self.is_awaited = False
        self._number, self._send = first.source, send
        self._first: plan_messages.Piece | None = first
        self._units: deque[Unit] = deque()
        self._whole: Sequence[Unit] | None = None
        self._is_last = False

    def ask(self) -> None:
        """See UnitSource."""
        self.is_listing = True
        if first := self._first:
            self._first = None
            self.take_in(first)
        else:
            self._fetch(anew=True)

    def take(self) -> Unit | None:
        """See UnitSource."""
        if len(self._units) < AHEAD_UNITS and not (self._is_last or self.is_awaited):
            self._fetch()
        if self._units:
            return self._units.popleft()
        self.is_listing = not self._is_last
        return None

    def take_whole(self) -> Sequence[Unit] | None:
        """See UnitSource."""
        whole, self._whole = self._whole, None
        return whole

    def take_in(self, piece: plan_messages.Piece) -> None:
        """Takes in units that were sent."""
        self.is_awaited, self._is_last = False, piece.is_last
        self._units.extend(piece.units)
        self._whole = piece.units if piece.is_whole else None

    def _fetch(self, *, anew: bool = False) -> None:
        self.is_awaited, self._is_last = True, False
        self._send(plan_messages.More(self._number, anew))
