"""Simulates how busy a cluster is kept: the driver's own loop and planner, with imaginary workers.

    python -m bench.simulate [--workers 500 2000] [--videos 60000 240000] [--under-way 6 16]

The loop (pipeline.engine.run.driver), the lines and batches of media (pipeline.run.road) and the tables that
they plan from are those of a run. The workers are not real: an attempt takes a time drawn for its video, by a clock
that jumps from the end of one attempt to the next. The driver's own CPU time, including planning, is added to that
clock, so that a slow loop shows. Downloads are never the bottleneck, and the crawl is over.

A video's time is its length times one of the measured costs of an hour (pipeline/run/costs.json, `each` of
media_cpu_s_a_source_hour). Lengths are drawn log-normal around the mean of HD-VILA-100M's videos, up to the crawl's
limit of two hours: the spread is assumed. One attempt in a hundred is lost at some point, and made again.

For each number of workers two lines: batches as configured, longest first; and, in the same process, batches of 5,000
one after the other in the order of their ranks. `busy` is the worker time spent on successful attempts, divided by
workers times the time of the whole run, including its end, when the last long videos are made;
`until the last began` is the same for the time before that, which is nearly all of it in a run of millions.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import logging
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pyarrow as pa

from manifests.categories import load_categories
from manifests.run_status import StageStatus
from manifests.schema import TABLES
from pipeline.config import RunConfig
from pipeline.engine.run import clock
from pipeline.engine.run.lock import RunLock
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.store.commits import Facts
from pipeline.engine.store.segments import Head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.attempt import End, Outcome
from pipeline.engine.work.executor import Finished
from pipeline.engine.work.unit import Stage, Unit
from pipeline.media.row_index import RowIndex
from pipeline.media.stage import MediaStage
from pipeline.run import road
from pipeline.run.batches import Batches, Gathered
from pipeline.run.costs import read_costs
from pipeline.run.session import Session

CLIPS_A_VIDEO = 3
"""Fewer than real videos have: bench/scale.py measures the time of a plan at full width."""
VIDEOS_A_PART = 5_000
SPREAD = 1.0
"""Standard deviation of the logarithm of a video's length: the longest in a thousand are twenty times the median."""
LOST = 0.01
FAILED_CLIPS = 0.1


class Jumping:
    """A clock that advances by the waiting times, and by the CPU time of this process times `charge`."""

    def __init__(self, charge: float = 1.0) -> None:
        self._charge, self._jumped, self._began = charge, 0.0, time.process_time()

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._jumped + self._charge * (time.process_time() - self._began)

    def sleep(self, seconds: float) -> None:
        """Jumps ahead."""
        self._jumped += max(0.0, seconds)

    @property
    def driver_s(self) -> float:
        """CPU seconds so far."""
        return time.process_time() - self._began


@dataclass(order=True, slots=True)
class _Running:
    ends_at: float
    number: int
    began_at: float = field(compare=False)
    finished: Finished = field(compare=False)


