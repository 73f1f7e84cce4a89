"""Another clock for the driver, so that a test of hours takes no time."""

from contextlib import AbstractContextManager
from typing import Any, Protocol
from unittest import mock

from pipeline.engine.run import clock


class Clock(Protocol):
    """Seconds since an arbitrary start, and a way to wait."""

    def now(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


def going_by(other: Clock) -> AbstractContextManager[Any]:
    """Makes the driver use this clock inside the block."""
    return mock.patch.multiple(clock, now=other.now, sleep=other.sleep)
