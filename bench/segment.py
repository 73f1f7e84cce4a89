"""Measures the cost of merging segments into one of the largest size, and checks that everything is in it.

    python -m bench.segment [--videos 20000] [--keep FOLDER]

Tables of this many videos are made as wide as real ones, in segments of about a tenth of the whole. Those of each stage
become one, by the code that merges beside a run, in a process of its own. Before and after, DuckDB counts and sums the
rows of each table, through its views of a store, and the accounts are checked as `verify` does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import duckdb
import pyarrow as pa

from bench.scaling import stores
from bench.scaling.steps import config_of
from bench.world.distribution import read_distribution
from bench.world.videos import World
from bench.world.work import Work
from manifests.schema import TABLES as SCHEMAS
from manifests.schema import WIDE
from pipeline.engine.store.merge import MergeSizes, install, plan_merge
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import unit_gaps
from pipeline.outdir.identity import check_identity

PIECES = 10
BYTES_A_VIDEO = 48 * 1024
"""Bytes of rows in memory per video of stage `media`, whose rows are the widest."""
TABLES = ("videos", "captions", "transcripts", "clips", "packs")
HEAD = (
    "| stage | units | segments before | MB | CPU s | wall s | peak MB | MB before | files, MB |",
    "|---|---:|---:|---:|---:|---:|---:|---:|---|",
)
ROW = (
    "| {stage} | {units:,} | {n} | {mb:,.0f} | {cpu_s:.0f} | {wall_s:.0f} | {peak_mb:,.0f} | {base_mb:,.0f} | {files} |"
)


def main() -> None:
    """Makes, merges, checks, and prints a table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--videos", type=int, default=20_000)
    options.add_argument("--keep", type=Path, default=None, help="folder for the tables, which is used again")
    options.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.one:
        print(json.dumps(merge_one(Store(str(asked.keep)))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-segment-") as scratch:
        folder = asked.keep or Path(scratch)
        store = Store(str(folder))
        if not store.exists("run.json"):
            make(store, asked.videos)
        before = facts_of(store)
        print("\n".join(HEAD), flush=True)
        while merged := _in_a_process(folder):
            print(ROW.format(**merged), flush=True)
        after = facts_of(Store(str(folder)))
        differs = [name for name in before if before[name] != after[name]]
        print(f"DuckDB: {sum(row[0] for row in after.values()):,} rows; tables that differ: {differs or 'none'}")
        print(f"units that lack something: {len(list(unit_gaps(Store(str(folder)))))}")


def make(store: Store, n_videos: int) -> None:
    """Writes what the stages up to `media` leave."""
    check_identity(store, config_of(store))
    world = World(read_distribution("paper"), n_videos)
    with tempfile.TemporaryDirectory() as scratch:
        work = Work(world, Path(scratch), 0.0, is_wide=True)
        heaps = stores.Heaps(store, work, segment_bytes=n_videos * BYTES_A_VIDEO // PIECES)
        stores.crawl(heaps, world, 0, round(n_videos * world.distribution.candidates_a_video))
        heaps.write_all()


def _in_a_process(folder: Path) -> dict[str, object]:
    command = [sys.executable, "-m", "bench.segment", "--keep", str(folder), "--one"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def merge_one(store: Store) -> dict[str, object]:
    """Merges the stage and level with most segments; returns {} if each has one."""
    head, _ = read_head(store)
    n = max(Counter((segment.stage, segment.level) for segment in head.segments).values())
    if n < 2:
        return {}
    base_mb, started, cpu = _peak_mb(), time.monotonic(), time.process_time()
    job = plan_merge(store, MergeSizes(n_units=1 << 40, fan_in=n, max_bytes=1 << 40))
    assert job
    segment = write_segment(store, job)
    assert install(store, job, segment)
    return {
        "stage": job.stage,
        "units": segment.n_units,
        "n": n,
        "mb": segment.bytes / 1e6,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.monotonic() - started,
        "peak_mb": _peak_mb(),
        "base_mb": base_mb,
        "files": ", ".join(f"{name.removesuffix('.parquet')} {size / 1e6:.0f}" for name, size in segment.sizes.items()),
    }


def _peak_mb() -> float:
    """The peak memory of this process (the kernel's other count includes the program that started it), MB."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def facts_of(store: Store) -> dict[str, tuple[int, ...]]:
    """Per table, as DuckDB reads it: rows, videos, and sums over the hashes of ids and of wide columns."""
    found = {}
    for table in TABLES:
        apart = WIDE.get(table, ())
        sums = "".join(f", sum(hash({name})::HUGEINT)" for name in apart)
        names = ["video_id", *apart]
        batches = (batch for rows in store.read_runs(table, names) for batch in rows.to_batches())
        read = pa.RecordBatchReader.from_batches(pa.schema([SCHEMAS[table].field(name) for name in names]), batches)
        asked = f"count(*), count(DISTINCT video_id), sum(hash(video_id)::HUGEINT){sums}"
        found[table] = tuple(map(int, duckdb.from_arrow(read).aggregate(asked).fetchall()[0]))
    return found


if __name__ == "__main__":
    main()
