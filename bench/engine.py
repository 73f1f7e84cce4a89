"""Measures the engine's overhead: units of a second against a pool of processes, and tiny units by number.

    python -m bench.engine [--seconds 1] [--units 40] [--rounds 3] [--tiny 200000] [--tiny-ray 20000]

Units of a second sleep, or keep a core busy; engine and pool take turns with the same units on the same number of
workers, and the ratio of the medians is printed beside the load of the machine: it means little unless the machine is
quiet. Tiny units do nothing; the driver's resident memory is printed as their number grows.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from manifests.lock import RunLock
from manifests.run_status import StageStatus
from pipeline.engine.run.driver import run_lines
from pipeline.engine.run.lines import one_chain
from pipeline.engine.run.merger import merging
from pipeline.engine.run.status_and_control import Desk
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import Executor, LocalExecutor
from pipeline.engine.work.unit import Context, Output, Resources, Unit

RSS_LINES = 10
SIZES = MergeSizes()
"""The sizes that a run uses."""


def sleep(seconds: float) -> None:
    time.sleep(seconds)


def burn(seconds: float) -> None:
    """Keeps a core busy for this much processor time."""
    until = time.process_time() + seconds
    while time.process_time() < until:
        sum(range(1000))


WORK = {"sleep": sleep, "cpu": burn}


@dataclass(frozen=True)
class Worked:
    """Units that each work for this long, and leave nothing."""

    kind: str
    seconds: float
    n_units: int
    name: str = "worked"
    resources: Resources = Resources(time_limit_s=600, memory_bytes=64 * 1024**2)

    def units(self, store: Store) -> Iterator[Unit]:
        """Numbered units."""
        yield from (Unit(f"u{i:07d}") for i in range(self.n_units))

    def process(self, unit: Unit, context: Context) -> Output:
        """Works for the unit's time."""
        if self.seconds:
            WORK[self.kind](self.seconds)
        return Output()


def by_engine(stage: Worked, executor: Executor, desk: Desk | None = None) -> float:
    """Wall-clock seconds for a stage in a new store, whose commits are merged beside it as in a run."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        with RunLock(store) as lock, merging(store, lock, SIZES) as merger:
            began, desk = time.perf_counter(), desk or Desk(store, publishes=False)
            run_lines([one_chain(stage)], store, executor, lock, desk=desk, between=merger.tick)
            return time.perf_counter() - began


def by_pool(stage: Worked, pool: ProcessPoolExecutor) -> float:
    """Wall-clock seconds for the same work in a pool."""
    began = time.perf_counter()
    list(pool.map(WORK[stage.kind], [stage.seconds] * stage.n_units))
    return time.perf_counter() - began


def compare(kind: str, seconds: float, n_units: int, rounds: int, executor: Executor, n_workers: int) -> None:
    """Prints the ratio of engine to pool, after one small round that starts the workers of both."""
    stage, small = Worked(kind, seconds, n_units), Worked(kind, 0.05, 4 * n_workers)
    times: dict[str, list[float]] = {"engine": [], "pool": []}
    with ProcessPoolExecutor(n_workers) as pool:
        by_engine(small, executor)
        by_pool(small, pool)
        for _ in range(rounds):
            times["engine"].append(by_engine(stage, executor))
            times["pool"].append(by_pool(stage, pool))
    engine, plain = (statistics.median(times[name]) for name in ("engine", "pool"))
    each = ", ".join(f"{e:.2f}/{p:.2f}" for e, p in zip(times["engine"], times["pool"], strict=True))
    print(
        f"{kind}: {n_units} units of {seconds:g} s on {n_workers} workers: engine {engine:.2f} s, pool {plain:.2f} s, "
        f"ratio {engine / plain:.3f} ({each}); load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )


def rss_mb() -> float:
    """Current resident memory of this process, MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def count(where: str, n_units: int, executor: Executor) -> None:
    """Prints the driver's memory and the rate while this many units that do nothing go by."""
    every, began, said = n_units // RSS_LINES, time.perf_counter(), 0

    def watch(status: StageStatus) -> None:
        nonlocal said
        if status.done >= said + every:
            said = status.done
            rate = status.done / (time.perf_counter() - began)
            print(f"{where}: {status.done:>8,} units, {rate:,.0f} a second, driver {rss_mb():.0f} MB", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Store(folder), publishes=False, tell=watch)
        seconds = by_engine(Worked("sleep", 0.0, n_units), executor, desk)
    print(f"{where}: {n_units:,} tiny units in {seconds:.1f} s, {1000 * seconds / n_units:.2f} ms each", flush=True)


def main() -> None:
    """Parses the command line and runs the measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--units", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", type=int, default=200_000)
    parser.add_argument("--tiny-ray", type=int, default=20_000)
    arguments = parser.parse_args()
    os.environ.setdefault("RAY_worker_niceness", "0")  # like the pool's; Ray's 15 would compare two priorities
    from pipeline.engine.on_ray.cluster import RayExecutor

    n_workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.tiny:
            count("local", arguments.tiny, LocalExecutor(Path(scratch)))
        executor = RayExecutor(Path(scratch), n_cpus=n_workers)
        try:
            for kind in WORK if arguments.rounds else ():
                compare(kind, arguments.seconds, arguments.units, arguments.rounds, executor, n_workers)
            if arguments.tiny_ray:
                count("ray", arguments.tiny_ray, executor)
        finally:
            executor.close()


if __name__ == "__main__":
    main()
