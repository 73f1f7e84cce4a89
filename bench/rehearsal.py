"""Rehearses a whole run on a virtual clock: the real recipe, planner, loop, commits, merges and manifests over an
imagined site and imagined workers.

    python -m bench.rehearsal [--videos 2000] [--workers 500] [--world paper] [--searches] [--plans in-loop]
    python -m bench.rehearsal --videos 2000 20000 100000 --keep out/rehearsal --results out/rehearsal.jsonl

Nothing is fetched or decoded: units take virtual time (`world/work.py`), and give rows drawn from a distribution
(`world/*.toml`), which are written, committed, merged, planned from and published as in any run. Packs and shards have
rows and entries but no bytes of media. The clock goes by what is waited for and by the driver's own processor time, the
latency of its requests, and what Ray takes for each task.

The site is asked AHEAD times as fast as the workers need it, so that they, and not it, are what a run waits for.
"""

import argparse
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from bench.world.accounts import (
    FREED_MEMORY_RETURNS,
    LISTS,
    MERGES,
    PLANS,
    Accounts,
    Sample,
    Spent,
    objects_in,
    own_mb,
    percentile,
)
from bench.world.cluster import Cluster, Ended
from bench.world.distribution import Distribution, read_distribution
from bench.world.driven import InlinePool, WatchedSession
from bench.world.page import add_result
from bench.world.videos import World
from bench.world.work import RESULTS_A_PAGE, Work
from hdvila_testing.requests import count_requests
from pipeline.config import RunConfig
from pipeline.crawl.plan import BATCH_VIDEOS
from pipeline.engine.run import clock
from pipeline.engine.run.merger import Merger
from pipeline.engine.work.executor import Finished
from pipeline.run import road, session
from pipeline.run.costs import read_costs

log = logging.getLogger("bench.rehearsal")

AHEAD = 1.5
A_ROUND, IDENTITIES = 20_000, 500
"""A large round of the crawl, in candidates, is under way as a whole: each identity has two units in flight."""
N_SAMPLES = 50
LOOSE = (
    "commits",
    "listings",
    "sources",
    "candidates",
    "videos",
    "captions",
    "transcripts",
    "clips",
    "packs",
    "rejects",
)
"""Folders whose objects merges take up."""


@dataclass(slots=True)
class Found:
    """What a rehearsal found."""

    world: str
    n_videos: int
    n_workers: int
    plans: str
    searches: bool
    samples: list[Sample] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def config_of(
    world: World, folder: Path, *, searches: bool = False, identities: int = IDENTITIES, **balance: Any
) -> RunConfig:
    """The configuration of a run that wants this world's videos: default shards, batches and rounds."""
    of = world.distribution
    clips = world.n_videos * of.clips_mean * (1 - of.rejected_media) * (1 - of.failed_clips)
    weights = {str(i): share for i, share in zip(world.category_ids.tolist(), world.shares.tolist(), strict=True)}
    pool = [{"name": f"imagined-{n}", "videos_per_hour": 2000} for n in range(identities)]
    is_off = {"reuploads": False, "repeated_sentences": False}
    return RunConfig.model_validate(
        {
            "out": str(folder),
            "name": "rehearsal",
            "seed": world.seed,
            "crawl": {"sources": ["search"], "queries": world.queries(), "identities": pool},
            "balance": {
                "policy": "weights",
                "weights": weights,
                "unit": "clips",
                "total": round(clips),
                "max_hours_per_category": 1e6,
                "text_duplicates": {} if searches else is_off,
                **balance,
            },
            "media": {"duplicates": {"action": "drop" if searches else "off"}},
            "engine": {"executor": "local"},
        }
    )


