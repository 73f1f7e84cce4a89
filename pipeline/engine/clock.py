"""The time that the driver goes by: the machine's, or, in a simulation, one that runs as fast as it is computed.

Workers, locks and outages go by the machine's clock always.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Clock(Protocol):
    """Seconds from some beginning, and a way to let them pass."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


class MachineClock:
    """This machine's monotonic clock."""

    def now(self) -> float:
        """Seconds on time.monotonic()."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)


_clock: Clock = MachineClock()


def now() -> float:
    """Seconds by the driver's clock."""
    return _clock.now()


def sleep(seconds: float) -> None:
    """Lets seconds pass by the driver's clock."""
    _clock.sleep(seconds)


@contextmanager
def going_by(clock: Clock) -> Iterator[None]:
    """The driver goes by this clock while the block runs."""
    global _clock
    before, _clock = _clock, clock
    try:
        yield
    finally:
        _clock = before
