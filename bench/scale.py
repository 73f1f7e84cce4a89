"""What every global step of a run costs as an output directory grows: processor, memory, requests, bytes, time.

    python -m bench.scale                              10k, 30k and 100k videos on disk, 10k and 30k on an S3 server
    python -m bench.scale --sizes 1000 3000 10000 --s3-sizes
    python -m bench.scale --sizes 1000 3000 --steps why status --keep /dev/shm/stores

Each step runs in a process of its own. Time is modelled for a bucket: processor time + requests that wait for one
another * 30 ms + bytes at 1 Gbit/s. The exponent is that of the growth between the two largest sizes; what is said of
3.3 million videos is extrapolated, by that power or along a line, whichever gives more, and was not run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.scaling.requests import count_requests
from pipeline.engine.store import Store
from pipeline.testing.s3 import s3_server

FULL_SIZE = 3_300_000
REQUEST_S = 0.030
BYTES_PER_S = 1e9 / 8
LEAST_CPU_S = 0.05
"""Below this, growth is that of the clock's noise."""


@dataclass(frozen=True)
class Cost:
    """What one step took of a store of one size."""

    cpu_s: float
    peak_mb: float
    base_mb: float
    n_requests: int
    n_sequential: int
    n_bytes: int
    wall_s: float
    error: str = ""

    @property
    def modelled_s(self) -> float:
        """Seconds on a bucket."""
        return self.cpu_s + self.n_sequential * REQUEST_S + self.n_bytes / BYTES_PER_S


