"""Makes output directories of any size, in the state of a run that is half-way: all videos found are read and cut, half
of them are in closed shards, and the other half waits for the next ones.

Of four listed videos two were looked at and one is wanted (14 million candidates, 3.3 million videos). The tables are
as wide as real ones; the samples in packs and shards are tiny, since no measured step decodes them.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.scaling.columns import CLIP_MS, CLIPS_A_VIDEO, WORDS_A_VIDEO, Draw
from bench.scaling.rows import (
    LONG_AGO,
    captions_table,
    clips_table,
    filled,
    packs_table,
    rejects_table,
    transcripts_table,
    videos_table,
)
from manifests.categories import load_categories
from manifests.hashing import hash_name
from manifests.reasons import Reason
from manifests.run_status import STATUS_NAME, RunStatus, StageStatus
from manifests.schema import SHARD_ROWS, TABLES
from manifests.shards import ShardEntry
from pipeline.config import RunConfig
from pipeline.config.shards import CardConfig
from pipeline.engine.store.commits import part_name
from pipeline.engine.store.merge import MergeSizes, install, plan_merge
from pipeline.engine.store.merge_ids import install_ids, plan_ids, write_ids
from pipeline.engine.store.segment_files import write_rows, write_segment
from pipeline.engine.store.segments import change_head, read_head, with_segment
from pipeline.engine.store.store import Store
from pipeline.media.packs import Sample, write_pack
from pipeline.outdir.identity import check_identity
from pipeline.shards.closed import read_entries
from pipeline.shards.files import entry_of, put_shard, stats_bytes
from pipeline.shards.manifest import publish

VIDEOS_A_UNIT = 20
LISTED_A_VIDEO, ASKED_A_VIDEO = 4, 2
RESULTS_A_LISTING = 600
VIDEOS_A_CHANNEL = 20
UNIT_VIDEOS = 1000
BATCH_VIDEOS = 200
"""Videos that are added to a store for a driver that has planned before."""
SAMPLES_A_SHARD = 2000
SHARDS_A_GENERATION = 8
"""Shards that are closed together, those of some 600 videos."""
REJECTED_SHARE = 0.05
"""Share of videos that are rejected at the media stage."""
SEGMENT_BYTES = 768 * 1024**2
"""Size of a segment's rows in memory: its files are a third to half of that."""
WRITERS = 8
MOST_PENDING = 64


@dataclass
class Made:
    """What later steps of making a store need to know of the videos."""

    ids: list[str] = field(default_factory=list)
    categories: list[int] = field(default_factory=list)
    packs: list[pa.Table] = field(default_factory=list)


def make_store(store: Store, config: RunConfig, n_videos: int, seed: int = 0) -> None:
    """Fills an empty store, as a run with this configuration would."""
    draw = Draw.of(seed)
    made = Made()
    check_identity(store, config)
    with ThreadPoolExecutor(WRITERS) as writers:
        pending: deque[Any] = deque()
        for write in _writes(Heaps(store), draw, made, n_videos):
            pending.append(writers.submit(write))
            if len(pending) > MOST_PENDING:
                pending.popleft().result()
        for last in pending:
            last.result()
    while job := plan_ids(read_head(store)[0]):
        install_ids(store, *write_ids(store, job))
    batches = [made.ids[i : i + UNIT_VIDEOS] for i in range(0, n_videos, UNIT_VIDEOS)]
    for number, ids in enumerate(batches):
        store.write_json(f"batches/{number:05d}.json", {"video_ids": ids})
    _plans(store, n_videos)
    _close_shards(store, made)
    while due := plan_merge(store, MergeSizes()):
        install(store, due, write_segment(store, due))
    stages = tuple(StageStatus(stage=name, done=n_videos) for name in ("extract", "transcripts", "clips", "media"))
    store.write(STATUS_NAME, RunStatus(state="ended", stages=stages).model_dump_json().encode())


