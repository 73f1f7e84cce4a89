"""A week of an operator on a virtual clock: what a run of this size says, and what its commands print, when things go
wrong.

    python -m bench.walk [--videos 100000] [--keep out/walk]

The run is a rehearsal's (`bench.rehearsal`): real planner, loop, commits, merges, shards, manifest and report over an
imagined site, at a pace that its identities set, so that it lasts about a week. The operator is imagined too, but types
real commands, and what they print is printed here. Pauses of identities are the product's own: each look reports to its
Politeness what the site answered.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import io
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

from bench.rehearsal import Rehearsal, config_of
from bench.world.accounts import FREED_MEMORY_RETURNS, Accounts
from bench.world.cluster import MINUTE_S, Cluster
from bench.world.distribution import read_distribution
from bench.world.videos import World
from bench.world.work import Work
from hdvila_testing.requests import count_requests
from manifests.errors import UserError
from manifests.hashing import hash_name
from manifests.reasons import Reason
from pipeline import cli
from pipeline.config import RunConfig
from pipeline.engine.run.drain import StopRequest
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, Outcome
from pipeline.engine.work.executor import Finished, SharedHere
from pipeline.engine.work.unit import Unit
from pipeline.report.summary import Delivered, print_summary
from pipeline.run import road, session
from pipeline.run.estimate import expected_of
from pipeline.site.failures import Failure, Pause
from pipeline.site.pauses import describe_pauses
from pipeline.site.politeness import Politeness

log = logging.getLogger("hdvila")

HOUR_S = 3600.0
N_IDENTITIES, N_SLOTS, SLOTS_A_NODE = 25, 12, 4
CRAWL_HOURS = 150
LOOKS = (0.2, 1, 6, 21, 31, 32, 56, 80.4, 81.5, 104, 140)
"""When the operator looks, in hours since the begin: before, in and after each trouble."""
FENCED_S = HOUR_S / 2

TOO_FAST = Failure(Reason.RATE_LIMITED, "HTTP 429 for /youtubei/v1/player", Pause.HARD, reached=True)
NOT_A_BOT = Failure(Reason.BOT_CHECK, "Sign in to confirm you're not a bot", Pause.HARD, reached=True)
NO_ANSWER = Failure(Reason.CONNECTION_RESET, "Connection reset by peer", Pause.SOFT)
TROUBLES: tuple[tuple[float, float, Failure, range], ...] = (
    (20, 22, TOO_FAST, range(0, N_IDENTITIES, 3)),
    (30, 1000, NOT_A_BOT, range(7, 8)),
    (80, 80.5, NO_ANSWER, range(N_IDENTITIES)),
)
"""From hour to hour: what the site answers to which identities."""
DISK_FULL = (55, 57, 1)
"""From hour to hour: the machine whose scratch is full."""


class Site(Cluster):
    """An imagined cluster whose site refuses identities, and one of whose disks fills up."""

    polite: Politeness
    config: RunConfig
    do_by_now: Callable[[], None]
    fenced: dict[str, float]
    seconds_a_candidate: float
    paused: tuple[str, ...] = ()

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Executor. The real Politeness, by the virtual clock."""
        if name != "politeness":
            return super().share(name, build)
        crawl, of = self.config.crawl, self.accounts
        pool = {identity.name: identity.videos_per_hour for identity in crawl.pool()}
        store, dice = session.open_store(self.config), random.Random(0)
        self.polite = Politeness(crawl.politeness, pool, store=store, dice=dice, clock=of.now, wall_clock=time.time)
        return SharedHere(self.polite)

    def collect(self, timeout_s: float) -> Finished | None:
        """See Executor. What the operator does comes first. Where nothing ends, the loop wakes once a minute: of a week
        of every two seconds most of the bench would be such looks.
        """
        self.do_by_now()
        self._watch()
        return super().collect(max(timeout_s, MINUTE_S))

    def _watch(self) -> None:
        """Says that identities are paused or active again, as `log_pauses_of` does by the real clock."""
        snapshot = self.polite.snapshot()
        named = (one["name"] for one in snapshot["identities"] if one["paused_s"] > 0 or one["by_hand"])
        paused = tuple(named)
        if paused != self.paused:
            log.warning("%s", describe_pauses(snapshot) or "all identities active again")
        self.paused = paused

    def fence(self, node: str) -> bool:
        """See Executor."""
        self.fenced[node] = self.accounts.now() + FENCED_S
        return True

    def _fill(self, at: float) -> None:
        """Machines that are fenced off get nothing."""
        kept = [slot for slot in self._free if self.fenced.get(f"node{slot // SLOTS_A_NODE}", 0.0) > at]
        self._free = [slot for slot in self._free if slot not in kept]
        super()._fill(at)
        self._free += kept

    def _begin(self, stage: str, unit: Unit, attempt: int, at: float, slot: int) -> None:
        if stage == "extract":
            self._ask(unit, at / HOUR_S)
        super()._begin(stage, unit, attempt, at, slot)
        first, last, node = DISK_FULL
        if stage == "media" and first <= at / HOUR_S < last and slot // SLOTS_A_NODE == node:
            begun = next(one for one in self._running if one.slot == slot)
            detail = f"[Errno {errno.ENOSPC}] No space left on device; free some space under /scratch"
            full = Outcome(End.PLACE, Reason.NO_DISK, detail, node=f"node{node}", host=f"node{node}")
            begun.finished = replace(begun.finished, outcome=full)

    def _ask(self, unit: Unit, hour: float) -> None:
        """Tells Politeness what the site answers to one of the identities that are not paused, and slows the rest."""
        self.polite._read_control()  # as each lease does
        asks = [
            one["name"] for one in self.polite.snapshot()["identities"] if not one["paused_s"] and not one["by_hand"]
        ]
        self._work.seconds_a_candidate = self.seconds_a_candidate * N_IDENTITIES / max(N_IDENTITIES / 2, len(asks))
        if not asks:
            return
        name = asks[hash_name(0, "asks", unit.name) % len(asks)]
        number = int(name.rpartition("-")[2])
        answers = [failure for begin, end, failure, whom in TROUBLES if begin <= hour < end and number in whom]
        for video_id in unit.ids if answers else unit.ids[:1]:
            asyncio.run(self.polite.report(name, video_id, answers[0] if answers else None))