def main() -> None:
    """Builds the stores, runs the steps, prints a table for each kind of storage."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--sizes", type=int, nargs="*", default=[10_000, 30_000, 100_000])
    options.add_argument("--s3-sizes", type=int, nargs="*", default=[10_000, 30_000])
    options.add_argument("--steps", nargs="*", default=None)
    options.add_argument("--keep", type=Path, default=None, help="folder that keeps the stores on disk")
    options.add_argument("--one", nargs=4, metavar=("STEP", "URL", "VIDEOS", "OPTIONS"), help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        step, url, n_videos, storage = asked.one
        print(json.dumps(asdict(run_one(step, url, int(n_videos), json.loads(storage)))))
        return
    with ExitStack() as stack:
        folder = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-scale-")))
        if asked.sizes:
            measure("disk", [Store(str(folder / str(n))) for n in asked.sizes], asked.sizes, asked.steps)
        if asked.s3_sizes:
            server = stack.enter_context(s3_server())
            os.environ |= server.environment
            stores = [server.store(str(n)) for n in asked.s3_sizes]
            measure("S3 (moto)", stores, asked.s3_sizes, asked.steps)


def measure(where: str, stores: Sequence[Store], sizes: Sequence[int], names: Sequence[str] | None) -> None:
    """Builds what is not there, runs each step on each size, smallest first, and prints the table."""
    for store, n_videos in zip(stores, sizes, strict=True):
        if not store.exists("manifest.json"):
            started = time.monotonic()
            _in_a_process("make", store, n_videos)
            took = time.monotonic() - started
            print(f"{where}: {n_videos:,} videos in {took:.0f} s, {objects_of(store)}", file=sys.stderr, flush=True)
    print(f"\n{where}, {', '.join(f'{n:,}' for n in sizes)} videos\n", flush=True)
    print("\n".join(HEAD), flush=True)
    from bench.scaling.steps import STEPS

    for name in names or STEPS:
        costs = [_in_a_process(name, store, n) for store, n in zip(stores, sizes, strict=True)]
        print("\n".join(rows_of(STEPS[name].title, sizes, costs)), flush=True)


def _in_a_process(step: str, store: Store, n_videos: int) -> Cost:
    options = json.dumps({k: v for k, v in store.options if k != "skip_instance_cache"})
    command = [sys.executable, "-m", "bench.scale", "--one", step, store.url, str(n_videos), options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        return Cost(math.nan, math.nan, math.nan, 0, 0, 0, math.nan, f"exit {done.returncode}: {last[:200]}")
    return Cost(**json.loads(done.stdout.strip().splitlines()[-1]))


def run_one(step: str, url: str, n_videos: int, options: dict[str, str]) -> Cost:
    """Runs one step here and says what it took. `make` fills the store."""
    from bench.scaling.steps import STEPS, Place, config_of
    from bench.scaling.stores import make_store

    store = Store(url, tuple(options.items()))
    if step == "make":
        os.fsync = lambda fd: None  # the stores of a bench need not outlive a power cut
        make_store(store, config_of(store), n_videos)
        return Cost(0, 0, 0, 0, 0, 0, 0)
    some_video = store.read_json("waves/00000.json")["video_ids"][7]
    place = Place(store, config_of(store), n_videos, some_video)
    STEPS[step].before(place)
    base_mb = peak_mb()
    with count_requests() as counted:
        started, cpu = time.monotonic(), _cpu_s()
        STEPS[step].run(place)
        cpu_s, wall_s = _cpu_s() - cpu, time.monotonic() - started
    print(dict(counted.kinds), file=sys.stderr)
    return Cost(cpu_s, peak_mb(), base_mb, counted.n, counted.n_sequential, counted.n_bytes, wall_s)


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def peak_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def objects_of(store: Store) -> str:
    """How many objects a store holds, besides packs and shards."""
    names = [str(name)[len(store.root) + 1 :] for name in store.fs.find(store.root)]
    heavy = sum(name.startswith("shards/") or (name.startswith("packs/") and name.endswith(".tar")) for name in names)
    return f"{len(names) - heavy:,} objects besides {heavy:,} packs, tars and their tables"


HEAD = (
    "| step | videos | CPU s | peak MB | requests | in sequence | MB | modelled s = CPU + waiting + bytes | growth |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
)


def rows_of(title: str, sizes: Sequence[int], costs: Sequence[Cost]) -> Iterator[str]:
    """Rows of the table: one a size, and one that is extrapolated."""
    for n_videos, cost in zip(sizes, costs, strict=True):
        if cost.error:
            yield f"| {title} | {n_videos:,} | {cost.error} | | | | | | |"
            continue
        waiting, transfer = cost.n_sequential * REQUEST_S, cost.n_bytes / BYTES_PER_S
        yield (
            f"| {title} | {n_videos:,} | {cost.cpu_s:.2f} | {cost.peak_mb:,.0f} | {cost.n_requests:,} | "
            f"{cost.n_sequential:,} | {cost.n_bytes / 1e6:,.1f} | {cost.modelled_s:,.1f} = {cost.cpu_s:.1f} + "
            f"{waiting:.1f} + {transfer:.1f} | |"
        )
    good = [(n, cost) for n, cost in zip(sizes, costs, strict=True) if not cost.error]
    if len(good) > 1:
        yield _extrapolated(title, good)


def _extrapolated(title: str, measured: Sequence[tuple[int, Cost]]) -> str:
    (n_before, before), (n_last, last) = measured[-2:]
    step = n_before, n_last
    cpu_s = grown(step, before.cpu_s, last.cpu_s)
    n_sequential = grown(step, before.n_sequential, last.n_sequential)
    n_requests = grown(step, before.n_requests, last.n_requests)
    n_bytes = grown(step, before.n_bytes, last.n_bytes)
    mb = grown(step, before.peak_mb, last.peak_mb)
    waiting, transfer = n_sequential * REQUEST_S, n_bytes / BYTES_PER_S
    growth = (
        f"CPU {exponent(step, before.cpu_s, last.cpu_s, LEAST_CPU_S):.2f}, "
        f"requests {exponent(step, before.n_sequential, last.n_sequential):.2f}, "
        f"bytes {exponent(step, before.n_bytes, last.n_bytes):.2f}"
    )
    return (
        f"| {title} | *{FULL_SIZE:,}, extrapolated* | *{cpu_s:,.0f}* | *{mb:,.0f}* | *{n_requests:,.0f}* | "
        f"*{n_sequential:,.0f}* | *{n_bytes / 1e6:,.0f}* | *{cpu_s + waiting + transfer:,.0f} = {cpu_s:,.0f} + "
        f"{waiting:,.0f} + {transfer:,.0f}* | {growth} |"
    )


def exponent(step: tuple[int, int], before: float, last: float, least: float = 0.0) -> float:
    """The power of the size with which a quantity grew; what is below `least` counts as that."""
    before, last = max(before, least), max(last, least)
    return math.log(last / before) / math.log(step[1] / step[0]) if before > 0 and last > 0 else 0.0


def grown(step: tuple[int, int], before: float, last: float) -> float:
    """A quantity at the full size: by its power, or along a line where that gives more (a fixed part hides growth)."""
    by_power = last * (FULL_SIZE / step[1]) ** max(0.0, exponent(step, before, last))
    along_line = last + (last - before) / (step[1] - step[0]) * (FULL_SIZE - step[1])
    return max(by_power, along_line)


if __name__ == "__main__":
    main()
