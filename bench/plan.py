"""What the order of an epoch costs a rank: seconds to the first batch, seconds a step, memory, by samples.

    python -m bench.plan [--samples 1e6 1e7 1e8] [--shard 400]

For each size the order made window by window (`WindowedOrder`), and up to 1e7 samples the whole plan as an array.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np

from train.data.plan import Mixing, Stream, plan, rank_slice

BATCH, WORLD, STEPS = 4096, 64, 50
MOST_WHOLE = 10_000_000


@dataclass
class Rows:
    """The two columns that a plan depends on."""

    shard: np.ndarray
    category: np.ndarray
    by_shard: bool = True


def measure(n: int, clips: int, way: str) -> str:
    """One line: this process makes the order and reads some steps of it."""
    index = Rows(np.arange(n, dtype=np.int32) // clips, np.zeros(n, np.int32))
    before_mb = _peak_mb()
    began = time.perf_counter()
    if way == "whole":
        plan(index, 1, 0, Mixing())
        return f"{n:>12,} samples, whole plan: {time.perf_counter() - began:.2f} s, {_peak_mb() - before_mb:.0f} MB"
    stream = Stream(index, 1, Mixing(), BATCH)
    rank_slice(stream, 0, 0, WORLD)
    first_s = time.perf_counter() - began
    began = time.perf_counter()
    for step in range(stream.epoch_length() // BATCH // 2, stream.epoch_length() // BATCH // 2 + STEPS):
        rank_slice(stream, step, 0, WORLD)
    step_ms = 1000 * (time.perf_counter() - began) / STEPS
    return (
        f"{n:>12,} samples, by window: first batch after {first_s:.2f} s, then {step_ms:.1f} ms a step of {BATCH}, "
        f"{_peak_mb() - before_mb:.0f} MB beside the index's columns"
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """The command line. Each line is measured in a process of its own, so that peaks don't add up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", nargs="+", type=float, default=[1e6, 1e7, 1e8])
    parser.add_argument("--shard", type=int, default=400, help="samples a shard")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        n, way = given.one.split(":")
        print(measure(int(n), given.shard, way), flush=True)
        return
    for n in map(int, given.samples):
        for way in ("by window", "whole") if n <= MOST_WHOLE else ("by window",):
            command = [sys.executable, "-m", "bench.plan", "--shard", str(given.shard), "--one", f"{n}:{way}"]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
