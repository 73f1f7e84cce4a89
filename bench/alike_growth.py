"""Measures the cost of comparing a batch's pictures with those of all earlier videos, by the number of those.

    python -m bench.alike_growth [--videos 1000 3000 10000] [--batch 1000] [--samples ../shared/samples]

Each size runs in a process of its own: that many videos are taken up, in batches, then one more batch, which is
measured. Hashes are synthetic: their bits are set as often, and together as often, as those of the samples' pictures,
so that groups are as crowded; --uniform draws independent, uniform bits instead. A video has 31 clips of three scenes,
and one in a hundred repeats another with three bits of each hash changed.

Then one task of a search through an index of 3.3 million videos is really run, with uniform bits: the files of one cell
of 512, in the nine runs that 660 batches of 5,000 videos leave, and a batch's share of lookups. Both results for 3.3
million videos are extrapolated and marked so.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from bench import strangers
from bench.scaling.columns import CLIPS_A_VIDEO, fixed_bytes
from bench.scaling.growth import grown_to, growth_of
from pipeline.balance.bands import SHIFTS, Asked, sorted_entries
from pipeline.balance.duplicates import Pictures
from pipeline.balance.near_files import CELL_BITS, N_CELLS, cells_of, write_cells
from pipeline.balance.near_tasks import PatientFiles, search_cells
from pipeline.balance.pictures import filed, things_of
from pipeline.balance.shown import shown_by_clips
from pipeline.config.media import DuplicatesConfig
from pipeline.engine.store import Store
from pipeline.media.phash import N_HASHES, VERSION, Hashes
from pipeline.media.probe import Unusable

FULL_SIZE = 3_300_000
FULL_BATCH = 5_000
"""Videos in a batch by default (`balance.batch_videos`)."""
SCENES_A_CLIP = 3
KINDS = 2
"""Clips and videos, each kind with an index of its own."""
RUNS = (512, 64, 64, 8, 8, 1, 1, 1, 1)
"""Batches in each run of files at the full size, after merging by eights."""


@dataclass(frozen=True)
class Cost:
    """The cost of one batch, with `n_videos` taken up before it."""

    n_videos: int
    ms_a_clip: float
    peak_mb: float
    index_mb: float
    n_repeats: int
    fullest_cell: float
    """Hashes in the fullest of 512 cells, as a multiple of the mean."""


class Bits:
    """Draws hashes of pictures [N, N_HASHES] whose bits are set as often, and together as often, as in those seen."""

    def __init__(self, seen: Hashes, rng: np.random.Generator) -> None:
        self._rng = rng
        bits = np.unpackbits(np.ascontiguousarray(seen, ">u8").view(np.uint8), axis=1).astype(np.float64) * 2 - 1
        self._tilt = bits.mean(axis=0) * 1.2533  # mean of a normal variable whose sign has that mean, if small
        together = np.sin(np.pi / 2 * np.corrcoef(bits + rng.normal(0, 0.3, bits.shape), rowvar=False))
        values, vectors = np.linalg.eigh(together)
        self._mix = (vectors * np.sqrt(np.clip(values, 0, None))).astype(np.float32).T

    def draw(self, n: int) -> Hashes:
        """Draws the pictures of `n` scenes."""
        drawn = self._rng.standard_normal((n, 64 * N_HASHES), np.float32) @ self._mix + self._tilt
        return np.packbits(drawn > 0, axis=1).view(">u8").astype(np.uint64)


class Uniform:
    """Draws hashes with independent bits."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def draw(self, n: int) -> Hashes:
        """Draws the pictures of `n` scenes."""
        return self._rng.integers(1, 2**63, (n, N_HASHES), dtype=np.uint64) * np.uint64(2)


def seen_in(samples: Path) -> Hashes:
    """The distinct pictures of the samples' films."""
    config, found = DuplicatesConfig(), [np.zeros((0, N_HASHES), np.uint64)]
    for path in sorted((samples / "videos").glob("*.*")):
        try:
            found.append(strangers.distinct_hashes([luma.copy() for _, luma in strangers.lumas(path, 60_000)], config))
        except (Unusable, ValueError):
            continue
    return np.concatenate(found)


