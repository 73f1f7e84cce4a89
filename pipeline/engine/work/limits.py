"""Limits of time and memory on an attempt, enforced inside the worker: they count from the unit's own start.

at the limit        an exception in the main thread: the unit ends cleanly and its worker goes on
KILL_AFTER_S later  if that had no effect (a call stuck in C), the worker process kills itself
"""

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

KILL_AFTER_S = 2.0
"""Seconds that the exception at the time limit may go unhandled before the process ends."""


class TimeLimitExceeded(BaseException):
    """Raised inside a unit at its time limit; a BaseException so that no stage's own handler swallows it."""


class MemoryLimitExceeded(BaseException):
    """Raised inside a unit whose process and children hold more memory than allowed."""


@contextmanager
def limits(time_limit_s: float, memory_bytes: int) -> Iterator[None]:
    """Applies time and memory limits to the block. Only a main thread can be interrupted; others have no limits."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    over: list[type[BaseException]] = []

    def interrupt(_signal: int, _frame: object) -> None:
        raise over[0] if over else TimeLimitExceeded

    previous = signal.signal(signal.SIGALRM, interrupt)
    finished, base = threading.Event(), memory_of_tree(os.getpid())  # before the unit takes any
    watcher = threading.Thread(target=_watch_memory, args=(memory_bytes, base, finished, over), daemon=True)
    signal.setitimer(signal.ITIMER_REAL, time_limit_s)
    watcher.start()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        finished.set()
        watcher.join()
        signal.signal(signal.SIGALRM, previous)


@contextmanager
def process_ends_past(time_limit_s: float) -> Iterator[None]:
    """Ends this whole process if the block exceeds its limit by KILL_AFTER_S. For worker processes only.

    The watchdog is a C thread: it needs neither the interpreter's lock nor the cluster's answer. What the process was
    doing is written to its standard error, which is the worker's log.
    """
    faulthandler.dump_traceback_later(time_limit_s + KILL_AFTER_S, exit=True, file=sys.__stderr__ or sys.stderr)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _watch_memory(limit_bytes: int, base: int, finished: threading.Event, over: list[type[BaseException]]) -> None:
    while not finished.wait(1.0):
        if memory_of_tree(os.getpid()) - base > limit_bytes > 0:
            over.append(MemoryLimitExceeded)
            signal.raise_signal(signal.SIGALRM)
            return


def memory_of_tree(pid: int, *, read: Callable[[Path], str] = Path.read_text) -> int:
    """The resident bytes of a process and its children; 0 where /proc is not available."""
    total = 0
    try:
        total += int(read(Path(f"/proc/{pid}/statm")).split()[1]) * os.sysconf("SC_PAGE_SIZE")
        children = [int(c) for t in Path(f"/proc/{pid}/task").iterdir() for c in read(t / "children").split()]
    except (OSError, IndexError, ValueError):
        return total
    return total + sum(memory_of_tree(child, read=read) for child in children)
