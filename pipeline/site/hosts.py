"""Limits how often each host in a table of addresses is asked: one object for the whole cluster, as for politeness.

Such hosts know no identities, so a pause is the host's own: it stops the requests of every worker.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pipeline.site.buckets import Breaker

POLL_S = 1.0


class PoliteHosts(Protocol):
    """What stages see: the same calls whether the object is local or in an actor; they block until they return."""

    def turn(self, host: str, gap_s: float, patience_s: float) -> float: ...

    def answered(self, host: str) -> None: ...

    def refused(self, host: str, least_s: float = ...) -> float: ...


@dataclass(slots=True)
class _Host:
    free_at: float = 0.0
    breaker: Breaker = field(default_factory=Breaker)


class Hosts:
    """The turns at each host, and its pauses. Thread-safe; `turn` never holds the lock while it waits."""

    def __init__(self, pauses_s: Sequence[float], clock: Callable[[], float] = time.monotonic) -> None:
        self._pauses_s, self._clock = tuple(pauses_s), clock
        self._hosts: dict[str, _Host] = {}
        self._lock = threading.Lock()

    async def turn(self, host: str, gap_s: float, patience_s: float) -> float:
        """Waits for the turn of a request, `gap_s` after the last; returns 0.0 when it may go.

        Waits up to `patience_s` for a paused host; then returns the seconds left of its pause.
        """
        until = self._clock() + patience_s
        while True:
            with self._lock:
                now, asked = self._clock(), self._hosts.setdefault(host, _Host())
                paused_s = asked.breaker.paused_until - now
                if paused_s <= 0:
                    at = max(now, asked.free_at)
                    asked.free_at = at + gap_s
                    break
            if now + paused_s > until:
                return paused_s
            await asyncio.sleep(min(POLL_S, paused_s))
        await asyncio.sleep(max(0.0, at - now))
        return 0.0

    async def answered(self, host: str) -> None:
        """The host answered, whatever the answer: its next pause is as short as the first again."""
        with self._lock:
            self._hosts.setdefault(host, _Host()).breaker.close()

    async def refused(self, host: str, least_s: float = 0.0) -> float:
        """The host asks for fewer requests: it is paused, longer each time; returns the seconds."""
        with self._lock:
            breaker = self._hosts.setdefault(host, _Host()).breaker
            return breaker.open(self._clock(), self._pauses_s, least_s, 1.0, "rate_limited")
