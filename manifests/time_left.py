"""The time left for a job, with how sure that is: of a whole run of the pipeline (pipeline/run/time_left.py), and of a
training.

The pace of what is done is mixed with the pace that was expected before, which weighs as much as 3 % of the job. The
range is a factor around what is likely: 3 before anything is done, and narrower with each piece that is, as the error
of a mean of independent pieces that vary as much as their mean.
"""

import math
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from pydantic import BaseModel, ConfigDict

EXPECTED_WEIGHT = 0.03
FIRST_FACTOR, LEAST_FACTOR = 3.0, 1.1
T = TypeVar("T")


class TimeLeft(BaseModel):
    """Seconds: the likely ones, and a range around them that holds in about two of three cases."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    likely_s: float
    low_s: float
    high_s: float

    def words(self) -> str:
        """The time left in words: `about 12 min left (8 min to 18 min)`."""
        low, high = length_of(self.low_s), length_of(self.high_s)
        return f"about {length_of(self.likely_s)} left" + (f" ({low} to {high})" if low != high else "")


def seconds_left(done: float, left: float, seconds: float, expected_s: float | None = None) -> float | None:
    """The seconds that the share `left` of a job takes, after `seconds` for the share `done`; None if nothing says.

    `expected_s`: for the whole job, before anything was known; a job that has done nothing yet takes at least as long
    again as it took. Shares are from 0 to 1.
    """
    if left <= 0:
        return 0.0
    if done <= 0:
        return None if expected_s is None else left * max(expected_s - seconds, expected_s / FIRST_FACTOR, seconds)
    weight = 0.0 if expected_s is None else EXPECTED_WEIGHT
    return left * (seconds + weight * (expected_s or 0.0)) / (done + weight)


def with_range(likely_s: float, n_done: int) -> TimeLeft:
    """The time left with its range, after so many pieces were done."""
    spread = 1 / math.sqrt(1 / math.log(FIRST_FACTOR) ** 2 + n_done)
    factor = max(LEAST_FACTOR, math.exp(spread))
    return TimeLeft(likely_s=round(likely_s, 1), low_s=round(likely_s / factor, 1), high_s=round(likely_s * factor, 1))


def told(pieces: Iterable[T], total: int, what: str, *, each: int = 1, every_s: float = 30.0) -> Iterator[T]:
    """Yields the pieces, of `each` things; says every so often on stderr how many of `total` things are done.

    `what` names the things. Of a job shorter than `every_s`, nothing is said.
    """
    began = said = time.monotonic()
    for n_done, piece in enumerate(pieces):
        now = time.monotonic()
        if now - said >= every_s and (share := n_done * each / total):
            left = with_range((now - began) * (1 - share) / share, n_done).words()
            print(f"{n_done * each} of {total} {what}, {left}", file=sys.stderr, flush=True)
            said = now
        yield piece


def length_of(seconds: float) -> str:
    """A duration in words: 90 s, 12 min, 3.5 h, 4.2 days."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"
