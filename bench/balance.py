"""Measures selection over 14 million candidates, and the join of text signatures, on one machine.

    python -m bench.balance                    14,000,000 candidates, 1,000,000 signatures
    python -m bench.balance --candidates 1e5 --signatures 1e5

The tables are made by another process and read from disk, so that time and peak memory are for the selection alone:
reading, ranking, quotas, filling, writing. Limits for 14 million: 2 minutes, 4 GiB.
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hdvila_testing.plans import find_reuploads
from manifests.categories import load_categories
from pipeline.balance.clip_lists import clip_lists
from pipeline.balance.ranking import CANDIDATES, rank_candidates
from pipeline.balance.selection import select
from pipeline.balance.standing import Outcomes
from pipeline.config.balance import BalanceConfig
from pipeline.likeness.texts import N_PERMUTATIONS, SAME_TALK

CHUNK = 500_000
CLIP_MS = 13_400
ID_LETTERS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", dtype=np.uint8)
N_AT_SCALE = 14_000_000


def main() -> None:
    """Prints a table: what, rows, seconds (CPU seconds matter on a busy machine), peak memory."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--candidates", type=float, default=N_AT_SCALE)
    options.add_argument("--signatures", type=float, default=1_000_000)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-balance-") as name:
        folder = Path(name)
        in_a_process(make_candidates, folder, int(asked.candidates), asked.seed)
        chosen = in_a_process(run_selection, folder)
        report("selection", int(asked.candidates), chosen)
        print("  " + json.dumps(chosen["result"]))
        in_a_process(make_signatures, folder, int(asked.signatures), asked.seed)
        joined = in_a_process(run_text_join, folder)
        report("text signatures", int(asked.signatures), joined)
        scale = N_AT_SCALE / asked.signatures
        print(f"  {joined['found']:,} re-uploads found of {joined['planted']:,} planted")
        print(
            f"  {N_AT_SCALE:,} signatures, extrapolated, not run: {joined['seconds'] * scale:,.0f} s "
            f"({joined['cpu'] * scale:,.0f} s of CPU), "
            f"{joined['base_gib'] + (joined['peak_gib'] - joined['base_gib']) * scale:.1f} GiB"
        )


def report(what: str, n_rows: int, measured: dict[str, Any]) -> None:
    """Prints one line of the table."""
    took = f"{measured['seconds']:7.1f} s ({measured['cpu']:.1f} s of CPU)"
    print(f"{what:16} {n_rows:>12,} rows  {took}  peak {measured['peak_gib']:.2f} GiB", flush=True)


