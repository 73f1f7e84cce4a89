"""One attempt at one unit, on whatever machine: scratch folder, limits, the failure boundary, and what it leaves.

The worker puts files, rows and rejects in place; the driver writes the commit, after it has looked at the run lock.
"""

import errno
import os
import shutil
import signal
import threading
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from manifests.reasons import Reason, ReasonClass
from manifests.storage import is_passing
from pipeline.engine.store import Store
from pipeline.engine.unit import Context, Output, Reject, Rejected, Stage, StopRun, Transient, Unit

DETAIL_CHARACTERS = 2000
STORE_WAIT_S = 5.0
"""Pause before a unit is tried again that an object store failed."""


class End(StrEnum):
    """How an attempt ended."""

    DONE = "done"
    AGAIN = "again"
    STOP = "stop"
    LOST = "lost"
    TIMEOUT = "timeout"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt. For `done`: the facts that the commit will hold."""

    end: End
    reason: Reason | None = None
    detail: str = ""
    wait_s: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


class TimeLimitExceeded(BaseException):
    """Raised inside a unit at its time limit; a BaseException so that no stage's own handler swallows it."""


class MemoryLimitExceeded(BaseException):
    """Raised inside a unit whose process and children hold more memory than allowed."""


def attempt_unit(stage: Stage, unit: Unit, store: Store, scratch_root: Path, attempt: int) -> Outcome:
    """Runs a unit and puts what it made in place. Application errors become rejects here and nowhere else."""
    scratch = scratch_root / f"{stage.name}-{unit.name}-{uuid.uuid4().hex[:8]}"
    started = time.monotonic()
    context = Context(store, scratch, started + stage.resources.time_limit_s, attempt)
    try:
        scratch.mkdir(parents=True)
        with _limits(stage.resources.time_limit_s, stage.resources.memory_bytes):
            output = stage.process(unit, context)
            facts = _put_in_place(stage.name, unit, output, store, attempt)
        return Outcome(End.DONE, facts={**facts, "seconds": round(time.monotonic() - started, 3)})
    except Rejected as error:
        video_id = unit.ids[0] if unit.ids else unit.name
        reject = Reject(error.reason, video_id, error.clip_id, error.detail, error.retry_after_s)
        return turn_away(stage.name, unit, [reject], store, attempt)
    except Transient as error:
        return Outcome(End.AGAIN, error.reason, error.detail, error.wait_s)
    except StopRun as error:
        return Outcome(End.STOP, error.reason, error.detail)
    except UserError:
        raise
    except TimeLimitExceeded:
        return Outcome(End.TIMEOUT, detail=f"over {stage.resources.time_limit_s:.0f} s")
    except (MemoryLimitExceeded, MemoryError):
        return Outcome(End.MEMORY, detail=f"over {stage.resources.memory_bytes} bytes")
    except Exception as error:  # noqa: BLE001 - the one boundary that turns a unit's failure into a reject
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Outcome(End.STOP, Reason.NO_DISK, f"{error}; free some space under {scratch_root} or {store.url}")
        if not store.is_local and is_passing(error):
            return Outcome(End.AGAIN, Reason.SERVER_ERROR, f"{store.url}: {error}", wait_s=STORE_WAIT_S)
        return _internal_error(stage, unit, store, attempt)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _internal_error(stage: Stage, unit: Unit, store: Store, attempt: int) -> Outcome:
    detail = traceback.format_exc()[-DETAIL_CHARACTERS:]
    outcome = turn_away_all(stage.name, unit, Reason.INTERNAL_ERROR, detail, store, attempt)
    return replace(outcome, reason=Reason.INTERNAL_ERROR, detail=detail.strip().rpartition("\n")[2])


def turn_away_all(stage: str, unit: Unit, reason: Reason, detail: str, store: Store, attempt: int) -> Outcome:
    """Rejects every video of a unit that failed as a whole."""
    return turn_away(stage, unit, [Reject(reason, i, detail=detail) for i in unit.ids or (unit.name,)], store, attempt)


def turn_away(stage: str, unit: Unit, rejects: list[Reject], store: Store, attempt: int) -> Outcome:
    """Puts rejects in place as all that a unit made."""
    return Outcome(End.DONE, facts=_put_in_place(stage, unit, Output(rejects=rejects), store, attempt))


def _put_in_place(stage: str, unit: Unit, output: Output, store: Store, attempt: int) -> dict[str, Any]:
    for relative, local in output.files.items():
        store.put(local, relative)
    for table, rows in output.rows.items():
        if rows:
            store.write_part(table, stage, unit.name, rows)
    if output.rejects:
        store.write_rejects(stage, unit.name, [reject_row(stage, reject, attempt) for reject in output.rejects])
    return {
        "rows": {table: len(rows) for table, rows in output.rows.items() if rows},
        "rejects": dict(sorted(Counter(r.reason.value for r in output.rejects).items())),
        "attempt": attempt,
        **output.facts,
    }


def reject_row(stage: str, reject: Reject, attempt: int) -> dict[str, Any]:
    """A row of the rejects table."""
    now = datetime.now(UTC).replace(microsecond=0)
    later = reject.reason.class_ is ReasonClass.LATER
    return {
        "stage": stage,
        "video_id": reject.video_id,
        "clip_id": reject.clip_id,
        "reason": reject.reason.value,
        "class": reject.reason.class_.value,
        "detail": reject.detail[:DETAIL_CHARACTERS],
        "attempts": attempt,
        "at": now.isoformat(),
        "next_try_at": (now + timedelta(seconds=reject.retry_after_s)).isoformat() if later else "",
    }


@contextmanager
def _limits(time_limit_s: float, memory_bytes: int) -> Iterator[None]:
    """Time and memory limits for the code inside. Only a main thread can be interrupted; elsewhere there are none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over: list[type[BaseException]] = []

    def interrupt(_signal: int, _frame: object) -> None:
        raise over[0] if over else TimeLimitExceeded

    previous = signal.signal(signal.SIGALRM, interrupt)
    finished = threading.Event()
    watcher = threading.Thread(target=_watch_memory, args=(memory_bytes, finished, over), daemon=True)
    signal.setitimer(signal.ITIMER_REAL, time_limit_s)
    watcher.start()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        finished.set()
        watcher.join()
        signal.signal(signal.SIGALRM, previous)


def _watch_memory(limit_bytes: int, finished: threading.Event, over: list[type[BaseException]]) -> None:
    base = memory_of_tree(os.getpid())
    while not finished.wait(1.0):
        if memory_of_tree(os.getpid()) - base > limit_bytes > 0:
            over.append(MemoryLimitExceeded)
            signal.raise_signal(signal.SIGALRM)
            return


def memory_of_tree(pid: int, *, read: Callable[[Path], str] = Path.read_text) -> int:
    """Resident bytes of a process and its children; 0 where /proc cannot tell."""
    total = 0
    try:
        total += int(read(Path(f"/proc/{pid}/statm")).split()[1]) * os.sysconf("SC_PAGE_SIZE")
        children = [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in read(t / "children").split()]
    except (OSError, IndexError, ValueError):
        return total
    return total + sum(memory_of_tree(child, read=read) for child in children)