@dataclass(slots=True)
class Operator:
    """What a person does and sees: real commands on the run's directory, by the hour."""

    out: str
    accounts: Accounts
    shapes: dict[str, int] = field(default_factory=dict)
    """How often a line of the log was said, by the line without its numbers."""

    def says(self, line: str) -> None:
        """Prints a line with the day and the time of day."""
        hours = self.accounts.now() / HOUR_S
        print(f"[day {1 + int(hours // 24)} {int(hours % 24):02d}:{int(hours * 60 % 60):02d}] {line}", flush=True)

    def types(self, *words: str) -> None:
        """Types a command of the product, and shows what it prints and its exit code."""
        self.says(f"$ hdvila-pipeline {' '.join(words)}".replace(self.out, "OUT"))
        said, code = io.StringIO(), 0
        with ExitStack() as stack:
            stack.enter_context(self.accounts.of("operator"))
            stack.enter_context(mock.patch("sys.argv", ["hdvila-pipeline", *words]))
            stack.enter_context(
                mock.patch.multiple("pipeline.cli", set_up_logging=mock.DEFAULT, return_freed_memory=mock.DEFAULT)
            )
            stack.enter_context(redirect_stdout(said))
            stack.enter_context(redirect_stderr(said))
            try:
                cli.main()
            except SystemExit as end:
                code = int(end.code or 0)
        print(said.getvalue().replace(self.out, "OUT").rstrip() + (f"\nexit {code}" if code else ""), flush=True)

    def hears(self, record: logging.LogRecord) -> None:
        """Shows a warning of the run: of those that differ in numbers alone the first three."""
        message = record.getMessage().replace(self.out, "OUT")
        shape = "".join("#" if letter.isdigit() else letter for letter in message)[:60]
        self.shapes[shape] = self.shapes.get(shape, 0) + 1
        if self.shapes[shape] <= 3:
            self.says(f"{record.levelname} {message}")


