"""Recipes for a planning process, which finds them here by name, and the stages that they plan."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from manifests.errors import UserError
from pipeline.engine.run.lines import Beside, Line, one_chain
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Resources, Unit
from pipeline.run.session import Run

LATCH = "latch"
"""While this file is in the output directory, no plan ends."""
PLANS = "plans"
"""The file that says that a plan has begun: the process that makes it."""


@dataclass(frozen=True)
class Numbered:
    """So many units, listed one by one; or, with `is_list`, all at once; or those that another stage has committed."""

    name: str
    n: int = 0
    is_list: bool = False
    over: str = ""
    counter: Any = None
    resources: Resources = Resources(time_limit_s=30)

    def units(self, store: Store) -> Any:
        names = sorted(store.committed(self.over)) if self.over else [f"u{i:04d}" for i in range(self.n)]
        units = (Unit(name, expected_s=1.0) for name in names)
        return list(units) if self.is_list else units

    def process(self, unit: Unit, context: Context) -> Output:
        if self.counter is not None:
            self.counter.add(1)
        return Output()


class Counter:
    """Something that all workers share."""

    def __init__(self) -> None:
        self.n = 0

    async def add(self, n: int) -> int:
        self.n += n
        return self.n


def some_lines(run: Run) -> list[int]:
    """Lines that wait for each other, chains whose later stages follow the first, and lists of both kinds."""
    seen: list[int] = []

    def waiting() -> Line:
        while (n := len(run.store.committed("listed"))) < 7:
            seen.append(n)
            yield ()
        yield Beside(one_chain(Numbered("beside", 5)))
        (result,) = yield (Numbered("after", 3),)
        seen.append(result.n_made)

    chain = Numbered("first", 60), Numbered("second", over="first")
    many = one_chain(Numbered("many", 520))  # more than the planner tells of at a time
    run.driver.complete_lines([waiting(), one_chain(*chain), many, one_chain(Numbered("listed", 7, is_list=True))])
    run.complete(Numbered("last", 2))
    return seen


def held(run: Run) -> str:
    """A line with work, and one whose plan takes as long as the latch is there."""
    wait_for_latch(run)
    run.driver.complete_lines([one_chain(Numbered("work", 40)), _thinking(run)])
    return "delivered"


def _thinking(run: Run) -> Line:
    (_,) = yield (Numbered("before", 1),)
    run.store.write(PLANS, str(os.getpid()).encode())
    run.store.write(LATCH, b"")
    wait_for_latch(run)
    yield (Numbered("after", 1),)


def held_at_the_end(run: Run) -> str:
    """Nothing but a plan: what a run does between its lines."""
    run.store.write(PLANS, str(os.getpid()).encode())
    run.store.write(LATCH, b"")
    wait_for_latch(run)
    return "delivered"


def wait_for_latch(run: Run) -> None:
    while run.store.exists(LATCH):
        time.sleep(0.02)


def shares(run: Run) -> int:
    """Uses what all share: from a plan, and from units."""
    counter = run.driver.share("counter", Counter)
    counter.add(100)
    run.complete(Numbered("counts", 5, counter=counter))
    run.driver.show_rejects({"media": {"private": 2}})
    logging.getLogger("hdvila").warning("planned with %d shared", counter.add(0))
    n_all: int = counter.add(0)
    return n_all


def refuses_in_a_line(run: Run) -> None:
    def line() -> Iterator[Any]:
        yield (Numbered("work", 3),)
        raise UserError("the list is empty")

    run.driver.complete_lines([line()])  # type: ignore[list-item]


def breaks(run: Run) -> None:
    raise ValueError("the plan is wrong")


def dies(run: Run) -> None:
    os.kill(os.getpid(), signal.SIGKILL)
