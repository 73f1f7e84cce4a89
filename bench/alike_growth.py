"""Measures the cost of comparing a batch's pictures with those of all earlier videos, by the number of those.

    python -m bench.alike_growth [--videos 1000 3000 10000] [--batch 1000] [--samples ../shared/samples]

Each size runs in a process of its own: that many videos are taken up, in batches, then one more batch, which is
measured. Hashes are synthetic: their bits are set as often, and together as often, as those of the samples' pictures,
so that groups are as crowded. A video has 31 clips of three scenes, and one in a hundred repeats another with three
bits of each hash changed.

Then the search for a batch of 5,000 videos is run through a share of what 3.3 million videos would have filed: column
after column, with hashes made up by the bits of that part of a picture, and groups as small as those of the full size.
What looking through them takes grows with their number, what sorting the batch takes does not. What that comes to at
3.3 million videos, and how long a plan waits for it with some workers, is extrapolated and marked so.
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
from bench.scaling.growth import grown_to, growth_of
from bench.world.wide import fixed_bytes
from manifests.files import Files
from pipeline.likeness.bands import HashQuery, Int64
from pipeline.likeness.index import (
    FAN_IN,
    Filed,
    asked_of,
    blocks_of,
    column_of,
    look_through,
    n_held,
    near_pairs,
    read_whole,
    scan,
    write_items,
    write_plain,
)
from pipeline.likeness.pictures import ITEMS, kind_of
from pipeline.likeness.same import LIKENESS, shared
from pipeline.likeness.search import Search
from pipeline.likeness.together import Nearness
from pipeline.media.phash import N_HASHES, VERSION, Hashes
from pipeline.media.probe import Unusable

FULL_SIZE = 3_300_000
CLIPS_A_VIDEO = 31
FULL_BATCH = 5_000
"""Videos in a batch by default (`balance.batch_videos`)."""
SCENES_A_CLIP = 3
GBIT_BYTES = 125e6
"""Bytes a second of a network of 1 Gbit/s, for each worker."""


@dataclass(frozen=True)
class Cost:
    """The cost of one batch, with `n_videos` taken up before it."""

    n_videos: int
    ms_a_clip: float
    peak_mb: float
    index_mb: float
    n_alike: int


class Bits:
    """Draws hashes of pictures [N, parts] whose bits are set as often, and together as often, as in those seen."""

    def __init__(self, seen: Hashes, rng: np.random.Generator) -> None:
        self._rng = rng
        bits = np.unpackbits(np.ascontiguousarray(seen, ">u8").view(np.uint8), axis=1).astype(np.float64) * 2 - 1
        self._tilt = bits.mean(axis=0) * 1.2533  # mean of a normal variable whose sign has that mean, if small
        together = np.sin(np.pi / 2 * np.corrcoef(bits + rng.normal(0, 0.3, bits.shape), rowvar=False))
        values, vectors = np.linalg.eigh(together)
        self._mix = (vectors * np.sqrt(np.clip(values, 0, None))).astype(np.float32).T

    def draw(self, n: int) -> Hashes:
        """Draws the pictures of `n` scenes."""
        drawn = self._rng.standard_normal((n, len(self._mix)), np.float32) @ self._mix
        return np.packbits(drawn > -self._tilt.astype(np.float32), axis=1).view(">u8").astype(np.uint64)


def seen_in(samples: Path) -> Hashes:
    """The distinct pictures of the samples' films."""
    found = [np.zeros((0, N_HASHES), np.uint64)]
    for path in sorted((samples / "videos").glob("*.*")):
        try:
            lumas = [luma.copy() for _, luma in strangers.lumas(path, 60_000)]
            found.append(strangers.distinct_hashes(lumas, LIKENESS))
        except (Unusable, ValueError):
            continue
    return np.concatenate(found)


def packs_of(first: int, n_videos: int, bits: Bits, rng: np.random.Generator) -> pa.Table:
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


