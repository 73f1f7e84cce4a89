"""Kills a process at a chosen write, for tests of what a kill leaves behind."""

import os
import signal
import traceback
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


def exit_of_fork(do: Callable[..., object], *arguments: Any) -> int:
    """The exit code of a fork of this process that calls `do` and ends; of one that a signal ended, minus its number.

    A fork has no start to pay for. For programs without threads: a fork has none of them, but the locks they hold.
    """
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        do(*arguments)
        code = 0
    finally:
        if code:
            traceback.print_exc()
        os._exit(code)
