"""Measures what the order of an epoch costs a rank: time to the first batch, time per step, memory, by samples.

    python -m bench.plan [--samples 1e6 1e7 1e8] [--shard 400]
    python -m bench.plan --open 1e7 [--workers 8] [--folder DIR]

For each size the order is made window by window (`WindowedOrder`), and up to 1e7 samples also the whole plan as an
array.

`--open` writes a manifest and an index of that many samples (no shards: about 180 bytes per sample on disk, three times
that while it is joined), and starts one rank on them in a new process: reading the manifest, joining the index's files,
mapping that, the first batch, and forked workers that each look up the locations of a thousand samples. Memory is that
of the rank without the mapped file, whose pages all ranks and workers of a machine share.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.sample import ALL_MEMBERS
from manifests.sample_index import ABSENT, INDEXES, IndexFile, SampleColumns, index_entry, index_files, write_index
from manifests.shards import ShardEntry, manifest_bytes, read_manifest
from train.data.index import Index, load_index
from train.data.plan import Mixing, Stream, plan, rank_slice
from train.data.views import MEMBERS

BATCH, WORLD, STEPS = 4096, 64, 50
MOST_WHOLE = 10_000_000
SHARDS_A_GENERATION = 400


@dataclass
class Rows:
    """The two columns that a plan depends on."""

    shard: np.ndarray
    category: np.ndarray
    by_shard: bool = True


def measure(n: int, clips: int, way: str) -> str:
    """Prints one line: this process makes the order and reads some steps of it."""
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


# ---- opening ---------------------------------------------------------------------------------------------------------


def write_set(folder: Path, n: int, clips: int) -> None:
    """Writes manifest.json, manifest.parquet and index files for n samples in shards that don't exist."""
    shards = sorted((_shard(k, min(clips, n - k * clips)) for k in range(-(-n // clips))), key=lambda shard: shard.url)
    (folder / INDEXES).mkdir(parents=True)
    entries, first = [], 0
    for file in index_files("train", shards):
        write_index(_columns_of(file, first, clips), folder / file.url, file.shards_sha256)
        entries.append(index_entry(file, folder / file.url))
        first += file.n_samples
    document, table = manifest_bytes(shards, {"index": {"train": entries}})
    (folder / "manifest.parquet").write_bytes(table)
    (folder / "manifest.json").write_bytes(document)


def _shard(k: int, n: int) -> ShardEntry:
    """A shard named as the pipeline names them: from 100,000 on, a digit more comes in among shorter names."""
    url, generation = f"shards/train/{k:05d}.tar", k // SHARDS_A_GENERATION
    return ShardEntry(url, "train", generation, f"{k:064x}", f"{k:032x}", 1 << 40, n, 1.0, {10: n})


def _columns_of(file: IndexFile, first: int, clips: int) -> SampleColumns:
    """Made-up samples of these shards, numbered from `first` on."""
    n = file.n_samples
    place = np.arange(n, dtype=np.int64) % clips * 100_000 + 512
    absent = np.full(n, ABSENT, np.int64)
    there = MEMBERS["prepared"]
    return SampleColumns(
        _keys(first, n),
        np.repeat(np.arange(len(file.shards), dtype=np.int32), [shard.nsamples for shard in file.shards]),
        np.full(n, 10, np.int32),
        {m: place if m in there else absent for m in ALL_MEMBERS},
        {m: place // place if m in there else absent for m in ALL_MEMBERS},
        frozenset(there),
    )


def _keys(first: int, n: int) -> pa.Array:
    """Names of n samples, from number `first` on."""
    numbers = pa.array(np.arange(first, first + n)).cast(pa.large_string())
    rest, between = (pa.scalar(text, pa.large_string()) for text in ("00000", "_"))
    return pc.binary_join_element_wise(numbers, rest, between)


def measure_opening(folder: Path, n_workers: int) -> str:
    """One rank's start, in seconds of wall-clock and CPU time."""
    marks = [("", time.perf_counter(), time.process_time())]

    def mark(what: str) -> None:
        marks.append((what, time.perf_counter(), time.process_time()))

    manifest = read_manifest(str(folder))
    mark("manifest")
    load_index(manifest, "train", cache=folder / "run")
    mark("index joined, once a run")
    index = load_index(manifest, "train", cache=folder / "run")
    mark("index")
    rank_slice(Stream(index, 1, Mixing(), BATCH), 0, 0, WORLD)
    mark("first batch")
    workers = [multiprocessing.get_context("fork").Process(target=_look_up, args=(index, k)) for k in range(n_workers)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    mark(f"{n_workers} workers")
    parts = [f"{what} {b - a:.2f} s ({d - c:.2f} CPU)" for (_, a, c), (what, b, d) in pairwise(marks)]
    own_mb = _own_mb()
    return f"{len(index):>12,} samples in {len(index.shards):,} shards: {', '.join(parts)}; {own_mb:.0f} MB a rank"


def _look_up(index: Index, worker: int) -> None:
    for sample in np.random.default_rng(worker).integers(0, len(index), 1000):
        index.members(int(sample))


def _own_mb() -> float:
    """Memory of this process that it shares with no other, MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Dirty", "Anonymous"))) / 1024 / 2


def open_sets(sizes: Sequence[int], given: argparse.Namespace) -> None:
    """Writes each set and starts a rank on it."""
    for n in sizes:
        with tempfile.TemporaryDirectory(dir=given.folder) as scratch:
            folder = Path(scratch)
            write_set(folder, n, given.shard)
            size_gb = sum(path.stat().st_size for path in (folder / INDEXES).iterdir()) / 1e9
            print(f"index of {n:,}: {size_gb:.2f} GB", flush=True)
            one = ["--one", f"{folder}:open", "--workers", str(given.workers)]
            subprocess.run([sys.executable, "-m", "bench.plan", *one], check=True)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Parses the command line. Each line is measured in a process of its own, so that peaks don't add up."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", nargs="+", type=float, default=[1e6, 1e7, 1e8])
    parser.add_argument("--shard", type=int, default=400, help="samples a shard")
    parser.add_argument("--open", nargs="+", type=float, help="samples of the sets that are written and opened")
    parser.add_argument("--workers", type=int, default=8, help="of the rank that opens them")
    parser.add_argument("--folder", type=Path, help="where the sets are written; a temporary folder of the system's")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        n, way = given.one.rsplit(":", 1)
        if way == "open":
            print(measure_opening(Path(n), given.workers), flush=True)
            return
        print(measure(int(n), given.shard, way), flush=True)
        return
    if given.open:
        open_sets([int(n) for n in given.open], given)
        return
    for n in map(int, given.samples):
        for way in ("by window", "whole") if n <= MOST_WHOLE else ("by window",):
            command = [sys.executable, "-m", "bench.plan", "--shard", str(given.shard), "--one", f"{n}:{way}"]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
