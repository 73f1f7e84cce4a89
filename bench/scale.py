"""Measures what the global steps of a run cost as an output directory grows: processor time, memory and one exponent.

    python -m bench.scale [--sizes 1000 5000 25000] [--steps batch manifest]

A global step looks at a whole output directory: planning a round or a batch, writing the manifest, the report. Rows are
drawn with numpy, as many and as wide as of HD-VILA-100M: 3.24 candidates rejected for a video that is kept, 30 clips a
video, 33 words a clip. All videos are found, read and cut, half of them are in closed shards, and units lie in merged
segments, as a run leaves them. The samples in shards are tiny, since no step decodes them.

Each step runs in a process of its own, once for each size: CPU seconds, and its peak of memory beyond that before the
step. The exponents are those of the growth from the second largest size to the largest.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.clip_status import ClipStatus
from manifests.funnel import SELECTION_NAME
from manifests.parquet import parquet_bytes
from manifests.reasons import Reason
from manifests.schema import REJECTS, SHARD_ROWS, TABLES
from manifests.settings import load_config
from manifests.shards import MANIFEST_NAME, ShardEntry, read_manifest
from pipeline.balance.next_batch import next_batch
from pipeline.balance.selection import select
from pipeline.config import RunConfig
from pipeline.config.shards import CardConfig
from pipeline.engine.store.segment_files import write_rows
from pipeline.engine.store.segments import change_head, with_segment
from pipeline.engine.store.store import Store
from pipeline.outdir.accounts import check_accounts
from pipeline.outdir.identity import check_identity
from pipeline.query.funnel import funnel
from pipeline.report.page import write_report
from pipeline.run.candidates import Candidates
from pipeline.run.known import Known
from pipeline.shards.files import entry_of, put_shard, stats_bytes
from pipeline.shards.manifest import write_manifest
from pipeline.shards.stage import ShardsStage
from train.data.index import load_index

SIZES = 1_000, 5_000, 25_000
REJECTED_A_VIDEO, CLIPS_A_VIDEO, WORDS_A_CLIP, VIDEOS_A_CHANNEL = 3.24, 30, 33, 20
CLIP_MS, CLIP_BYTES, CLIPS_A_SHARD, VIDEOS_A_UNIT = 13_400, 3_253_713, 165, 100
AT = "2026-01-01T00:00:00+00:00"
MEMBERS = json.dumps({"mp4": [512, 3_000_000], "txt": [3_001_344, 180], "json": [3_002_368, 6_021]})
UNKNOWN = {"string": "", "binary": b"", "bool": False}


# ---- stores ----------------------------------------------------------------------------------------------------------


def config_of(store: Store) -> RunConfig:
    """The configuration of a run on this store: defaults."""
    return load_config(RunConfig, None, [f"out={store.url}"])


def table(schema: pa.Schema, n: int, /, **columns: Any) -> pa.Table:
    """A table of n rows: arrays, or one value for all rows; what is not given is "unknown"."""

    def column(field: pa.Field) -> pa.Array:
        value = columns.get(field.name, UNKNOWN.get(str(field.type), 0))
        if isinstance(value, pa.Array | np.ndarray):
            return pa.array(value, field.type)
        return pa.array([[] if value == 0 and pa.types.is_list(field.type) else value] * n, field.type)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


def ids(first: int, n: int) -> pa.Array:
    """Ids of videos, 11 letters each, in no order."""
    mixed = (np.arange(first, first + n, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(20)
    return pa.array([f"{number:011x}" for number in mixed.tolist()])


def texts(n: int, n_words: int, seed: int) -> pa.Array:
    """[n] sentences of so many words, common ones far more often than others."""
    rank = (np.random.default_rng(seed).random(n * n_words) ** 3 * 8_000).astype(np.int64)
    words = pa.array([f"w{k:x}{'aeiou'[k % 5] * (k % 7)}" for k in range(8_000)]).take(pa.array(rank))
    ends = np.arange(0, len(rank) + 1, n_words, dtype=np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), words), " ")


def make_store(store: Store, n_videos: int) -> None:
    """Fills an empty store."""
    check_identity(store, config_of(store))
    units = [(k, min(VIDEOS_A_UNIT, n_videos - k)) for k in range(0, n_videos, VIDEOS_A_UNIT)]
    segment(store, "choose", {f"00000-{k:012x}": chosen(k, n) for k, n in units})
    for stage, made in (("extract", extracted), ("transcripts", read), ("clips", planned)):
        segment(store, stage, {f"00000-{k:016x}": made(k, n) for k, n in units})
    segment(store, "media", {video: its for k, n in units for video, its in cut(k, n).items()})
    videos = ids(0, n_videos // 2).to_pylist()
    a_shard = CLIPS_A_SHARD // CLIPS_A_VIDEO
    for number, at in enumerate(range(0, len(videos), a_shard)):
        close_shard(store, number, videos[at : at + a_shard])
    make_manifest(store)


def segment(store: Store, stage: str, units: Mapping[str, Mapping[str, pa.Table]]) -> None:
    """Commits units as a merge leaves them; `rejects` is the table of their rejects."""
    facts: dict[str, Any] = {}
    rows: dict[str, list[tuple[str, pa.Table]]] = {}
    for unit, tables in units.items():
        reasons = tables["rejects"].column("reason").value_counts().to_pylist() if "rejects" in tables else []
        counts = {name: its.num_rows for name, its in tables.items() if name != "rejects"}
        rejected = {one["values"]: one["counts"] for one in reasons}
        facts[unit] = {"rows": counts, "rejects": rejected, "seconds": 1.0}
        for name, its in tables.items():
            rows.setdefault(name, []).append((unit, its))
    written = write_rows(store, stage, 3, facts, rows)
    change_head(store, lambda head: with_segment(head, written))


def chosen(k: int, n: int) -> dict[str, pa.Table]:
    """The candidates that were looked at."""
    every = pa.concat_arrays([ids(k, n), rejected(k, n)])
    asked = {"source": "search", "query": f"query {k}", "wanted_category_id": 27, "asked": True, "attempt": 1}
    return {"candidates": table(TABLES["candidates"], len(every), video_id=every, **asked)}


def rejected(k: int, n: int) -> pa.Array:
    """Ids of the candidates beside n videos that are none."""
    return ids(10**9 + 4 * k, round(n * REJECTED_A_VIDEO))


def channels(k: int, n: int) -> pa.Array:
    """[n] channels of VIDEOS_A_CHANNEL videos each."""
    return pa.array([f"UC{(k + i) // VIDEOS_A_CHANNEL:022d}" for i in range(n)])


def extracted(k: int, n: int) -> dict[str, pa.Table]:
    """Videos with their captions, and why the other candidates are none."""
    kept, away, why = ids(k, n), rejected(k, n), Reason.NO_CAPTIONS
    facts = {
        "source": "search",
        "title": "a title of some words",
        "duration_s": 600.0,
        "language": "en",
        "category_id": 27,
    }
    payload = texts(n, CLIPS_A_VIDEO * 43, k).cast(pa.binary())
    reason = {"stage": "extract", "reason": why.value, "class": why.class_.value, "attempts": 1, "at": AT}
    return {
        "videos": table(TABLES["videos"], n, video_id=kept, channel_id=channels(k, n), heights=[720], **facts),
        "captions": table(TABLES["captions"], n, video_id=kept, kind="auto", format="json3", payload=payload),
        "rejects": table(REJECTS, len(away), video_id=away, **reason),
    }


def read(k: int, n: int) -> dict[str, pa.Table]:
    """Transcripts with a signature each."""
    drawn = np.random.default_rng(k).bytes(n * 256)
    signatures = pa.array([drawn[i * 256 : (i + 1) * 256] for i in range(n)], pa.binary())
    return {"transcripts": table(TABLES["transcripts"], n, video_id=ids(k, n), events="[]", minhash=signatures)}


def of_clips(videos: pa.Array, seed: int) -> dict[str, Any]:
    """What rows of clips have, in each of their tables."""
    number = np.tile(np.arange(CLIPS_A_VIDEO), len(videos))
    of_video = videos.take(pa.array(np.repeat(np.arange(len(videos)), CLIPS_A_VIDEO)))
    place = pa.array(number).cast(pa.string())
    packs = pc.binary_join_element_wise("packs/", of_video, ".tar", "")
    columns = {"clip_id": pc.binary_join_element_wise(of_video, place, "."), "video_id": of_video, "n": number}
    columns["key"] = pc.binary_join_element_wise(of_video, pc.utf8_lpad(place, 5, "0"), "_")
    columns |= {"start_ms": number * 17_000, "end_ms": number * 17_000 + CLIP_MS, "duration_ms": CLIP_MS, "pack": packs}
    columns |= {"text": texts(len(number), WORDS_A_CLIP, seed), "status": ClipStatus.SUCCESS.value, "category_id": 27}
    return columns | {"pack_bytes": CLIP_BYTES, "pack_crc": -1, "members": MEMBERS, "flags": "[]"}


def planned(k: int, n: int) -> dict[str, pa.Table]:
    """Clips with their sentences."""
    return {"clips": table(TABLES["clips"], n * CLIPS_A_VIDEO, **of_clips(ids(k, n), k))}


def cut(k: int, n: int) -> dict[str, dict[str, pa.Table]]:
    """By video, which is a unit of its own: its pack, a row for each clip."""
    videos = ids(k, n)
    packs = table(TABLES["packs"], n * CLIPS_A_VIDEO, **of_clips(videos, k))
    return {
        video: {"packs": packs.slice(i * CLIPS_A_VIDEO, CLIPS_A_VIDEO)} for i, video in enumerate(videos.to_pylist())
    }


def close_shard(store: Store, number: int, videos: list[str]) -> ShardEntry:
    """Closes a shard of all clips of these videos; its tar has no bytes of media."""
    columns = of_clips(pa.array(videos), number) | {"status": ClipStatus.SUCCESS.in_shards}
    rows = table(SHARD_ROWS, len(videos) * CLIPS_A_VIDEO, **columns)
    url, tar = f"shards/train/{number:05d}.tar", bytes(1024)
    entry = entry_of(rows, url, "train", 0, hashlib.sha256(tar).hexdigest(), f"{number:032x}", len(rows) * CLIP_BYTES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / f"{number:05d}.tar").write_bytes(tar)
        (folder / f"{number:05d}.parquet").write_bytes(parquet_bytes(rows))
        (folder / f"{number:05d}_stats.json").write_bytes(stats_bytes(entry, rows))
        put_shard(store, folder, url)
    store.commit("shards", f"train-{number:05d}-{number:016x}", {"rows": {}, "rejects": {}, "shard": entry.row()})
    return entry


# ---- steps -----------------------------------------------------------------------------------------------------------


def candidates(store: Store) -> Candidates:
    """Reads and ranks the candidates."""
    config = config_of(store)
    return Candidates.read(Known(config, store), config)


def batch(store: Store) -> None:
    """Plans the next batch of media, in a driver that starts again."""
    known = candidates(store)
    next_batch(known.ranked, known.outcomes(), known.config.balance)


def selection(store: Store) -> None:
    """Selects among the candidates."""
    known = candidates(store)
    store.write_table(SELECTION_NAME, select(known.ranked, known.outcomes(), known.config.balance).table)


def shard_plan(store: Store) -> None:
    """Plans the next generation of shards."""
    config = config_of(store)
    list(ShardsStage(config.shards, config.seed).units(store))


def make_manifest(store: Store) -> None:
    """Writes the manifest of all shards, its indexes and cards, as if there were none yet."""
    for name in (*(f"index/{name}" for name in store.names("index")), MANIFEST_NAME):
        store.delete(name)
    write_manifest(store, name="bench", config={}, card=CardConfig(title="a bench"), created_at=AT)


def trainer_index(store: Store) -> None:
    """Opens the index of a split, as each rank does."""
    with tempfile.TemporaryDirectory() as cache:
        load_index(read_manifest(store.url), "train", cache=Path(cache))


STEPS: dict[str, Callable[[Store], object]] = {
    "batch": batch,
    "selection": selection,
    "shards": shard_plan,
    "manifest": make_manifest,
    "funnel": funnel,
    "accounts": check_accounts,
    "report": write_report,
    "index": trainer_index,
}


def measured(step: str, folder: Path) -> dict[str, float]:
    """Runs a step in this process."""
    before, mb = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    STEPS[step](Store(str(folder)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - mb
    return {"cpu_s": time.process_time() - before, "mb": grown}


def in_a_process(step: str, folder: Path) -> dict[str, float]:
    """Runs a step in a process of its own."""
    command = [sys.executable, "-m", "bench.scale", "--one", step, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{step}, {folder}: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def row_of(step: str, folders: Mapping[int, Path]) -> str:
    """A row of the table."""
    found = [in_a_process(step, folder) for folder in folders.values()]
    before, last = list(folders)[-2:]
    powers = [
        np.log(max(found[-1][x], 0.01) / max(found[-2][x], 0.01)) / np.log(last / before) for x in ("cpu_s", "mb")
    ]
    cells = [*(f"{one['cpu_s']:.2f}, {one['mb']:,.0f}" for one in found), ", ".join(f"{power:.2f}" for power in powers)]
    return f"| {step} | {' | '.join(cells)} |"


def main() -> None:
    """Draws the stores, runs the steps, prints a row for each step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="of the stores, in videos: two or more")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one[0], Path(given.one[1]))))
        return
    with tempfile.TemporaryDirectory(prefix="bench-scale-") as scratch:
        folders = {n: Path(scratch) / str(n) for n in sorted(given.sizes)}
        for n, folder in folders.items():
            make_store(Store(str(folder)), n)
        print(f"| step | {' | '.join(f'{n:,} videos: CPU s, MB' for n in folders)} | exponents |")
        print("|---" * (len(folders) + 2) + "|")
        for step in given.steps:
            print(row_of(step, folders), flush=True)


if __name__ == "__main__":
    main()