class Imagined:
    """An Executor with imaginary workers: units take `seconds` by name, and their results come from `make`."""

    def __init__(
        self,
        n_workers: int,
        time_of: Jumping,
        seconds: Mapping[str, float],
        make: Callable[[str, Unit], Facts],
        *,
        lost: float = LOST,
        seed: int = 0,
    ) -> None:
        self.n_slots, self.n_without_slot = n_workers, 0
        self.useful_s = self.lost_s = self.last_began = 0.0
        self._useful: list[tuple[float, float]] = []
        self._clock, self._seconds, self._make, self._lost = time_of, seconds, make, lost
        self._rng = np.random.default_rng(seed)
        self._running: list[_Running] = []
        self._queue: deque[tuple[str, Unit, int, float]] = deque()
        self._numbers = itertools.count()

    def begin(self, stage: Stage, store: Store) -> None:
        """See Executor."""

    def submit(self, stage: str, unit: Unit, attempt: int, *, alone: bool = False) -> None:
        """See Executor."""
        self._queue.append((stage, unit, attempt, self._clock.now()))
        self._start(self._clock.now())

    def _start(self, at: float) -> None:
        """Gives queued units to free workers, from a time on that may be past."""
        while self._queue and len(self._running) < self.n_slots:
            stage, unit, attempt, since = self._queue.popleft()
            began, takes_s = max(at, since), self._seconds[unit.name]
            outcome = Outcome(End.DONE, host=f"worker{self._rng.integers(self.n_slots)}")
            if self._rng.random() < self._lost:
                takes_s *= self._rng.random()
                outcome = Outcome(End.LOST, detail="drawn", host=outcome.host)
            self.last_began = max(self.last_began, began)
            finished = Finished(stage, unit, attempt, outcome)
            heapq.heappush(self._running, _Running(began + takes_s, next(self._numbers), began, finished))

    def collect(self, timeout_s: float) -> Finished | None:
        """See Executor. Jumps to the next end of an attempt, but no further than the timeout."""
        now = self._clock.now()
        if not self._running or self._running[0].ends_at > now + timeout_s:
            self._clock.sleep(timeout_s)
            return None
        one = heapq.heappop(self._running)
        self._clock.sleep(one.ends_at - now)
        self._start(one.ends_at)
        took_s, finished = one.ends_at - one.began_at, one.finished
        if finished.outcome.end is not End.DONE:
            self.lost_s += took_s
            return finished
        self.useful_s += took_s
        self._useful.append((one.began_at, one.ends_at))
        facts = {**self._make(finished.stage, finished.unit), "seconds": round(took_s, 3), "attempt": finished.attempt}
        return Finished(finished.stage, finished.unit, finished.attempt, Outcome(End.DONE, host="worker", facts=facts))

    @property
    def busy_until_the_last_began(self) -> float:
        """Share of worker time up to then that was spent on successful attempts."""
        spans = np.minimum(np.array(self._useful), self.last_began)
        return float((spans[:, 1] - spans[:, 0]).sum() / (self.n_slots * self.last_began))

    def fence(self, node: str) -> bool:
        """See Executor."""
        return False

    def drop_queued(self) -> dict[str, int]:
        """See Executor."""
        return {}

    def cancel_all(self) -> None:
        """See Executor."""

    def share(self, name: str, build: Callable[[], Any]) -> Any:
        """See Executor. Not used here."""

    def measure(self, status: StageStatus) -> None:
        """See Executor."""

    def close(self) -> None:
        """See Executor."""


@dataclass(frozen=True)
class Remembered(Store):
    """A store with its big tables in memory; commits, plans and status are files as usual."""

    tables: dict[str, list[pa.Table]] = field(default_factory=dict, compare=False)
    made: Callable[[list[str]], pa.Table] = field(default=lambda ids: pa.table({}), compare=False)

    def commit_all(self, stage: str, units: Mapping[str, Facts]) -> None:
        """See Store. The results of the units count from now on too."""
        super().commit_all(stage, units)
        self.tables.setdefault("packs", []).append(self.made(list(units)))

    def loose_parts(self, head: Head, folder: str) -> list[Part]:
        """See Store. A part of a table in memory is named by its number, which does not change."""
        if folder not in self.tables:
            return super().loose_parts(head, folder)
        return [Part(folder, f"{number:06d}", f"{folder}/{number}") for number in range(len(self.tables[folder]))]

    def _read_part(self, part: Part, columns: list[str] | None, *, keep: bool = True) -> pa.Table:
        if part.stage not in self.tables:
            return super()._read_part(part, columns, keep=keep)
        table = self.tables[part.stage][int(part.unit)]
        return table if columns is None else table.select([name for name in columns if name in table.column_names])


class InRankOrder(MediaStage):
    """Units in the order of their ranks, as in versions before the longest came first."""

    def units(self, store: Store) -> list[Unit]:
        """See Stage."""
        place = {video_id: n for n, video_id in enumerate(self.video_ids)}
        return sorted(super().units(store), key=lambda unit: place[unit.name])