class Growing:
    """An index that grows by batches, as units leave it."""

    def __init__(self, folder: Path) -> None:
        self._files, self._folder, self._kind = Files(str(folder)), folder, kind_of()
        self._n_batches, self._before = 0, (0, 0)

    def add(self, packs: pa.Table) -> int:
        """Compares one more batch: what the units do but for reading rows and commits. How many pairs are alike."""
        kind, batch = self._kind, self._n_batches
        items = kind.items(packs)
        write_items(items, self._path(kind.items_path(batch)))
        items = read_whole(self._files, kind.items_path(batch))
        block = (batch + 1 - n_held(batch + 1), n_held(batch + 1))
        for column in range(N_HASHES):
            near, hashes = look_through(self._files, kind, batch, items, self._before, column)
            write_plain(hashes, self._path(kind.column_path(block, column)))
            write_plain(near, self._path(kind.near_path(batch, column)))
        for old in {*blocks_of(batch)} - {*blocks_of(batch + 1)}:
            for column in range(N_HASHES):
                self._path(kind.column_path(old, column)).unlink()
        filed = kind.filed(items)
        self._before = self._before[0] + len(filed.counts), self._before[1] + filed.hashes.shape[1]
        self._n_batches += 1
        return len(kind.matches(near_pairs(self._files, kind, batch, range(N_HASHES))))

    def _path(self, relative: str) -> Path:
        path = self._folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def one_size(n_videos: int, batch: int, bits: Bits, rng: np.random.Generator) -> Cost:
    """Compares `n_videos`, then one more batch, and returns the cost of that."""
    with tempfile.TemporaryDirectory(prefix="bench-alike-") as folder:
        growing = Growing(Path(folder))
        for first in range(0, n_videos, batch):
            growing.add(packs_of(first, min(batch, n_videos - first), bits, rng))
        new = packs_of(n_videos, batch, bits, rng)
        began = time.process_time()
        n_alike = growing.add(new)
        cpu_s = time.process_time() - began
        size = sum(file.stat().st_size for file in Path(folder).rglob("*-*/*.parquet"))
    return Cost(
        n_videos,
        1000 * cpu_s / (batch * CLIPS_A_VIDEO),
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        size / 1e6,
        n_alike,
    )


@dataclass(frozen=True)
class Column:
    """A search through a column of all that FULL_SIZE videos have filed; extrapolated from a part of it."""

    n_asked: int
    sorted_s: float
    looked_s: float
    n_bytes: float
    n_pairs: float

    @property
    def unit_s(self) -> float:
        """Seconds of a worker: it sorts what is asked for, reads, and looks."""
        return self.sorted_s + self.looked_s + self.n_bytes / GBIT_BYTES


def _searched(files: Files, some: Sequence[str], asked: HashQuery, nearness: Nearness) -> tuple[float, float, Int64]:
    """(CPU seconds to sort what is asked for, to read the files and look through them; what is found)."""
    began = time.process_time()
    search = Search(asked, nearness)
    sorted_s, began = time.process_time() - began, time.process_time()
    first = 0
    for path in some:
        first += int(scan(search, read_whole(files, path), first).sum())
    return sorted_s, time.process_time() - began, search.found()


def asked_in(new: Hashes) -> list[HashQuery]:
    """What clips with these pictures look for after FULL_SIZE videos, by column."""
    n_videos = len(new) // (SCENES_A_CLIP * CLIPS_A_VIDEO)
    numbers = np.arange(CLIPS_A_VIDEO, dtype="<u4").tobytes()
    counts = np.full(CLIPS_A_VIDEO, SCENES_A_CLIP, "<u4").tobytes()
    shown = [some.tobytes() for some in np.split(np.ascontiguousarray(new, "<u8"), n_videos)]
    ids = [f"v{i:05d}" for i in range(n_videos)]
    columns = [ids, [""] * n_videos, [numbers] * n_videos, [counts] * n_videos, shown]
    kind, items = kind_of(), pa.table(columns, schema=ITEMS)
    n_full = FULL_SIZE * CLIPS_A_VIDEO
    return asked_of(kind, items, kind.filed(items), n_full, n_full * SCENES_A_CLIP)


def one_column(column: int, asked: HashQuery, bits: Bits, n_videos: int, n_file: int) -> Column:
    """Searches what `n_videos` have filed in one column, drawn by `bits`, for new pictures, and prints the cost.

    The second time is what counts: a worker looks through dozens of files in the memory that it took for the first.
    """
    pictures_a_video = CLIPS_A_VIDEO * SCENES_A_CLIP
    n, n_full = n_videos * pictures_a_video, FULL_SIZE * pictures_a_video
    nearness = kind_of().nearness
    with tempfile.TemporaryDirectory(prefix="bench-alike-") as folder:
        files = Files(folder)
        some = [_file_of(files, a, min(a + n_file, n_videos), bits) for a in range(0, n_videos, n_file)]
        _searched(files, some, asked, nearness)
        before_mb = _forget_the_most()
        sorted_s, looked_s, found = _searched(files, some, asked, nearness)
        n_pairs, peak_mb = len(found), _memory_mb("VmHWM")
        n_bytes = sum(files.size(path) for path in some) * n_full / n
    print(
        f"column {column}, {len(asked.hashes):,} hashes looked for among {n:,}: sorting {sorted_s:.2f} CPU s, looking "
        f"{1e9 * looked_s / n:.0f} ns each, {n_pairs:,} pairs of clips whose videos have a second, at most "
        f"{peak_mb:.0f} MB ({before_mb:.0f} before); {FULL_SIZE:,} videos, extrapolated: {n_bytes / 1e9:.2f} GB, "
        f"{looked_s * n_full / n:.0f} CPU s",
        flush=True,
    )
    return Column(len(asked.hashes), sorted_s, looked_s * n_full / n, n_bytes, n_pairs * n_full / n)


