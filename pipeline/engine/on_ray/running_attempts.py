"""The roll of attempts under way: workers report when an attempt begins, so that the driver knows where a lost attempt
ran and for how long.

`Given` is an attempt as the driver gave it to Ray.

Ray reports that a worker died, but neither where nor after what time. One actor beside the driver keeps the list;
workers don't wait for its answer.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.engine.work.unit import Unit

LEAVE_S = 5.0
"""What still runs on a machine so many seconds before it leaves is given to another."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that began: its machine's Ray id and name, its worker's process, and its age."""

    node: str
    host: str
    pid: int
    age_s: float


@dataclass(frozen=True, slots=True)
class Given:
    """An attempt submitted to Ray: `number` is its number on the roll, `alone` the machine reserved for it."""

    number: int
    stage: str
    unit: Unit
    attempt: int
    alone: str = ""
    fetches_on: str = ""
    """The machine that is fetching what this attempt needs."""
    lies_on: str = ""
    """The machine where what was fetched for it lies."""
    waited: int = -1
    """The number of its fetch task, if any."""

    def can_end(self, age_s: float, left_s: float) -> bool:
        """Whether it may end on a machine that leaves in so many seconds. What a fetch brings would go with it."""
        return not self.fetches_on and left_s > max(LEAVE_S, self.unit.expected_s - age_s)


class Roll:
    """The attempts under way, by the number that the driver gave each. Ages count from when the worker's report
    arrived.
    """

    def __init__(self) -> None:
        self._begun: dict[int, tuple[str, str, int, float, float]] = {}

    def begin(self, number: int, node: str, host: str, pid: int, limit_s: float) -> None:
        """Records that an attempt begins; `limit_s`: its time limit in seconds."""
        self._begun[number] = (node, host, pid, limit_s, time.monotonic())

    def of(self, number: int) -> Begun | None:
        """What is known of an attempt; None if its worker has not reported."""
        if number not in self._begun:
            return None
        node, host, pid, _, since = self._begun[number]
        return Begun(node, host, pid, time.monotonic() - since)

    def on(self, nodes: Sequence[str]) -> dict[int, Begun]:
        """Those under way on some machines."""
        return {n: begun for n in self._begun if (begun := self.of(n)) and begun.node in nodes}

    def overdue(self, grace_s: float) -> list[int]:
        """The numbers of attempts that have exceeded their limit plus a grace."""
        now = time.monotonic()
        return [n for n, (_, _, _, limit_s, since) in self._begun.items() if now - since > limit_s + grace_s]

    def forget(self, numbers: Sequence[int]) -> None:
        """Drops attempts that have ended."""
        for number in numbers:
            self._begun.pop(number, None)