def add_batch(store: Store) -> None:
    """Adds a batch of videos of new channels that were found, read and cut since: one segment per stage."""
    first = 10**9 + store.read_table("videos", ["video_id"]).num_rows
    heaps, draw = Heaps(store), Draw.of(first)
    for number in range(BATCH_VIDEOS // VIDEOS_A_UNIT):
        for write in _unit(heaps, draw, Made(), first + number):
            write()
    for stage in list(heaps.units):
        heaps.write(stage)


def add_generation(store: Store) -> None:
    """Closes the shards of a batch of new videos, as the next generation; they are in no manifest yet."""
    closed = read_entries(store)
    first, made = 2 * 10**9 + len(closed), Made()
    heaps, draw = Heaps(store), Draw.of(first)
    for number in range(BATCH_VIDEOS // VIDEOS_A_UNIT):
        list(_unit(heaps, draw, made, first + number))  # neither tables nor packs are written
    rows = pa.concat_tables(made.packs)
    generation = 1 + max(entry.generation for entry in closed)
    with tempfile.TemporaryDirectory() as name:
        for k, start in enumerate(range(0, rows.num_rows, SAMPLES_A_SHARD)):
            _close_shard(store, rows.slice(start, SAMPLES_A_SHARD), len(closed) + k, Path(name), generation)


@dataclass
class Heaps:
    """Units that wait until they fill a segment, by stage: the stores are as merges leave them."""

    store: Store
    units: dict[str, list[tuple[str, dict[str, pa.Table]]]] = field(default_factory=dict)
    n_bytes: Counter[str] = field(default_factory=Counter)

    def add(self, stage: str, unit: str, tables: dict[str, pa.Table], rejects: pa.Table | None) -> None:
        """Adds a unit; writes a segment once there are enough."""
        whole = tables if rejects is None else {**tables, "rejects": rejects}
        self.units.setdefault(stage, []).append((unit, whole))
        self.n_bytes[stage] += sum(table.nbytes for table in whole.values())
        if self.n_bytes[stage] >= SEGMENT_BYTES:
            self.write(stage)

    def write(self, stage: str) -> None:
        """Writes a stage's waiting units as a committed segment."""
        units = sorted(self.units.pop(stage), key=lambda pair: part_name(stage, pair[0]))
        self.n_bytes[stage] = 0
        facts = {}
        for unit, tables in units:
            rejects = Counter(tables["rejects"].column("reason").to_pylist()) if "rejects" in tables else Counter()
            rows = {name: table.num_rows for name, table in tables.items() if name != "rejects"}
            facts[unit] = {"rows": rows, "rejects": dict(rejects), "seconds": 1.0}
        names = sorted({name for _, tables in units for name in tables})
        rows_of = {name: [(unit, tables[name]) for unit, tables in units if name in tables] for name in names}
        segment = write_rows(self.store, stage, 3, facts, rows_of)
        change_head(self.store, lambda head: with_segment(head, segment))


def _writes(heaps: Heaps, draw: Draw, made: Made, n_videos: int) -> Iterator[Callable[[], None]]:
    """What is to be written besides segments, which are written as they fill."""
    for number in range(-(-n_videos // VIDEOS_A_UNIT)):
        yield from _unit(heaps, draw, made, number)
    _listings(heaps, draw, made)
    for stage in list(heaps.units):
        heaps.write(stage)


# crawl, text and media of some videos


def _unit(heaps: Heaps, draw: Draw, made: Made, number: int) -> Iterator[Callable[[], None]]:
    """Makes one batch of the extraction and everything that follows from it."""
    ids = draw.ids(VIDEOS_A_UNIT)
    category = [c.id for c in load_categories()]
    categories = [category[int(draw.rng.integers(len(category)))] for _ in ids]
    channel = [f"UC{(number * VIDEOS_A_UNIT + i) // VIDEOS_A_CHANNEL:022d}" for i in range(VIDEOS_A_UNIT)]
    unit = f"00000-{number:016x}"
    words = draw.words(len(ids) * WORDS_A_VIDEO)
    tables = {
        "videos": videos_table(draw, ids, categories, channel),
        "captions": captions_table(draw, ids, words),
    }
    lost = rejects_table("extract", draw.ids(VIDEOS_A_UNIT), Reason.NO_CAPTIONS)
    heaps.add("extract", unit, tables, lost)
    over = f"extract-{unit}"
    heaps.add("transcripts", over, {"transcripts": transcripts_table(draw, ids, words)}, None)
    clips = clips_table(draw, ids, categories)
    away = rejects_table("clips", [i for i in ids for _ in range(3)], Reason.TOO_FEW_WORDS, clip=".9")
    heaps.add("clips", f"transcripts-{over}", {"clips": clips}, away)
    packs = packs_table(draw, clips, channel)
    made.ids += ids
    made.categories += categories
    for i, video_id in enumerate(ids):
        rows = packs.slice(i * CLIPS_A_VIDEO, CLIPS_A_VIDEO)
        if draw.rng.random() < REJECTED_SHARE:
            turned = rejects_table("media", [video_id], Reason.NOT_A_VIDEO)
            heaps.add("media", video_id, {}, turned)
            continue
        made.packs.append(rows.select(["key", "clip_id", "video_id", "n", "status", "channel_id", "category_id"]))
        heaps.add("media", video_id, {"packs": rows}, None)
        if _is_open(video_id):
            yield partial(heaps.store.write, f"packs/{video_id}.tar", bytes(1024))


def _is_open(video_id: str) -> bool:
    """Whether a video's samples wait for a shard, so that their pack is still there."""
    return bool(hash_name(0, "half", video_id) & 1)


# the crawl's own tables


def _listings(heaps: Heaps, draw: Draw, made: Made) -> None:
    """Makes what was listed, and what was chosen of it."""
    n = len(made.ids)
    ids = made.ids + draw.ids(n * (LISTED_A_VIDEO - 1))
    order = draw.rng.permutation(len(ids))
    listed = [ids[i] for i in order.tolist()]
    category = [c.id for c in load_categories()]
    for number, first in enumerate(range(0, len(listed), RESULTS_A_LISTING)):
        part = listed[first : first + RESULTS_A_LISTING]
        wanted = category[number % len(category)]
        facts: dict[str, list[Any]] = {
            "source": ["search"],
            "query": [f"query {number}"],
            "wanted_category_id": [wanted],
        }
        many = {name: values * len(part) for name, values in facts.items()}
        rows = filled(
            TABLES["listings"],
            len(part),
            {**many, "video_id": part, "position": np.arange(len(part)), "title": draw.texts(len(part), 8)},
        )
        source = filled(TABLES["sources"], 1, {**facts, "up_to": [600], "n_listed": [len(part)]})
        unit = f"{number // 100:05d}-search-{number:016x}"
        heaps.add("list", unit, {"listings": rows, "sources": source}, None)
    asked = made.ids + ids[n : n * ASKED_A_VIDEO]
    for number, first in enumerate(range(0, len(asked), UNIT_VIDEOS)):
        part = asked[first : first + UNIT_VIDEOS]
        columns = {
            "video_id": part,
            "source": ["search"] * len(part),
            "query": ["query 0"] * len(part),
            "wanted_category_id": [category[0]] * len(part),
            "asked": [True] * len(part),
            "attempt": [1] * len(part),
        }
        rows = filled(TABLES["candidates"], len(part), columns)
        heaps.add("choose", f"{number:05d}-plan", {"candidates": rows}, None)


def _plans(store: Store, n_videos: int) -> None:
    """Makes the plans of the rounds, the last one still in progress."""
    for number in range(max(1, n_videos // UNIT_VIDEOS)):
        facts = {"round": number, "asks": [], "n_candidates": [], "due": [], "requests": []}
        store.write_json(f"rounds/{number:05d}.json", facts)


# closed shards


def _close_shards(store: Store, made: Made) -> None:
    """Makes shards of every other video, with rows as wide as real ones, and their manifest."""
    closed = pa.concat_tables(made.packs)
    ids = closed.column("video_id").to_pylist()
    half = {video_id for video_id in set(ids) if not _is_open(video_id)}
    closed = closed.filter(pa.array([video_id in half for video_id in ids]))
    entries = []
    with tempfile.TemporaryDirectory() as name:
        for number, first in enumerate(range(0, closed.num_rows, SAMPLES_A_SHARD)):
            rows = closed.slice(first, SAMPLES_A_SHARD)
            entries.append(_close_shard(store, rows, number, Path(name), number // SHARDS_A_GENERATION))
    card = CardConfig(title="a bench")
    publish(store, entries, {"name": "bench", "config": {}, "versions": {}}, card, created_at=LONG_AGO)


def _close_shard(store: Store, packs: pa.Table, number: int, folder: Path, generation: int) -> ShardEntry:
    good = packs.filter(pc.equal(packs.column("status"), "success"))
    url = f"shards/train/{number:05d}.tar"
    tar = folder / f"{number:05d}.tar"
    content = {"mp4": b"mp4", "txt": b"txt", "json": b"{}"}
    placed = {p.key: p for p in write_pack(tar, [Sample(key, content) for key in good.column("key").to_pylist()])}
    members = [
        json.dumps({e: [p.offset + at, size] for e, (at, size) in p.members.items()}) if p else "{}"
        for p in map(placed.get, packs.column("key").to_pylist())
    ]
    n = packs.num_rows
    is_good = pc.equal(packs.column("status"), "success").to_numpy()
    columns = {
        **{
            name: packs.column(name).combine_chunks()
            for name in ("key", "clip_id", "video_id", "channel_id", "category_id")
        },
        "url": [f"https://www.youtube.com/watch?v={i}" for i in packs.column("video_id").to_pylist()],
        "caption": ["a sentence of the clip that is about as long as most are, with its words one after the other"] * n,
        "clips": [f"[[0, {CLIP_MS}]]"] * n,
        "status": np.where(is_good, "success", "failed_to_subsample").tolist(),
        "reason": np.where(is_good, "", Reason.SILENT.value).tolist(),
        "duration_ms": np.full(n, CLIP_MS),
        "end_ms": np.full(n, CLIP_MS),
        "members": members,
        "codec": ["h264"] * n,
    }
    rows = filled(SHARD_ROWS, n, columns)
    pq.write_table(rows, folder / f"{number:05d}.parquet", compression="zstd")
    entry = entry_of(rows, url, "train", generation, f"{number:064x}", f"{number:032x}", tar.stat().st_size)
    (folder / f"{number:05d}_stats.json").write_bytes(stats_bytes(entry, rows))
    put_shard(store, folder, url)
    store.commit("shards", f"train-{number:05d}-{number:016x}", {"rows": {}, "rejects": {}, "shard": entry.row()})
    tar.unlink()
    return entry