def _drawn(bits: Bits, n: int) -> Hashes:
    """Draws the pictures of `n` scenes, some at a time."""
    return np.concatenate([bits.draw(min(100_000, n - first)) for first in range(0, n, 100_000)])


def _file_of(files: Files, first: int, end: int, bits: Bits) -> str:
    """Writes a column of the hashes of videos `first` … end - 1; returns its path."""
    n_parts = np.full(end - first, CLIPS_A_VIDEO)
    counts = np.full(n_parts.sum(), SCENES_A_CLIP)
    hashes = _drawn(bits, counts.sum())[:, :1].T
    write_plain(column_of(0, Filed(counts, hashes, n_parts), 0), Path(files.path(f"{first}.parquet")))
    return f"{first}.parquet"


def full_size(seen: Hashes, n_videos: int, batch: int, rng: np.random.Generator) -> None:
    """Runs a share of each task of a search through FULL_SIZE videos, and prints what all of them come to. `seen`:
    pictures by which hashes are drawn."""
    n_new = batch * CLIPS_A_VIDEO * SCENES_A_CLIP
    new = _drawn(Bits(seen, rng), n_new)
    columns = []
    for column, asked in enumerate(asked_in(new)):
        bits = Bits(seen[:, [column]], rng)
        columns.append(one_column(column, asked, bits, n_videos, batch * FAN_IN))
    n_bytes = sum(one.n_bytes for one in columns)
    cpu_s = sum(one.sorted_s + one.looked_s for one in columns)
    n_files = len(blocks_of(FULL_SIZE // batch))
    print(
        f"a batch of {batch:,} videos after {FULL_SIZE:,}, extrapolated: {n_bytes / 1e9:.0f} GB read "
        f"({n_bytes / FULL_SIZE / 1e3:.1f} kB a video) in {n_files * len(columns)} requests, {cpu_s:.0f} CPU s in "
        f"{len(columns)} units, {1000 * cpu_s / (batch * CLIPS_A_VIDEO):.2f} ms a new clip"
    )
    n_pairs, compared_ms = sum(one.n_pairs for one in columns), _compared_ms(new)
    print(
        f"  left to compare, extrapolated: {n_pairs:,.0f} pairs by chance; a unit compares each in "
        f"{compared_ms:.2f} ms, all in {n_pairs * compared_ms / 1e3:.1f} CPU s"
    )
    units = [one.unit_s for one in columns]
    for n_workers in (1, 2, 4, 10):
        print(f"  {n_workers} workers of 1 core and 1 Gbit/s, extrapolated: {wave_s(units, n_workers):.0f} s")


def _compared_ms(pictures: Hashes, n_pairs: int = 200) -> float:
    """CPU ms to compare one pair of clips."""
    clips = pictures[: 2 * n_pairs * SCENES_A_CLIP].reshape(n_pairs, 2, SCENES_A_CLIP, N_HASHES)
    began = time.process_time()
    for one, other in clips:
        shared(one, other, LIKENESS.max_distance)
    return 1000 * (time.process_time() - began) / n_pairs


def wave_s(units: Sequence[float], n_workers: int) -> float:
    """Seconds until units that take so many seconds each are done, in their order."""
    busy = [0.0] * n_workers
    for seconds in units:
        busy[busy.index(min(busy))] += seconds
    return max(busy)


def _forget_the_most() -> float:
    """Makes VmHWM count from now on; MB of memory now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory_mb("VmRSS")


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
    parser.add_argument("--part", type=int, default=40_000, help="videos of the full size that are looked through")
    parser.add_argument("--full-batch", type=int, default=FULL_BATCH, help="videos that are looked for in these")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--seen", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        rng = np.random.default_rng(5)
        print(json.dumps(asdict(one_size(arguments.one, arguments.batch, Bits(np.load(arguments.seen), rng), rng))))
        return
    costs = []
    with tempfile.TemporaryDirectory(prefix="bench-alike-") as folder:
        seen = Path(folder) / "seen.npy"
        pictures = seen_in(arguments.samples)
        np.save(seen, pictures)
        command = [sys.executable, "-m", "bench.alike_growth", *sys.argv[1:], "--seen", str(seen), "--one"]
        for n_videos in arguments.videos:
            done = subprocess.run([*command, str(n_videos)], stdout=subprocess.PIPE, text=True, check=True)
            costs.append(Cost(**json.loads(done.stdout.splitlines()[-1])))
            print(row_of(costs[-1], arguments.batch), flush=True)
    if len(costs) > 1:
        print_growth(costs, arguments.batch)
    if arguments.part:
        full_size(pictures, arguments.part, arguments.full_batch, np.random.default_rng(7))


def row_of(cost: Cost, batch: int) -> str:
    """One size as a line of text."""
    return (
        f"{batch} new videos after {cost.n_videos}: {cost.ms_a_clip:.3f} ms a new clip, peak {cost.peak_mb:.0f} MB, "
        f"index {cost.index_mb:.0f} MB, {cost.n_alike} pairs of the batch alike"
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
