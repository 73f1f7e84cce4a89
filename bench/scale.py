"""Measures what every global step of a run costs as an output directory grows: CPU, memory, requests, bytes, time.

    python -m bench.scale                              10k, 30k and 100k videos on disk, 10k and 30k on an S3 server
    python -m bench.scale --sizes 1000 3000 10000 --s3-sizes
    python -m bench.scale --world tiny_channels --sizes 1000 3000 --keep /dev/shm/stores --results costs.jsonl

Each step runs in a process of its own. Time is modelled for a bucket: processor time + requests that wait for one
another * 30 ms + bytes at 1 Gbit/s. Growth is value = fixed + factor * videos ** power, fitted to all sizes
(`scaling/growth.py`); from two sizes, the power through both. Values for 3.3 million videos were not run but
extrapolated, by that fit or along the line through the two largest sizes, whichever gives more.

`--results` keeps each measurement as a line, with the machine's load; what is in the file is not measured again, so
that several calls make one table.
"""

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.scaling.growth import Growth, grown_to, growth_of
from bench.world.accounts import FREED_MEMORY_RETURNS, own_mb
from bench.world.distribution import read_distribution
from bench.world.videos import World
from hdvila_testing.requests import count_requests
from hdvila_testing.s3 import s3_server
from pipeline.engine.store.store import Store

FULL_SIZE = 3_300_000
REQUEST_S = 0.030
BYTES_PER_S = 1e9 / 8
CPU_NOISE, MEMORY_NOISE = 0.1, 0.03
"""Processor time and peak memory of the same step differ by this much from run to run on a busy machine."""
REQUEST_NOISE = 0.1
"""Requests grow in steps, a segment at a time: a count is a little above or below the line through all sizes."""
LEAST_CPU_S, LEAST_REQUESTS, LEAST_BYTES = 0.05, 10, 100_000
"""Below these, growth is noise of the clock, or due to longer names."""


@dataclass(frozen=True)
class Cost:
    """The cost of one step on a store of one size."""

    cpu_s: float
    peak_mb: float
    base_mb: float
    n_requests: int
    n_sequential: int
    n_bytes: int
    wall_s: float
    error: str = ""
    load: float = math.nan
    """Number of programs that wanted a processor in the minute before."""

    @property
    def modelled_s(self) -> float:
        """The modelled time on a bucket, s."""
        return self.cpu_s + self.n_sequential * REQUEST_S + self.n_bytes / BYTES_PER_S