def packs_of(first: int, n_videos: int, bits: Bits | Uniform, rng: np.random.Generator) -> pa.Table:
    """Makes rows of videos first … first + n_videos - 1; one in a hundred repeats the one before it."""
    scenes = bits.draw(n_videos * CLIPS_A_VIDEO * SCENES_A_CLIP).reshape(n_videos, -1, N_HASHES)
    copies = np.arange(1, n_videos, 100)
    scenes[copies] = scenes[copies - 1]
    for _ in range(3):
        scenes[copies] ^= np.uint64(1) << rng.integers(0, 64, scenes[copies].shape, dtype=np.uint64)
    n = n_videos * CLIPS_A_VIDEO
    bodies = scenes.astype(">u8").reshape(n, -1).view(np.uint8)
    videos = np.repeat([f"v{i:08d}" for i in range(first, first + n_videos)], CLIPS_A_VIDEO).tolist()
    numbers = list(range(CLIPS_A_VIDEO)) * n_videos
    return pa.table(
        {
            "clip_id": [f"{video}.{k}" for video, k in zip(videos, numbers, strict=True)],
            "video_id": videos,
            "channel_id": [f"c{int(video[1:]) // 20}" for video in videos],
            "status": ["success"] * n,
            "phashes": fixed_bytes(np.insert(bodies, 0, VERSION[0], axis=1)),
            "n": numbers,
        }
    )


def one_size(n_videos: int, batch: int, bits: Bits | Uniform, rng: np.random.Generator) -> Cost:
    """Takes up `n_videos`, then one more batch, and returns the cost of that."""
    nobody = pa.array([], pa.string())
    with tempfile.TemporaryDirectory(prefix="bench-alike-") as folder:
        pictures = Pictures(DuplicatesConfig(), Store(folder))
        for first in range(0, n_videos, batch):
            pictures.add(packs_of(first, min(batch, n_videos - first), bits, rng))
            pictures.find(nobody)
        new = packs_of(n_videos, batch, bits, rng)
        began = time.process_time()
        pictures.add(new)
        found = pictures.find(nobody)
        cpu_s = time.process_time() - began
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.near"))
        keys = filed(things_of(shown_by_clips(new, DuplicatesConfig().max_distance))).keys
    in_cell = np.bincount((keys >> np.uint64(64 - CELL_BITS)).reshape(-1).astype(np.int64), minlength=N_CELLS)
    return Cost(
        n_videos,
        1000 * cpu_s / (batch * CLIPS_A_VIDEO),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        size / 1e6,
        sum(map(len, found.values())),
        float(in_cell.max() / in_cell.mean()),
    )