@dataclass(frozen=True, slots=True)
class Result:
    """Shares of worker time in [0, 1]; hours by the simulated clock; CPU seconds of this process."""

    busy: float
    busy_until_the_last_began: float
    lost: float
    hours: float
    driver_s: float
    n_batches: int


def lengths_s(n: int, rng: np.random.Generator, most_s: float) -> np.ndarray:
    """[N] lengths of videos: log-normal around HD-VILA-100M's mean, none longer than the crawl's limit."""
    costs = read_costs()
    mean_s = 3600 * costs["clip_hours_a_video"].value * costs["source_hours_a_clip_hour"].value
    drawn = rng.lognormal(np.log(mean_s) - SPREAD**2 / 2, SPREAD, n)
    return np.asarray(np.clip(drawn, 30.0, most_s))


def simulate(
    n_workers: int, n_videos: int, folder: Path, settings: Mapping[str, Any], *, longest_first: bool = True,
    lost: float = LOST, charge: float = 1.0, seed: int = 0,
) -> Result:  # fmt: skip
    """Runs the media of `n_videos` on `n_workers`. `charge` 0: the driver's own time does not count."""
    settings = {"text_duplicates": {"reuploads": False, "repeated_sentences": False}, **settings}
    config = RunConfig.model_validate(
        {"out": str(folder), "balance": settings, "media": {"duplicates": {"action": "off"}}}
    )
    rng = np.random.default_rng(seed)
    ids = [f"v{number:010d}" for number in range(n_videos)]
    length_s = lengths_s(n_videos, rng, config.crawl.limits.max_duration_s)
    an_hour = read_costs()["media_cpu_s_a_source_hour"]
    takes_s = length_s / 3600 * rng.choice(np.array(an_hour.each or (an_hour.value,)), n_videos)
    store = Remembered(str(folder), tables=_tables(ids, length_s, config, rng), made=_packs)
    stage = vars(road)["MediaStage"]
    vars(road)["MediaStage"] = stage if longest_first else InRankOrder
    log, jumping = logging.getLogger("hdvila"), Jumping(charge)
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with clock.going_by(jumping), RunLock(store) as lock:
            seconds = dict(zip(ids, takes_s.tolist(), strict=True))
            workers = Imagined(n_workers, jumping, seconds, _facts, lost=lost, seed=seed)
            session = Session(config, store, workers, lock, Desk(store))
            run = session.run()
            gathered = Gathered(n_rounds=10**6, is_over=True)
            batches = Batches.of(run, gathered)
            batches.decide = lambda: setattr(batches, "n_decided", batches.n_over)
            index = RowIndex()
            lines = [road.media(run, batches, index) for _ in range(config.balance.batches_under_way)]
            session.complete_lines(lines)
            whole_s = n_workers * jumping.now()
    finally:
        log.setLevel(level)
        vars(road)["MediaStage"] = stage
    if len(store.committed("media")) != n_videos:
        raise RuntimeError(f"{len(store.committed('media'))} of {n_videos} videos were made")
    return Result(
        busy=workers.useful_s / whole_s,
        busy_until_the_last_began=workers.busy_until_the_last_began,
        lost=workers.lost_s / whole_s,
        hours=jumping.now() / 3600,
        driver_s=jumping.driver_s,
        n_batches=sum(bool(batch.video_ids) for batch in batches.batches),
    )


def _facts(stage: str, unit: Unit) -> Facts:
    return {"rows": {"packs": CLIPS_A_VIDEO}, "rejects": {}, "parts": {}, "bytes": 10**8}