def in_a_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Runs a function in a fresh process, so that its peak memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def measured(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns the result of a piece of work, its seconds, and the process's memory at the start and its peak, GiB."""
    base, started = peak_gib(), time.perf_counter()
    facts = work()
    seconds = time.perf_counter() - started
    return {**facts, "seconds": seconds, "cpu": time.process_time(), "peak_gib": peak_gib(), "base_gib": base}


def peak_gib() -> float:
    """The peak memory of this process, GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1024**3


# selection


def make_candidates(folder: Path, n: int, seed: int) -> None:
    """Makes candidates in 15 categories (HD-VILA's shares) and channels of heavy-tailed sizes; a quarter have clips.

    About 30 clips of 13.4 s per video, as in the paper; every tenth planned clip was lost at the media stage.
    """
    draw = np.random.default_rng(seed)
    categories = load_categories()
    shares = np.array([c.hd_vila_videos for c in categories])
    ids = np.array([c.id for c in categories], dtype=np.int32)
    channels = pa.array([f"UC{k:022d}" for k in range(max(1, n // 20))])
    columns = pa.schema([("video_id", pa.string()), ("n", pa.int32()), ("duration_ms", pa.int32())])
    with (
        pq.ParquetWriter(folder / "candidates.parquet", CANDIDATES) as candidates,
        pq.ParquetWriter(folder / "clips.parquet", columns) as clips,
    ):
        for first in range(0, n, CHUNK):
            size = min(CHUNK, n - first)
            video_id = random_ids(draw, size)
            n_clips = draw.geometric(1 / 30, size).astype(np.int32)
            channel = (draw.random(size) ** 3 * len(channels)).astype(np.int64)
            candidates.write_table(
                pa.table(
                    {
                        "video_id": video_id,
                        "category_id": draw.choice(ids, size, p=shares / shares.sum()),
                        "channel_id": channels.take(pa.array(channel)),
                        "n_clips": n_clips,
                        "clips_ms": n_clips.astype(np.int64) * CLIP_MS,
                    },
                    schema=CANDIDATES,
                )
            )
            tried = np.flatnonzero(draw.random(size) < 0.25)
            clips.write_table(made_clips(draw, video_id.take(pa.array(tried)), n_clips[tried]).cast(columns))


def made_clips(draw: np.random.Generator, video_id: pa.Array, n_clips: np.ndarray) -> pa.Table:
    """Makes the existing clips of some videos: video_id, n, duration_ms."""
    row = np.repeat(np.arange(len(n_clips)), n_clips)
    n = np.arange(len(row)) - np.repeat(np.cumsum(n_clips) - n_clips, n_clips)
    made = draw.random(len(row)) < 0.9
    return pa.table(
        {
            "video_id": video_id.take(pa.array(row[made])),
            "n": n[made].astype(np.int32),
            "duration_ms": draw.integers(4_000, 2 * CLIP_MS - 4_000, int(made.sum())).astype(np.int32),
        }
    )


def random_ids(draw: np.random.Generator, n: int) -> pa.Array:
    """Random ids of eleven letters, like YouTube's."""
    letters = ID_LETTERS[draw.integers(0, 64, (n, 11))]
    offsets = np.arange(0, 11 * n + 1, 11, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes()))


def run_selection(folder: Path) -> dict[str, Any]:
    """Reads the tables, selects with caps in hours and a channel limit, and writes selection.parquet."""

    def work() -> dict[str, Any]:
        clips = pq.ParquetFile(folder / "clips.parquet", read_dictionary=["video_id"])
        made = clip_lists(clips.read_row_group(k) for k in range(clips.num_row_groups))
        candidates = pq.read_table(folder / "candidates.parquet", read_dictionary=["channel_id"])
        ranked = rank_candidates(candidates, 0)
        del candidates
        n_at_scale = len(ranked) / N_AT_SCALE
        config = BalanceConfig(
            policy="hd-vila",
            unit="hours",
            total=371_500 * n_at_scale * 0.8,
            max_hours_per_category=30_000 * n_at_scale,
            max_channel_share=0.01,
        )
        selection = select(ranked, Outcomes(made), config)
        pq.write_table(selection.table, folder / "selection.parquet")
        result = selection.result
        facts = {
            "clips_made": len(made.n),
            "hours_kept": round(result.hours_kept),
            "clips_kept": result.clips_kept,
            "videos_kept": sum(c.videos_kept for c in result.categories),
            "effective_categories": [result.effective_categories_before, result.effective_categories_after],
            "binding": sorted({c.binding for c in result.categories}),
        }
        return {"result": facts}

    return measured(work)


# text signatures


def make_signatures(folder: Path, n: int, seed: int) -> None:
    """Makes signatures of unrelated transcripts; one in a hundred repeats nine tenths of an earlier one."""
    draw = np.random.default_rng(seed)
    signatures = draw.integers(0, 2**32, (n, N_PERMUTATIONS), dtype=np.uint32)
    duration = draw.integers(60, 3600, n).astype(np.float64)
    copies = np.arange(99, n, 100)
    kept = draw.random((len(copies), N_PERMUTATIONS)) < 0.9
    signatures[copies] = np.where(kept, signatures[copies - 50], signatures[copies])
    duration[copies] = duration[copies - 50] + draw.uniform(-1, 1, len(copies))
    ids = random_ids(draw, n)
    offsets = np.arange(0, 4 * N_PERMUTATIONS * n + 1, 4 * N_PERMUTATIONS, dtype=np.int64)
    if offsets[-1] >= 2**31:
        raise SystemExit("--signatures: at most 8,388,607 fit one Arrow column")
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(signatures.astype("<u4").tobytes())]
    minhash = pa.BinaryArray.from_buffers(pa.binary(), n, buffers)
    table = pa.table({"video_id": ids, "n_words": np.full(n, 1000), "minhash": minhash, "duration_s": duration})
    alike = (signatures[copies] == signatures[copies - 50]).mean(axis=1) >= SAME_TALK.jaccard
    pq.write_table(table.replace_schema_metadata({"planted": str(int(alike.sum()))}), folder / "signatures.parquet")


def run_text_join(folder: Path) -> dict[str, Any]:
    """Reads the signatures and finds the re-uploads."""

    def work() -> dict[str, Any]:
        table = pq.read_table(folder / "signatures.parquet")
        videos = table.select(["video_id", "duration_s"])
        found = find_reuploads(table.select(["video_id", "n_words", "minhash"]), videos)
        return {"found": len(found), "planted": int(table.schema.metadata[b"planted"])}

    return measured(work)


if __name__ == "__main__":
    main()
