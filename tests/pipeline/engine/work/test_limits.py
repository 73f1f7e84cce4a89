"""A unit's own limits: they count from its own start and end it whatever it does; what it left on the disk goes."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.engine.work.limits import (
    KILL_AFTER_S,
    TimeLimitExceeded,
    limits,
    memory_of_tree,
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


def test_the_memory_of_a_unit_is_that_of_its_process_and_all_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"/proc/1/statm": "9 5 1", "/proc/2/statm": "9 3 1", "/proc/3/statm": "9 1 1", "/proc/4/statm": "odd"}
    children = {"1": "2 4", "2": "3", "3": "", "4": ""}

    def read(path: Path) -> str:
        return texts.get(str(path)) or children[path.parts[2]]

    monkeypatch.setattr(Path, "iterdir", lambda path: iter([path / "7"]))
    assert memory_of_tree(1, read=read) == 9 * os.sysconf("SC_PAGE_SIZE")
    texts["/proc/2/statm"] = "gone"
    assert memory_of_tree(1, read=read) == 5 * os.sysconf("SC_PAGE_SIZE")
