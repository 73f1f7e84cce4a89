"""Limits on the work for one video: processor time is charged to the video, wall-clock time to the machine.

Three minutes of film decode in seconds, and take minutes where twenty other processes want the same core. So what
rejects is processor time; a video that is merely starved is given back, and goes elsewhere where there is an elsewhere.
"""

import os
import time

from manifests.reasons import Reason
from pipeline.media.probe import Starved, Unusable

WALL_FACTOR = 4.0
"""Wall-clock seconds that may pass for each second of the processor-time limit."""


class WorkLimit:
    """Starts counting when it is made. `limit_s` is the processor time in seconds that a step of the work may take.

    All steps together have WALL_FACTOR times that by the clock on the wall, within the time limit of the video's unit.
    """

    def __init__(self, limit_s: float, what: str = "decoding") -> None:
        self._limit_s, self._what = limit_s, what
        self._cpu = self._step_cpu = time.process_time()
        self._wall = time.monotonic()

    def begin(self, what: str) -> None:
        """Begins the next step, with its own limit on processor time."""
        self._what, self._step_cpu = what, time.process_time()

    def check(self) -> None:
        """Raises Unusable(TIMEOUT) where the step takes too much processor time, and what `check_wall` raises."""
        cpu_s = time.process_time() - self._step_cpu
        if cpu_s > self._limit_s:
            raise Unusable(
                Reason.TIMEOUT, f"{self._what} took {cpu_s:.0f} s of processor time, the limit is {self._limit_s:.0f} s"
            )
        self.check_wall()

    def check_wall(self) -> None:
        """Raises Starved past WALL_FACTOR times the limit since this was made."""
        wall_s = time.monotonic() - self._wall
        if wall_s > WALL_FACTOR * self._limit_s:
            raise Starved(starved_detail(self._what, wall_s, time.process_time() - self._cpu))


def starved_detail(what: str, wall_s: float, cpu_s: float) -> str:
    """Returns the message for a video that did not get its share of the processor."""
    load = os.getloadavg()[0]
    share = 100 * cpu_s / wall_s if wall_s else 0.0
    return f"{what} got {share:.0f} % of a core for {wall_s:.0f} s, at a load of {load:.1f} on {os.cpu_count()} cores"
