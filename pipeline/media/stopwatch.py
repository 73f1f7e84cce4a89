"""CPU seconds by step: what a video cost, for the commit's facts and the benches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Adds up CPU time of this process under names; a step inside another counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = 0.0

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Time spent inside counts for `step`."""
        began, before, self._inside = time.process_time(), self._inside, 0.0
        try:
            yield
        finally:
            spent = time.process_time() - began
            self.seconds[step] = self.seconds.get(step, 0.0) + spent - self._inside
            self._inside = before + spent

    def each(self, step: str, items: Iterable[T]) -> Iterator[T]:
        """The items; the time that making each takes counts for `step`."""
        iterator = iter(items)
        while True:
            with self(step):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item
