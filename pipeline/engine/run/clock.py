"""The driver's clock: the machine's, or, in a simulation, a clock that advances as fast as it is computed.

Workers, locks and outages always use the machine's clock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Clock(Protocol):
    """Seconds since an arbitrary start, and a way to wait."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class MachineClock:
    """This machine's monotonic clock."""

    def now(self) -> float:
        """Seconds of time.monotonic()."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


_clock: Clock = MachineClock()


def now() -> float:
    """Seconds by the driver's clock."""
    return _clock.now()


def sleep(seconds: float) -> None:
    """Waits by the driver's clock."""
    _clock.sleep(seconds)


@contextmanager
def going_by(clock: Clock) -> Iterator[None]:
    """Makes the driver use this clock inside the block."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