@dataclass(slots=True)
class Week:
    """The run, started again as often as it ends early, with an operator at its side."""

    rehearsal: Rehearsal
    operator: Operator
    todo: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """What is done at which hour, the next one last."""
    between: list[Callable[[], None]] = field(default_factory=list)
    """What is done before the run is started again."""
    stop: StopRequest = field(default_factory=StopRequest)
    refused: list[str] = field(default_factory=list)
    """Ids that somebody wants to be left out."""

    def __post_init__(self) -> None:
        out = self.operator.out
        looks = [(hour, lambda: self.operator.types("status", out)) for hour in LOOKS]
        acts = [
            (31.5, lambda: self.operator.types("identity", "pause", "imagined-7", out)),
            (100.0, lambda: self._stops("a change of the configuration", self._reconfigures)),
            (120.0, self._is_asked_to_remove),
            (130.0, self._fills_the_disk),
        ]
        self.todo = sorted(looks + acts, key=lambda one: -one[0])

    def do_by_now(self) -> None:
        """Does what is due."""
        while self.todo and self.todo[-1][0] * HOUR_S <= self.operator.accounts.now():
            self.todo.pop()[1]()

    def run(self) -> None:
        """Runs to the end."""
        while not self._run_once():
            pass
        self.operator.types("status", self.operator.out)
        for video_id in self.refused:
            self.operator.types("why", video_id, "--out", self.operator.out)
        self.operator.types("audit", self.operator.out)

    def _run_once(self) -> bool:
        self.stop, config = StopRequest(), self.rehearsal.config
        self.operator.says("$ hdvila-pipeline run run.yaml")
        try:
            with session.open_run(config, stop=self.stop, expected=expected_of(config)) as opened:
                made = road.recipe(opened.run())
                delivered = Delivered(made.manifest, made.balance, tuple(opened.results), made.accounts)
        except UserError as error:
            self.operator.says(f"{error}".replace(self.operator.out, "OUT"))
            print(f"exit {int(error.exit_code)}", flush=True)
            between, self.between = self.between, []
            if not between:  # nobody wanted this end, and the same start would meet it again
                sys.exit(int(error.exit_code))
            for done in between:
                done()
            return False
        self.operator.says("the run has ended")
        print_summary(delivered)
        print(f"exit {int(delivered.exit_code)}", flush=True)
        return True

    def _stops(self, why: str, then: Callable[[], None]) -> None:
        self.operator.says(f"$ kill -TERM, for {why}")
        self.stop.request("SIGTERM")
        self.between.append(then)

    def _reconfigures(self) -> None:
        """First a change that would mix two kinds of data, which is refused; then one that does not."""
        before = self.rehearsal.config
        more = with_value(before, "engine.outage_s", 2 * before.engine.outage_s)
        self.rehearsal.config = with_value(before, "text.clips.max_s", 30.0)
        self.between.append(lambda: setattr(self.rehearsal, "config", more))

    def _is_asked_to_remove(self) -> None:
        out = self.operator.out
        self.refused = [max(Store(out).committed("media"))]
        ids = Path(out).parent / "ids.txt"
        ids.write_text("\n".join(self.refused))
        self.operator.types("remove", out, "--ids", str(ids))
        opted_out = with_value(self.rehearsal.config, "crawl.opt_out", (str(ids),))
        self._stops("an opt-out", lambda: setattr(self.rehearsal, "config", opted_out))

    def _fills_the_disk(self) -> None:
        full = mock.patch.object(Store, "commit_all", side_effect=OSError(errno.ENOSPC, "No space left on device"))
        self.operator.says("the output's disk is full")
        full.start()
        self.between.append(full.stop)


def with_value(config: Any, key: str, value: Any) -> Any:
    """A configuration with another value of a key, which may be in a section."""
    section, _, rest = key.partition(".")
    return config.model_copy(update={section: with_value(getattr(config, section), rest, value) if rest else value})


def walk(n_videos: int, folder: Path) -> None:
    """Prints a week of a run that makes about so many videos into a folder."""
    world = World(replace(read_distribution("paper"), restarts=0, slots_a_node=SLOTS_A_NODE), n_videos, 0)
    config = config_of(world, folder / "out", identities=N_IDENTITIES)
    per_hour = world.n_candidates / CRAWL_HOURS / N_IDENTITIES
    pool = tuple(with_value(one, "videos_per_hour", per_hour) for one in config.crawl.identities)
    config = with_value(config, "crawl.identities", pool)
    with count_requests() as requests, tempfile.TemporaryDirectory() as scratch:
        accounts = Accounts(requests, sum(world.distribution.latency_s) / 2)
        work = Work(world, Path(scratch), 2 * HOUR_S / per_hour)
        rehearsal = Rehearsal(world, config, N_SLOTS, accounts, work)
        site = Site(N_SLOTS, accounts, work, seen=lambda finished: None, seed=world.seed)
        rehearsal.cluster = site
        operator = Operator(str(folder / "out"), accounts)
        week = Week(rehearsal, operator)
        site.config, site.do_by_now, site.fenced = config, week.do_by_now, {}
        site.seconds_a_candidate = work.seconds_a_candidate
        with rehearsal.imagined(), heard(operator):
            week.run()


@contextmanager
def heard(operator: Operator) -> Iterator[None]:
    """Inside the block the operator hears what the run logs."""
    handler, logger = logging.Handler(logging.WARNING), logging.getLogger("hdvila")
    handler.emit = operator.hears  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def main() -> None:
    """Prints the week."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, default=None, help="folder that keeps the output directory")
    given = parser.parse_args()
    if not os.environ.keys() >= FREED_MEMORY_RETURNS.keys():
        again = [sys.executable, "-m", "bench.walk", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **FREED_MEMORY_RETURNS})
    with tempfile.TemporaryDirectory(prefix="walk-") as folder:
        walk(given.videos, given.keep or Path(folder))


if __name__ == "__main__":
    main()
