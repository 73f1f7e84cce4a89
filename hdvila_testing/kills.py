"""Kills a process at a chosen write, for tests of what a kill leaves behind."""

import os
import signal
from collections.abc import Callable
from typing import Any

from pipeline.engine.store.store import Store


class Writes:
    """Counts the calls of a store's methods in this process and kills it just before call `fatal`; 0: never."""

    def __init__(self, fatal: int, *methods: str) -> None:
        self.count = 0
        self._fatal = fatal
        for name in methods or ("put", "write"):
            setattr(Store, name, self._counted(getattr(Store, name)))

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            if self.count == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*args, **kwargs)

        return call