def main() -> None:
    """Builds the stores, runs the steps, prints a table for each kind of storage."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sizes", type=int, nargs="*", default=[10_000, 30_000, 100_000])
    options.add_argument("--s3-sizes", type=int, nargs="*", default=[10_000, 30_000])
    options.add_argument(
        "--world", default="paper", help="what stores are drawn from: a file of bench/world, or file.toml"
    )
    options.add_argument("--steps", nargs="*", default=None)
    options.add_argument("--keep", type=Path, default=None, help="folder that keeps the stores on disk")
    options.add_argument("--results", type=Path, default=None, help="file that keeps what was measured")
    options.add_argument(
        "--repeats", type=int, default=1, help="runs of each step; the one of least processor time counts"
    )
    options.add_argument("--one", nargs=4, metavar=("STEP", "URL", "VIDEOS", "OPTIONS"), help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        step, url, n_videos, storage = asked.one
        print(
            json.dumps(
                asdict(run_one(step, url, World(read_distribution(asked.world), int(n_videos)), json.loads(storage)))
            )
        )
        return
    results = Results(asked.results, asked.repeats, asked.world)
    with ExitStack() as stack:
        folder = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-scale-")))
        if asked.sizes:
            stores = [Store(str(folder / str(n))) for n in asked.sizes]
            measure("disk", stores, asked.sizes, asked.steps, results)
        if asked.s3_sizes:
            server = stack.enter_context(s3_server())
            os.environ |= server.environment
            stores = [server.store(str(n)) for n in asked.s3_sizes]
            for store, n_videos in zip(stores, asked.s3_sizes, strict=True):
                upload(folder / str(n_videos), store)
            measure("S3 (moto)", stores, asked.s3_sizes, asked.steps, results)


@dataclass(frozen=True)
class Results:
    """The measurements, kept in a file with a line each if one is given."""

    path: Path | None
    n_runs: int = 1
    world: str = "paper"

    def cost(self, where: str, step: str, store: Store, n_videos: int) -> Cost:
        """Returns the kept cost of a step, or measures it now."""
        kept = self._kept(where, step, n_videos)
        if kept:
            return kept
        costs = [_in_a_process(step, store, n_videos, self.world) for _ in range(self.n_runs)]
        cost = min(costs, key=lambda one: (bool(one.error), one.cpu_s))
        if self.path and not cost.error:
            with self.path.open("a") as file:
                file.write(json.dumps({**self._key(where, step, n_videos), **asdict(cost)}) + "\n")
        return cost

    def _kept(self, where: str, step: str, n_videos: int) -> Cost | None:
        lines = self.path.read_text().splitlines() if self.path and self.path.exists() else []
        for facts in map(json.loads, lines):
            key = self._key(where, step, n_videos)
            if {name: facts.pop(name) for name in key} == key:
                return Cost(**facts)
        return None

    def _key(self, where: str, step: str, n_videos: int) -> dict[str, str | int]:
        return {"where": where, "step": step, "videos": n_videos, "world": self.world}


def measure(
    where: str, stores: Sequence[Store], sizes: Sequence[int], names: Sequence[str] | None, results: Results
) -> None:
    """Builds missing stores, runs each step on each size, smallest first, and prints the table as it comes."""
    for store, n_videos in zip(stores, sizes, strict=True):
        if not store.exists("manifest.json"):
            started = time.monotonic()
            _in_a_process("make", store, n_videos, results.world)
            took = time.monotonic() - started
            print(f"{where}: {n_videos:,} videos in {took:.0f} s, {objects_of(store)}", file=sys.stderr, flush=True)
    print(f"\n{where}, {', '.join(f'{n:,}' for n in sizes)} videos\n", flush=True)
    print("\n".join(HEAD), flush=True)
    from bench.scaling.steps import STEPS

    for name in names or STEPS:
        costs = []
        for store, n_videos in zip(stores, sizes, strict=True):
            costs.append(results.cost(where, name, store, n_videos))
            print(row_of(STEPS[name].title, n_videos, costs[-1]), flush=True)
        good = [(n, cost) for n, cost in zip(sizes, costs, strict=True) if not cost.error]
        if len(good) > 1:
            print(extrapolated(STEPS[name].title, good), flush=True)


def upload(made: Path, store: Store) -> None:
    """Copies a store on disk to a bucket, if there is one of its size: faster than making it there."""
    if (made / "manifest.json").exists() and not store.exists("manifest.json"):
        started = time.monotonic()
        store.fs.put(f"{made}/", f"{store.root}/", recursive=True)
        print(f"{made.name} videos uploaded in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)


def _in_a_process(step: str, store: Store, n_videos: int, world: str) -> Cost:
    options = json.dumps({k: v for k, v in store.options if k != "skip_instance_cache"})
    command = [sys.executable, "-m", "bench.scale", "--one", step, store.url, str(n_videos), options]
    command += ["--world", world]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **FREED_MEMORY_RETURNS})
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return Cost(math.nan, math.nan, math.nan, 0, 0, 0, math.nan, f"exit {done.returncode}: {last[:200]}")
    return Cost(**json.loads(done.stdout.strip().splitlines()[-1]))


def run_one(step: str, url: str, world: World, options: dict[str, str]) -> Cost:
    """Runs one step here and prints its cost. `make` fills the store."""
    from bench.scaling.steps import STEPS, Place, config_of
    from bench.scaling.stores import make_store

    store = Store(url, tuple(options.items()))
    if step == "make":
        os.fsync = lambda fd: None  # the stores of a bench need not survive a power cut
        make_store(store, config_of(store), world)
        return Cost(0, 0, 0, 0, 0, 0, 0)
    some_video = store.read_json("batches/00000.json")["video_ids"][7]
    place = Place(store, config_of(store), world, some_video)
    STEPS[step].before(place)
    base_mb = own_mb()
    with count_requests(REQUEST_S) as counted, peak_of_own_mb() as peaks_mb:
        started, cpu = time.monotonic(), _cpu_s()
        STEPS[step].run(place)
        cpu_s, wall_s = _cpu_s() - cpu, time.monotonic() - started
    print(dict(counted.kinds), file=sys.stderr)
    requests = counted.n, counted.n_sequential, counted.n_bytes
    return Cost(cpu_s, max(peaks_mb), base_mb, *requests, wall_s, load=round(os.getloadavg()[0], 1))


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


@contextmanager
def peak_of_own_mb() -> Iterator[list[float]]:
    """Looks at `own_mb` every 10 ms while the block runs."""
    seen, is_over = [own_mb()], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.01):
            seen[0] = max(seen[0], own_mb())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        is_over.set()
        watcher.join()
        seen.append(own_mb())


def objects_of(store: Store) -> str:
    """The number of objects in a store, apart from packs and shards."""
    names = [str(name)[len(store.root) + 1 :] for name in store.fs.find(store.root)]
    heavy = sum(name.startswith("shards/") or (name.startswith("packs/") and name.endswith(".tar")) for name in names)
    return f"{len(names) - heavy:,} objects besides {heavy:,} packs, tars and their tables"


HEAD = (
    "| step | videos | CPU s | peak MB | requests | in sequence | MB | modelled s = CPU + waiting + bytes "
    "| power of growth and fixed part |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def row_of(title: str, n_videos: int, cost: Cost) -> str:
    """The table's row for one size."""
    if cost.error:
        return f"| {title} | {n_videos:,} | {cost.error} | | | | | | |"
    waiting, transfer = cost.n_sequential * REQUEST_S, cost.n_bytes / BYTES_PER_S
    return (
        f"| {title} | {n_videos:,} | {cost.cpu_s:.2f} | {cost.peak_mb:,.0f} | {cost.n_requests:,} | "
        f"{cost.n_sequential:,} | {cost.n_bytes / 1e6:,.1f} | {cost.modelled_s:,.1f} = {cost.cpu_s:.1f} + "
        f"{waiting:.1f} + {transfer:.1f} | |"
    )


