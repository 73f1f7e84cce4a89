"""The limits of an identity: token buckets, and breakers whose pauses grow. Times are on the same monotonic clock."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """A token bucket that tells when a request may go (GCRA). It holds a single token and starts empty."""

    interval_s: float
    jitter: float
    random: random.Random
    full_at: float = 0.0  # when the bucket would be full again

    def reserve(self, now: float) -> float:
        """Takes a token and returns how many seconds to wait for it."""
        gap = self.interval_s * (1 + self.jitter * self.random.random())
        start = max(self.full_at, now)
        self.full_at = start + gap
        return max(0.0, start - now)

    def is_idle(self, now: float) -> bool:
        """Whether its token has been there for so long that nobody waits for it."""
        return now - self.full_at > self.interval_s

    def wait_s(self, now: float) -> float:
        """How many seconds a token would take now, without taking it."""
        return max(0.0, self.full_at - now)


def empty_bucket(per_second: float, jitter: float, now: float, seed: random.Random) -> Bucket:
    interval = 1.0 / per_second
    return Bucket(interval, jitter, seed, full_at=now + interval)


@dataclass(slots=True)
class Breaker:
    """Pauses that grow. `level`: the number of pauses in a row without an answer in between."""

    paused_until: float = 0.0
    level: int = 0
    why: str = ""

    def open(self, now: float, pauses_s: Sequence[float], least_s: float, stretch: float, why: str) -> float:
        """Starts a pause, or lets a running pause continue; returns the seconds left of it."""
        if self.paused_until > now:  # other requests in flight were refused too: the same block, not a new one
            return self.paused_until - now
        pause_s = max(pauses_s[min(self.level, len(pauses_s) - 1)], least_s) * stretch
        self.paused_until, self.level, self.why = now + pause_s, self.level + 1, why
        return pause_s

    def close(self) -> None:
        self.level, self.why = 0, ""
