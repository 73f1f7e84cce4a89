"""Stopping without loss: on SIGTERM or a closed terminal, after a given time, or when asked. No new unit starts, and
those in flight have `grace_s` seconds to end; what does not end is given back, uncommitted, to the next run.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from manifests.errors import UserError
from manifests.exits import ExitCode
from manifests.terminal import heeding
from pipeline.engine.run import clock

GRACE_S = 60.0


class Drained(UserError):
    """The run stopped on request with everything saved. The message says what remains."""

    exit_code = ExitCode.DRAINED


class StopRequest:
    """Whether the run should end. Safe to set from a signal handler; read by the driver's loop.

    `heard` is called once it is asked for.
    """

    def __init__(self, *, grace_s: float = GRACE_S, stop_after_s: float = 0.0, since: float | None = None) -> None:
        """`since`: when the time began to run, by the driver's clock; None: now."""
        self.grace_s = grace_s
        self.why = ""
        self.heard: Callable[[], None] = lambda: None
        self._requested_at = 0.0
        began = clock.now() if since is None else since
        self._ends_at = began + stop_after_s if stop_after_s else float("inf")
        self._stop_after_s = stop_after_s

    def request(self, why: str) -> None:
        """Asks the run to end. A second request cancels the rest of the grace."""
        if self._requested_at:
            self.grace_s = 0.0
            return
        self.why, self._requested_at = why, clock.now()
        self.heard()

    def end_if_due(self, where: str) -> None:
        """Raises Drained if the run should end; for the steps before its units."""
        if self.is_due:
            raise Drained(
                f"{where}: stopped on request ({self.why}) before a unit began. Run the same command again to continue"
            )

    def interrupt(self) -> None:
        """Asks the run to end now, without any grace."""
        self.request("Ctrl-C")
        self.grace_s = 0.0

    @property
    def is_due(self) -> bool:
        """Whether no further unit may start."""
        if not self._requested_at and clock.now() >= self._ends_at:
            self.request(f"--stop-after {self._stop_after_s:.0f} s has passed")
        return bool(self._requested_at)

    @property
    def time_left_s(self) -> float:
        """Seconds until the run should have ended, with the grace; infinite if nobody asks for its end."""
        return self.grace_left_s if self._requested_at else max(0.0, self._ends_at + self.grace_s - clock.now())

    @property
    def grace_left_s(self) -> float:
        """Seconds that units in flight still have."""
        return max(0.0, self._requested_at + self.grace_s - clock.now())


@contextmanager
def drain_on_sigterm(stop: StopRequest) -> Iterator[None]:
    """SIGTERM asks `stop` instead of ending the process, while the block runs. Only the main thread can set that.

    So does SIGHUP, that is a terminal that closes, unless `nohup` has it ignored. Ctrl-C ends the block, and takes the
    grace from what is still written after it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: signal.Signals) -> None:
        if number != signal.SIGHUP or not stop.is_due:  # a shell and the system may both say it: the grace stays
            stop.request(number.name)

    try:
        with heeding(ask):
            yield
    except KeyboardInterrupt:
        stop.interrupt()
        raise