def work_of(world: World, n_workers: int, scratch: Path, *, searches: bool = False) -> Work:
    """The work of a world whose site is asked AHEAD times as fast as these workers need."""
    of, an_hour = world.distribution, read_costs()["media_cpu_s_a_source_hour"].value
    a_video_s = of.clips_mean * of.clip_ms / 1000 / of.spoken / 3600 * an_hour
    a_round_s = min(A_ROUND, world.n_candidates // 3) / (n_workers / a_video_s * of.candidates_a_video * AHEAD)
    n_pages = of.results_a_query / RESULTS_A_PAGE
    return Work(world, scratch, 0.5 * a_round_s / BATCH_VIDEOS, 0.25 * a_round_s / n_pages, is_wide=searches)


@dataclass(slots=True)
class Rehearsal:
    """One rehearsal: a run in `folder`, ended and started again as often as its world says."""

    world: World
    config: RunConfig
    n_workers: int
    accounts: Accounts
    work: Work
    kill_after: int = 0
    """Kills this process after so many attempts that ended; 0: never."""
    samples: list[Sample] = field(default_factory=list)
    n_made: int = 0
    n_ended: int = 0
    restarts_s: list[float] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    cluster: Cluster = field(init=False)
    _seen_standstills: int = 0
    _seen_plans: int = 0

    def __post_init__(self) -> None:
        self.cluster = Cluster(self.n_workers, self.accounts, self.work, seen=self._see, seed=self.world.seed)

    def run(self) -> None:
        """Runs to the end."""
        with self.imagined():
            while not self._run_once():
                pass
            self._sample()

    @contextmanager
    def imagined(self) -> Iterator[None]:
        """Runs inside the block go by the virtual clock, on the imagined cluster."""
        with clock.going_by(self.accounts), ExitStack() as stack:
            began = time.time()
            stack.enter_context(mock.patch("time.time", lambda: began + self.accounts.now()))
            stack.enter_context(mock.patch("os.fsync", lambda fd: None))  # this run need not survive a power cut
            stack.enter_context(mock.patch.multiple(session, build_executor=self._executor, merging=self._merging))
            stack.enter_context(mock.patch.object(session, "refuse_what_is_lost"))  # shards here have no bytes of media
            stack.enter_context(mock.patch.object(session, "Session", WatchedSession))
            yield

    def _run_once(self) -> bool:
        before = self.accounts.loop.cpu_s
        try:
            with session.open_run(self.config) as opened:
                self.restarts_s.append(self.accounts.loop.cpu_s - before)
                self.missing = road.recipe(opened.run()).accounts.lines(5)
        except Ended:
            return False
        return True

    def _executor(self, config: RunConfig) -> Cluster:
        return self.cluster

    @contextmanager
    def _merging(self, store: Any, lock: Any, sizes: Any) -> Iterator[Merger]:
        yield Merger(store, lock, sizes, _pool=InlinePool(self.accounts, MERGES))

    def _see(self, finished: Finished) -> None:
        self.n_ended += 1
        if self.n_ended == self.kill_after:
            os.kill(os.getpid(), 9)
        if finished.stage != "media" or not finished.outcome.facts:
            return
        self.n_made += 1
        if self.n_made % max(1, self.world.n_videos // N_SAMPLES) == 0:
            self._sample()
        n_restarts = self.world.distribution.restarts
        if self.n_made % max(1, self.world.n_videos // (n_restarts + 1)) == 0 and len(self.restarts_s) <= n_restarts:
            raise Ended

    def _sample(self) -> None:
        accounts = self.accounts
        plans, merges, workers, searches, lists = (
            accounts.apart.get(name, Spent()) for name in (PLANS, MERGES, "workers", "searches", LISTS)
        )
        loop = accounts.loop + lists
        objects = objects_in(Path(self.config.out))
        standstills = accounts.standstills_s[self._seen_standstills :]
        seen_plans = accounts.plans_s[self._seen_plans :]
        self._seen_standstills, self._seen_plans = len(accounts.standstills_s), len(accounts.plans_s)
        self.samples.append(
            Sample(
                hours=accounts.now() / 3600,
                n_videos=self.n_made,
                loop_s=loop.cpu_s,
                plans_s=plans.cpu_s,
                merges_s=merges.cpu_s,
                own_s=workers.cpu_s + searches.cpu_s,
                mb=own_mb(),
                n_requests=round(loop.n_requests + plans.n_requests),
                n_merge_requests=round(merges.n_requests),
                n_objects=sum(objects.values()),
                n_loose=sum(objects[name] for name in LOOSE),
                p99_s=percentile(standstills, 99),
                longest_s=max(standstills, default=0.0),
                longest_plan_s=max(seen_plans, default=0.0),
            )
        )
        log.info("%s", self.samples[-1])


def rehearse(
    distribution: Distribution, n_videos: int, n_workers: int, folder: Path, *, searches: bool = False,
    plans_count: bool = False, kill_after: int = 0, seed: int = 0, **balance: Any,
) -> Found:  # fmt: skip
    """Rehearses a run into a folder, or goes on with one that was killed."""
    world = World(distribution, n_videos, seed)
    config = config_of(world, folder, searches=searches, **balance)
    with count_requests() as requests, tempfile.TemporaryDirectory() as scratch:
        accounts = Accounts(requests, sum(distribution.latency_s) / 2, plans_count)
        work = work_of(world, n_workers, Path(scratch), searches=searches)
        rehearsal = Rehearsal(world, config, n_workers, accounts, work, kill_after)
        rehearsal.run()
        found = Found(distribution.name, n_videos, n_workers, "in the loop" if plans_count else "beside", searches)
        found.samples = rehearsal.samples
        found.facts = facts_of(rehearsal)
    return found


def facts_of(rehearsal: Rehearsal) -> dict[str, Any]:
    """The numbers of a whole rehearsal."""
    accounts, cluster, last = rehearsal.accounts, rehearsal.cluster, rehearsal.samples[-1]
    store = session.open_store(rehearsal.config)
    standing = accounts.standstills_s
    n_units = sum(len(store.committed(stage)) for stage in store.stages())
    driver_s = last.loop_s + last.plans_s
    return {
        "candidates": store.count_rows("candidates"),
        "videos": store.count_rows("videos"),
        "clips": store.count_rows("packs"),
        "shards": len(store.committed("shards")),
        "rounds": len(store.names("rounds")),
        "batches": len(store.names("batches")),
        "generations": len(store.names("generations")),
        "missing": rehearsal.missing,
        "units": n_units,
        "busy": cluster.busy(),
        "lost_hours": cluster.lost_s / 3600,
        "ends": {end.value: n for end, n in sorted(cluster.ends.items())},
        "hours": last.hours,
        "loop_ms_a_unit": 1000 * last.loop_s / n_units,
        "driver_share": (driver_s + last.merges_s) / 3600 / last.hours,
        "standstill_p99_s": percentile(standing, 99),
        "standstill_longest_s": max(standing, default=0.0),
        "standing_over_1_s": sum(one for one in standing if one > 1) / 3600 / last.hours,
        "plan_p50_s": percentile(accounts.plans_s, 50),
        "plan_p99_s": percentile(accounts.plans_s, 99),
        "plan_longest_s": max(accounts.plans_s, default=0.0),
        "restarts_cpu_s": rehearsal.restarts_s,
        "peak_mb": max(sample.mb for sample in rehearsal.samples),
    }


def main() -> None:
    """Rehearses each size, prints its numbers, and keeps them as lines of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="+", default=[2_000])
    parser.add_argument("--workers", type=int, default=500)
    parser.add_argument("--world", default="paper", help="paper, tiny_channels, restarts, or a file.toml")
    parser.add_argument(
        "--plans", choices=("beside", "in-loop"), default="beside", help="whether the loop waits for plans"
    )
    parser.add_argument(
        "--searches", action="store_true", help="rows as wide as real ones, and all searches for repeats on"
    )
    parser.add_argument("--under-way", type=int, default=6, help="batches of media at a time")
    parser.add_argument("--batch", type=int, default=5_000, help="videos of a batch")
    parser.add_argument("--keep", type=Path, default=None, help="folder that keeps the output directories")
    results_help = "file.jsonl that gets a line for each rehearsal; beside it a table of all, and the last one's curves"
    parser.add_argument("--results", type=Path, default=None, help=results_help)
    given = parser.parse_args()
    if not os.environ.keys() >= FREED_MEMORY_RETURNS.keys():
        again = [sys.executable, "-m", "bench.rehearsal", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, **FREED_MEMORY_RETURNS})
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("hdvila").setLevel(logging.ERROR)
    log.setLevel(logging.INFO)
    balance = {
        "batches_under_way": given.under_way,
        "batch_videos": given.batch,
        "batch_candidates": 4 * given.batch,
    }
    for n_videos in given.videos:
        with ExitStack() as stack:
            folder = given.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rehearsal-")))
            before_s = time.process_time()
            found = rehearse(
                read_distribution(given.world), n_videos, given.workers, folder / str(n_videos),
                searches=given.searches, plans_count=given.plans == "in-loop", **balance,
            )  # fmt: skip
            found.facts["cpu_s"] = round(time.process_time() - before_s)
        if given.results:
            add_result(given.results, asdict(found))
        print(json.dumps(found.facts, indent=1), flush=True)


if __name__ == "__main__":
    main()