def one_task(pictures_a_video: int = CLIPS_A_VIDEO * SCENES_A_CLIP) -> None:
    """Runs one task of a search through 3.3 million videos, and prints its cost."""
    rng, cell = np.random.default_rng(7), 100
    n_filed = FULL_SIZE * pictures_a_video * N_HASHES // N_CELLS
    n_asked = 2 * FULL_BATCH * pictures_a_video * N_HASHES // N_CELLS
    n_things = FULL_SIZE * CLIPS_A_VIDEO

    def keys(n: int) -> Hashes:
        return rng.integers(0, 1 << (64 - CELL_BITS), n, dtype=np.uint64) | np.uint64(cell << (64 - CELL_BITS))

    with tempfile.TemporaryDirectory(prefix="bench-alike-") as folder:
        files, runs, first = Store(folder), [], 0
        for i, n_batches in enumerate(RUNS):
            n, end = n_filed * n_batches // sum(RUNS), first + n_things * n_batches // sum(RUNS)
            bands = [sorted_entries(keys(n), np.sort(rng.integers(first, end, n))) for _ in SHIFTS]
            runs.append([write_cells(files, f"{i}.near", [cells_of(bands)[cell]], cell)])
            first = end
        bits = np.full(n_asked, 31, np.uint8)
        asked = [Asked.of(keys(n_asked), rng.integers(first, first + 1000, n_asked), bits) for _ in SHIFTS]
        del bands
        Path("/proc/self/clear_refs").write_text("5")  # resets the recorded peak
        before_mb, began = _memory_mb("VmRSS"), time.process_time()
        search_cells(PatientFiles(files), runs, DuplicatesConfig().max_distance, (range(cell, cell + 1), asked))
        cpu_s, peak_mb = time.process_time() - began, _memory_mb("VmHWM")
        n_bytes = sum(file.n_bytes for run in runs for file in run)
    ms = 1000 * cpu_s * N_CELLS * KINDS / (FULL_BATCH * CLIPS_A_VIDEO)
    print(
        f"one task of {N_CELLS * KINDS} at {FULL_SIZE:,} videos: {n_bytes / 1e6:.0f} MB of files, {cpu_s:.2f} CPU s, "
        f"at most {peak_mb:.0f} MB ({before_mb:.0f} before)\n"
        f"all of them for a batch of {FULL_BATCH:,} videos: {ms:.2f} ms a new clip, extrapolated from the one"
    )


def _memory_mb(name: str) -> float:
    """VmRSS (current) or VmHWM (peak) of this process, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    """Runs each size in a process of its own; prints a table, the growth and its extrapolation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, nargs="*", default=[1000, 3000, 10_000])
    parser.add_argument("--batch", type=int, default=1000, help="videos that are taken up together")
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    parser.add_argument("--uniform", action="store_true", help="bits that say nothing of one another")
    parser.add_argument("--no-task", action="store_true", help="leave out the task of the full size")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seen", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        rng = np.random.default_rng(5)
        bits = Uniform(rng) if arguments.uniform else Bits(np.load(arguments.seen), rng)
        print(json.dumps(asdict(one_size(arguments.one, arguments.batch, bits, rng))))
        return
    costs = []
    with tempfile.TemporaryDirectory(prefix="bench-alike-") as folder:
        seen = Path(folder) / "seen.npy"
        np.save(seen, seen_in(arguments.samples))
        command = [sys.executable, "-m", "bench.alike_growth", *sys.argv[1:], "--seen", str(seen), "--one"]
        for n_videos in arguments.videos:
            done = subprocess.run([*command, str(n_videos)], stdout=subprocess.PIPE, text=True, check=True)
            costs.append(Cost(**json.loads(done.stdout.splitlines()[-1])))
            print(row_of(costs[-1], arguments.batch), flush=True)
    if len(costs) > 1:
        print_growth(costs, arguments.batch)
    if not arguments.no_task:
        one_task()


def row_of(cost: Cost, batch: int) -> str:
    """One size as a line of text."""
    return (
        f"{batch} new videos after {cost.n_videos}: {cost.ms_a_clip:.3f} ms a new clip, peak {cost.peak_mb:.0f} MB, "
        f"index {cost.index_mb:.0f} MB, {cost.n_repeats} repeats, fullest cell {cost.fullest_cell:.1f} times the mean"
    )


def print_growth(costs: Sequence[Cost], batch: int) -> None:
    """Prints the fitted growth, and the values at the full size; memory is that of one task, see `one_task`."""
    sizes = [cost.n_videos for cost in costs]
    for name, values in (
        ("ms a new clip", [cost.ms_a_clip for cost in costs]),
        ("index MB", [cost.index_mb for cost in costs]),
    ):
        growth = growth_of(sizes, values)
        at = grown_to(FULL_SIZE, sizes, values)
        print(
            f"{name}: {growth.fixed:.3g} + {growth.factor:.3g} * videos ** {growth.power:.2f}; "
            f"{FULL_SIZE:,} videos, batches of {batch}, extrapolated: {at:,.2f}"
        )


if __name__ == "__main__":
    main()
