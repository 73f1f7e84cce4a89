"""CPU seconds by step: what a video cost, for the commit's facts and the benches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Adds up CPU time of this process under names; a step inside another counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.inside = 0.0

    def __call__(self, step: str) -> _Step:
        """Time spent inside counts for `step`."""
        return _Step(self, step)

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


class _Step:
    """One use of a stopwatch: several for each frame, so a class and no generator, which takes thrice as long."""

    __slots__ = ("_before", "_began", "_name", "_watch")

    def __init__(self, watch: Stopwatch, name: str) -> None:
        self._watch, self._name = watch, name

    def __enter__(self) -> None:
        self._before, self._watch.inside = self._watch.inside, 0.0
        self._began = time.process_time()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        watch, spent = self._watch, time.process_time() - self._began
        watch.seconds[self._name] = watch.seconds.get(self._name, 0.0) + spent - watch.inside
        watch.inside = self._before + spent
