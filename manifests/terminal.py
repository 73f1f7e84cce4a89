"""A terminal that closes while a program runs: it asks for an end as SIGTERM does, and what is said goes nowhere."""

import os
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def heeding(ask: Callable[[signal.Signals], None], *more: signal.Signals) -> Iterator[None]:
    """While the block runs, SIGTERM, SIGHUP and `more` call `ask` instead of ending the process. For the main thread.

    Under `nohup` SIGHUP stays ignored. Elsewhere the terminal is gone with it, and a write to it would be an error.
    """

    def hear(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            _leave_terminal()
        ask(signal.Signals(number))

    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    heeded = (signal.SIGTERM, *(() if is_nohup else (signal.SIGHUP,)), *more)
    before = {number: signal.signal(number, hear) for number in heeded}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def deaf_to_hang_up() -> Iterator[None]:
    """Programs started in the block do not end when the terminal closes: they inherit it. For the main thread alone."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def _leave_terminal() -> None:
    """Sends what would be printed on a terminal nowhere; files and pipes stay."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.dup2(nowhere, stream)
    os.close(nowhere)
