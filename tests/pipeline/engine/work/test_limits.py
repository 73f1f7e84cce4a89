"""A unit's own limits: they count from its own start and end it whatever it does; what it left on the disk goes."""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.engine.work import limits as limits_module
from pipeline.engine.work.limits import (
    KILL_AFTER_S,
    MemoryLimitExceeded,
    TimeLimitExceeded,
    limits,
    memory_of_tree,
    process_ends_past,
)

STUCK_IN_C = """
import ctypes, signal
from pipeline.engine.work.limits import limits, process_ends_past
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})  # or it would end the call
with process_ends_past(1.0), limits(1.0, 0):
    ctypes.PyDLL(None).sleep(60)  # holds the interpreter's lock: no Python code runs, no signal is heard
"""


def test_a_process_stuck_in_c_ends_itself_soon_after_its_limit_and_says_where() -> None:
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", STUCK_IN_C], capture_output=True, text=True, timeout=60)

    assert time.monotonic() - began < 1.0 + KILL_AFTER_S + 10
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert "in <module>" in ended.stderr


def test_a_unit_ends_at_its_limit_and_what_was_set_before_is_set_again() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TimeLimitExceeded), limits(0.05, 0):
        time.sleep(20)
    with limits(60.0, 0):
        assert signal.getsignal(signal.SIGALRM) is not before
        assert 59 < signal.getitimer(signal.ITIMER_REAL)[0] <= 60

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0), "nothing is interrupted afterwards"
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_thread_has_no_limits_since_nothing_can_interrupt_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(signal, "setitimer", lambda *given: asked.append(given))
    ended: list[bool] = []

    def beside() -> None:
        with limits(0.001, 0):
            ended.append(True)

    thread = threading.Thread(target=beside)
    thread.start()
    thread.join()
    assert ended == [True] and asked == []


def test_the_watcher_of_memory_ends_with_the_unit() -> None:
    before = set(threading.enumerate())
    with limits(60.0, 1):
        (watcher,) = set(threading.enumerate()) - before
        assert watcher.daemon
    assert not watcher.is_alive()


@pytest.mark.parametrize(("limit_bytes", "grown_by", "is_over"), [(100, 101, True), (100, 100, False), (0, 101, False)])
def test_memory_counts_from_where_the_unit_began_and_0_is_no_limit(
    monkeypatch: pytest.MonkeyPatch, limit_bytes: int, grown_by: int, is_over: bool
) -> None:
    sizes = iter([1000 + grown_by])
    signals: list[int] = []
    over: list[type[BaseException]] = []
    monkeypatch.setattr(limits_module, "memory_of_tree", lambda pid: next(sizes))
    monkeypatch.setattr(signal, "raise_signal", signals.append)
    waits = iter([False, True])
    waited: list[float] = []

    class Finished:
        def wait(self, seconds: float) -> bool:
            waited.append(seconds)
            return next(waits)

    limits_module._watch_memory(limit_bytes, 1000, Finished(), over)  # type: ignore[arg-type]

    assert over == [MemoryLimitExceeded] * is_over and signals == [signal.SIGALRM] * is_over
    assert waited == [1.0] * (1 if is_over else 2)


def test_the_memory_of_a_unit_is_that_of_its_process_and_all_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"/proc/1/statm": "9 5 1", "/proc/2/statm": "9 3 1", "/proc/3/statm": "9 1 1", "/proc/4/statm": "odd"}
    children = {"1": "2 4", "2": "3", "3": "", "4": ""}

    def read(path: Path) -> str:
        return texts.get(str(path)) or children[path.parts[2]]

    monkeypatch.setattr(Path, "iterdir", lambda path: iter([path / "7"]))
    assert memory_of_tree(1, read=read) == 9 * os.sysconf("SC_PAGE_SIZE")
    texts["/proc/2/statm"] = "gone"
    assert memory_of_tree(1, read=read) == 5 * os.sysconf("SC_PAGE_SIZE")


def test_a_worker_that_ends_in_time_is_not_ended_later(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(faulthandler, "dump_traceback_later", lambda after_s, **how: asked.append((after_s, how)))
    monkeypatch.setattr(faulthandler, "cancel_dump_traceback_later", lambda: asked.append("cancelled"))
    with process_ends_past(60.0):
        assert asked == [(60.0 + KILL_AFTER_S, {"exit": True, "file": sys.__stderr__ or sys.stderr})]
    assert asked[1:] == ["cancelled"]
