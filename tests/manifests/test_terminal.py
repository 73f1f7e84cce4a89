"""A terminal that closes: a program ends as on SIGTERM, what it started stays, and `nohup` keeps both going."""

import os
import pty
import signal
import subprocess
import sys

import pytest

from manifests.terminal import deaf_to_hang_up, heeding

IN_A_TERMINAL = """
import os, signal, sys, time
from pipeline.engine.run.drain import StopRequest, drain_on_sigterm
stop = StopRequest()
with drain_on_sigterm(stop):
    print("ready", flush=True)
    while not stop.is_due:
        time.sleep(0.01)
    print("what nobody sees", flush=True)
    open(sys.argv[1], "w").write(stop.why)
"""


def test_a_terminal_that_closes_asks_for_the_end_and_what_is_printed_after_it_is_no_error(tmp_path) -> None:
    asked = tmp_path / "asked"
    pid, terminal = pty.fork()
    if not pid:
        os.execv(sys.executable, [sys.executable, "-c", IN_A_TERMINAL, str(asked)])
    assert b"ready" in os.read(terminal, 100)
    os.close(terminal)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert asked.read_text() == "SIGHUP"


def test_what_is_started_meanwhile_outlives_the_terminal() -> None:
    with deaf_to_hang_up():
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    child.send_signal(signal.SIGHUP)

    child.communicate(b"\n", timeout=60)
    assert child.returncode == 0


@pytest.mark.parametrize("set_to", [signal.SIG_IGN, signal.SIG_DFL], ids=["nohup", "a shell"])
def test_a_program_under_nohup_does_not_heed_the_terminal(set_to: signal.Handlers) -> None:
    asked: list[str] = []
    before = signal.signal(signal.SIGHUP, set_to)
    try:
        with heeding(lambda number: asked.append(number.name)):
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is set_to
    finally:
        signal.signal(signal.SIGHUP, before)
    assert asked == ([] if set_to is signal.SIG_IGN else ["SIGHUP"])