def _packs(ids: list[str]) -> pa.Table:
    n = len(ids) * CLIPS_A_VIDEO
    failed = np.array([crc32(name.encode()) % 1000 < 1000 * FAILED_CLIPS for name in ids for _ in range(CLIPS_A_VIDEO)])
    columns = {
        "video_id": np.repeat(np.array(ids, object), CLIPS_A_VIDEO).tolist(),
        "n": np.tile(np.arange(CLIPS_A_VIDEO, dtype=np.int32), len(ids)),
        "duration_ms": np.full(n, 13_400),
        "status": np.where(failed, "failed", "success").tolist(),
        "reason": np.where(failed, "silent", "").tolist(),
    }
    schema = TABLES["packs"]
    return pa.table({name: pa.array(values, schema.field(name).type) for name, values in columns.items()})


def _tables(
    ids: list[str], length_s: np.ndarray, config: RunConfig, rng: np.random.Generator
) -> dict[str, list[pa.Table]]:
    """Makes `candidates`, `videos` and `clips` of the whole crawl; four candidates per video, one round per batch."""
    categories = np.array([category.id for category in load_categories()], np.int32)
    tables: dict[str, list[pa.Table]] = {"candidates": [], "videos": [], "clips": [], "packs": []}
    size = max(1, config.balance.batch_candidates // 4)
    for first in range(0, len(ids), VIDEOS_A_PART):
        some = ids[first : first + VIDEOS_A_PART]
        rounds = (np.arange(first, first + len(some)) // size).astype(np.int32)
        tables["candidates"].append(pa.table({"round": np.repeat(rounds, 4)}))
        columns = {
            "video_id": some,
            "category_id": categories[rng.integers(len(categories), size=len(some))],
            "channel_id": [f"UC{n // 20:022d}" for n in range(first, first + len(some))],
            "url": [f"https://www.youtube.com/watch?v={name}" for name in some],
            "duration_s": length_s[first : first + len(some)],
            "media_path": [""] * len(some),
            "round": rounds,
        }
        schema = TABLES["videos"]
        tables["videos"].append(pa.table({k: pa.array(v, schema.field(k).type) for k, v in columns.items()}))
        number = np.tile(np.arange(CLIPS_A_VIDEO, dtype=np.int32), len(some))
        starts = number.astype(np.int64) * 20_000
        names = np.repeat(np.array(some, object), CLIPS_A_VIDEO).tolist()
        columns = {"video_id": names, "start_ms": starts, "end_ms": starts + 13_400}
        schema = TABLES["clips"]
        tables["clips"].append(pa.table({k: pa.array(v, schema.field(k).type) for k, v in columns.items()}))
    return tables


def main() -> None:
    """Prints two lines for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="+", default=[500, 2000])
    parser.add_argument("--videos", type=int, nargs="+", default=[60_000, 240_000], help="one for each of --workers")
    parser.add_argument("--under-way", type=int, nargs="+", default=[6, 16], help="batches, one for each of --workers")
    parser.add_argument("--lost", type=float, default=LOST, help="share of attempts that are lost")
    given = parser.parse_args()
    for n_workers, n_videos, n_under_way in zip(given.workers, given.videos, given.under_way, strict=True):
        ways: dict[str, tuple[Mapping[str, Any], bool]] = {
            f"{n_under_way} batches of 5,000, longest first": ({"batches_under_way": n_under_way}, True),
            "5,000 one after the other, by rank": ({"batches_under_way": 1}, False),
        }
        for way, (settings, longest_first) in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                found = simulate(
                    n_workers, n_videos, Path(folder), settings, longest_first=longest_first, lost=given.lost
                )
            print(
                f"{n_workers:5d} workers, {n_videos:,} videos, {way}: {found.busy:.1%} busy "
                f"({found.busy_until_the_last_began:.1%} until the last began; {found.lost:.1%} more on lost ones), "
                f"{found.n_batches} batches, {found.hours:.2f} h, driver {found.driver_s:.0f} CPU s, "
                f"{1e6 * found.driver_s / n_videos:.0f} us a video",
                flush=True,
            )


if __name__ == "__main__":
    main()