def extrapolated(title: str, measured: Sequence[tuple[int, Cost]]) -> str:
    """The table's row for the full size, and how each quantity grew."""
    sizes = [n for n, _ in measured]

    cpu_s, cpu = _grown(sizes, [cost.cpu_s for _, cost in measured], LEAST_CPU_S, CPU_NOISE)
    n_sequential, requests = _grown(sizes, [cost.n_sequential for _, cost in measured], LEAST_REQUESTS, REQUEST_NOISE)
    n_requests, _ = _grown(sizes, [cost.n_requests for _, cost in measured], LEAST_REQUESTS, REQUEST_NOISE)
    n_bytes, of_bytes = _grown(sizes, [cost.n_bytes for _, cost in measured], LEAST_BYTES)
    mb, _ = _grown(sizes, [cost.peak_mb for _, cost in measured], noise=MEMORY_NOISE)
    waiting, transfer = n_sequential * REQUEST_S, n_bytes / BYTES_PER_S
    growth = (
        f"CPU {cpu.power:.2f} and {cpu.fixed:.2f} s, requests {requests.power:.2f} and {requests.fixed:.0f}, "
        f"bytes {of_bytes.power:.2f} and {of_bytes.fixed / 1e6:.1f} MB"
    )
    return (
        f"| {title} | *{FULL_SIZE:,}, extrapolated* | *{cpu_s:,.0f}* | *{mb:,.0f}* | *{n_requests:,.0f}* | "
        f"*{n_sequential:,.0f}* | *{n_bytes / 1e6:,.0f}* | *{cpu_s + waiting + transfer:,.0f} = {cpu_s:,.0f} + "
        f"{waiting:,.0f} + {transfer:,.0f}* | {growth} |"
    )


def _grown(
    sizes: Sequence[int], values: Sequence[float], least: float = 0.0, noise: float = 0.0
) -> tuple[float, Growth]:
    return grown_to(FULL_SIZE, sizes, values, least, noise), growth_of(sizes, values, least, noise)


if __name__ == "__main__":
    main()
