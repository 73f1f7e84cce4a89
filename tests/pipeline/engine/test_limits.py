"""A unit's own limits: they count from its own start and end it whatever it does; what it left on the disk goes."""

import subprocess
import sys
import time

import pytest

from pipeline.engine.limits import KILL_AFTER_S

pytestmark = pytest.mark.faults

STUCK_IN_C = """
import ctypes, signal
from pipeline.engine.limits import limits, process_ends_past
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
