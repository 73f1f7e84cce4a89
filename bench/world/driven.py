"""A run whose plans and merges are put to accounts of their own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from bench.world.accounts import MERGES, PLANS, Accounts
from pipeline.engine.run.driver import Line
from pipeline.run.session import Run


class WatchedRun(Run):
    """A Run on an imagined cluster, whose lines are watched: what a line does between two chains is a plan."""

    __slots__ = ()

    def complete_lines(self, *lines: Line) -> None:
        """See Run."""
        cluster: Any = self.executor
        cluster.looks_away()
        try:
            Run.complete_lines(self, *(_watched(line, cluster.accounts) for line in lines))
        finally:
            cluster.looks_away()


def _watched(line: Line, accounts: Accounts) -> Line:
    results: Any = None
    try:
        while True:
            with accounts.of(PLANS):
                try:
                    chain = line.send(results)
                except StopIteration:
                    return
            results = yield chain
    finally:
        line.close()


class InlinePool(ThreadPoolExecutor):
    """A pool that does its work at once: merges keep up with virtual time, and are put to an account of their own."""

    def __init__(self, accounts: Accounts) -> None:
        super().__init__(1)
        self._accounts = accounts

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Does the work here."""
        done: Future[Any] = Future()
        with self._accounts.of(MERGES):
            done.set_result(work(*args, **kwargs))
        return done
