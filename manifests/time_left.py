"""The time left for a job, by its pace so far: of a whole run of the pipeline (pipeline/run/time_left.py), and of a
training.
"""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def seconds_left(done: float, left: float, seconds: float) -> float | None:
    """The seconds that the share `left` of a job takes, after `seconds` for the share `done`; None if nothing says."""
    if left <= 0:
        return 0.0
    return seconds * left / done if done > 0 else None


def told(pieces: Iterable[T], total: int, what: str, *, each: int = 1, every_s: float = 30.0) -> Iterator[T]:
    """Yields the pieces, of `each` things; says every so often on stderr how many of `total` things are done.

    `what` names the things. Of a job shorter than `every_s`, nothing is said.
    """
    began = said = time.monotonic()
    for n_done, piece in enumerate(pieces):
        now = time.monotonic()
        if now - said >= every_s and (share := n_done * each / total):
            left = left_in_words((now - began) * (1 - share) / share)
            print(f"{n_done * each} of {total} {what}, {left}", file=sys.stderr, flush=True)
            said = now
        yield piece


def left_in_words(seconds: float) -> str:
    """The time left in words: `about 12 min left`."""
    return f"about {length_of(seconds)} left"


def length_of(seconds: float) -> str:
    """A duration in words: 90 s, 12 min, 3.5 h, 4.2 days."""
    if seconds < 120:
        return f"{max(0.0, seconds):.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 2 * 86400 else f"{seconds / 86400:.1f} days"
