"""Output directories of any size, as a run leaves them that is half-way: everything that was found is read and cut,
half of it lies in closed shards, the other half waits for the next ones.

Of four listed videos two were looked at and one is wanted (14 million candidates, 3.3 million videos). The tables are
as wide as real ones; the samples in packs and shards are tiny, since no step that is measured decodes them.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.scaling.columns import CLIP_MS, CLIPS_A_VIDEO, SPOKEN_OUTSIDE, WORDS_A_CLIP, WORDS_A_VIDEO, Draw
from manifests.categories import category_name, load_categories
from manifests.hashing import hash_name
from manifests.live import STATUS_NAME, RunStatus, StageStatus
from manifests.reasons import Reason
from manifests.sample import sample_key
from manifests.schema import CLIPS, PACKS, REJECTS, SHARD_ROWS, TABLES, TRANSCRIPTS, VIDEOS
from manifests.shards import ShardEntry
from pipeline.config import RunConfig
from pipeline.config.shards import CardConfig
from pipeline.engine.commits import part_name
from pipeline.engine.merge_ids import install_ids, plan_ids, write_ids
from pipeline.engine.segment_files import write_rows
from pipeline.engine.segments import change_head, read_head
from pipeline.engine.store import Store
from pipeline.media.packs import Sample, write_pack
from pipeline.outdir.identity import check_identity
from pipeline.shards.files import entry_of, put_shard, stats_bytes
from pipeline.shards.manifest import publish

VIDEOS_A_UNIT = 20
LISTED_A_VIDEO, ASKED_A_VIDEO = 4, 2
RESULTS_A_LISTING = 600
VIDEOS_A_CHANNEL = 20
WAVE_VIDEOS = 1000
BATCH_VIDEOS = 200
"""Videos that are added to a store for a driver that has planned before."""
SAMPLES_A_SHARD = 2000
TURNED_AWAY = 0.05
"""Videos that are turned away at the media."""
FAILED_CLIPS = 0.1
SEGMENT_BYTES = 768 * 1024**2
"""Of a segment's rows in memory: its files come to a third or half of that."""
WRITERS = 8
MOST_PENDING = 64
LONG_AGO, FAR_AHEAD = "2026-01-01T00:00:00+00:00", "2126-01-01T00:00:00+00:00"


@dataclass
class Made:
    """What later steps of the making need of the videos."""

    ids: list[str] = field(default_factory=list)
    categories: list[int] = field(default_factory=list)
    packs: list[pa.Table] = field(default_factory=list)


def make_store(store: Store, config: RunConfig, n_videos: int, seed: int = 0) -> None:
    """Fills an empty store, as a run of this configuration would."""
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
        install_ids(store, job, write_ids(store, job))
    waves = [made.ids[i : i + WAVE_VIDEOS] for i in range(0, n_videos, WAVE_VIDEOS)]
    for number, ids in enumerate(waves):
        store.write_json(f"waves/{number:05d}.json", {"video_ids": ids})
    _plans(store, n_videos)
    _close_shards(store, made)
    stages = tuple(StageStatus(stage=name, done=n_videos) for name in ("extract", "transcripts", "clips", "media"))
    store.write(STATUS_NAME, RunStatus(state="ended", stages=stages).model_dump_json().encode())


def add_batch(store: Store) -> None:
    """Adds a batch of videos of new channels that were found, read and cut since: a segment a stage."""
    first = 10**9 + store.read_table("videos", ["video_id"]).num_rows
    heaps, draw = Heaps(store), Draw.of(first)
    for number in range(BATCH_VIDEOS // VIDEOS_A_UNIT):
        for write in _unit(heaps, draw, Made(), first + number):
            write()
    for stage in list(heaps.units):
        heaps.write(stage)


@dataclass
class Heaps:
    """Units that wait until they fill a segment, by stage: the stores are as merges leave them."""

    store: Store
    units: dict[str, list[tuple[str, dict[str, pa.Table]]]] = field(default_factory=dict)
    n_bytes: Counter[str] = field(default_factory=Counter)

    def add(self, stage: str, unit: str, tables: dict[str, pa.Table], rejects: pa.Table | None) -> None:
        """One more unit; a segment is written once there are enough."""
        whole = tables if rejects is None else {**tables, "rejects": rejects}
        self.units.setdefault(stage, []).append((unit, whole))
        self.n_bytes[stage] += sum(table.nbytes for table in whole.values())
        if self.n_bytes[stage] >= SEGMENT_BYTES:
            self.write(stage)

    def write(self, stage: str) -> None:
        """Writes what waits of a stage as a segment that counts."""
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
        change_head(self.store, lambda head: head.model_copy(update={"segments": (*head.segments, segment)}))


def _writes(heaps: Heaps, draw: Draw, made: Made, n_videos: int) -> Iterator[Callable[[], None]]:
    """What is to be written besides segments, which are written as they fill."""
    for number in range(-(-n_videos // VIDEOS_A_UNIT)):
        yield from _unit(heaps, draw, made, number)
    _listings(heaps, draw, made)
    for stage in list(heaps.units):
        heaps.write(stage)


# crawl, text and media of some videos


def _unit(heaps: Heaps, draw: Draw, made: Made, number: int) -> Iterator[Callable[[], None]]:
    """One batch of the extraction and all that came of it."""
    ids = draw.ids(VIDEOS_A_UNIT)
    category = [c.id for c in load_categories()]
    categories = [category[int(draw.rng.integers(len(category)))] for _ in ids]
    channel = [f"UC{(number * VIDEOS_A_UNIT + i) // VIDEOS_A_CHANNEL:022d}" for i in range(VIDEOS_A_UNIT)]
    unit = f"00000-{number:016x}"
    words = draw.words(len(ids) * WORDS_A_VIDEO)
    tables = {
        "videos": _videos(draw, ids, categories, channel),
        "captions": _captions(draw, ids, words),
    }
    lost = _rejects("extract", draw.ids(VIDEOS_A_UNIT), Reason.NO_CAPTIONS)
    heaps.add("extract", unit, tables, lost)
    over = f"extract-{unit}"
    heaps.add("transcripts", over, {"transcripts": _transcripts(draw, ids, words)}, None)
    clips = _clips(draw, ids, categories)
    away = _rejects("clips", [i for i in ids for _ in range(3)], Reason.TOO_FEW_WORDS, clip=".9")
    heaps.add("clips", f"transcripts-{over}", {"clips": clips}, away)
    packs = _packs(draw, clips, channel)
    made.ids += ids
    made.categories += categories
    for i, video_id in enumerate(ids):
        rows = packs.slice(i * CLIPS_A_VIDEO, CLIPS_A_VIDEO)
        if draw.rng.random() < TURNED_AWAY:
            turned = _rejects("media", [video_id], Reason.NOT_A_VIDEO)
            heaps.add("media", video_id, {}, turned)
            continue
        made.packs.append(rows.select(["key", "clip_id", "video_id", "n", "status", "channel_id", "category_id"]))
        heaps.add("media", video_id, {"packs": rows}, None)
        if _is_open(video_id):
            yield partial(heaps.store.write, f"packs/{video_id}.tar", bytes(1024))


def _is_open(video_id: str) -> bool:
    """Whether a video's samples wait for a shard: their pack is still there."""
    return bool(hash_name(0, "half", video_id) & 1)


def _filled(schema: pa.Schema, n: int, columns: dict[str, Any]) -> pa.Table:
    """A table of n rows: the columns given, and in others what stands for "not known"."""

    def blank(kind: pa.DataType) -> Any:
        if pa.types.is_string(kind):
            return pa.array([""] * n, kind)
        if pa.types.is_list(kind):
            return pa.array([[]] * n, kind)
        return pa.array(np.zeros(n), pa.float64()).cast(kind)

    arrays = {f.name: columns[f.name] if f.name in columns else blank(f.type) for f in schema}
    return pa.table({k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in arrays.items()}).cast(schema)


def _videos(draw: Draw, ids: list[str], categories: list[int], channel: list[str]) -> pa.Table:
    columns = {
        "video_id": ids,
        "url": [f"https://www.youtube.com/watch?v={i}" for i in ids],
        "source": ["search"] * len(ids),
        "query": [f"words of query {c}" for c in categories],
        "category_id": categories,
        "category": [category_name(c) for c in categories],
        "title": draw.texts(len(ids), 8),
        "channel_id": channel,
        "channel": channel,
        "duration_s": draw.rng.random(len(ids)) * 900 + 60,
        "language": ["en"] * len(ids),
        "upload_date": ["20240102"] * len(ids),
        "heights": [[360, 480, 720, 1080]] * len(ids),
        "caption_tracks": [["manual:en", "auto:en"]] * len(ids),
        "egress": ["direct"] * len(ids),
        "yt_dlp_version": ["2026.11.1"] * len(ids),
    }
    return _filled(VIDEOS, len(ids), columns)


def _captions(draw: Draw, ids: list[str], words: pa.Array) -> pa.Table:
    columns = {
        "video_id": ids,
        "kind": ["auto"] * len(ids),
        "language": ["en"] * len(ids),
        "track": ["en"] * len(ids),
        "format": ["json3"] * len(ids),
        "payload": draw.payloads(words, len(ids)),
    }
    return _filled(TABLES["captions"], len(ids), columns)


def _transcripts(draw: Draw, ids: list[str], words: pa.Array) -> pa.Table:
    columns = {
        "video_id": ids,
        "kind": ["auto"] * len(ids),
        "language": ["en"] * len(ids),
        "format": ["json3"] * len(ids),
        "track": ["en"] * len(ids),
        "n_words": [WORDS_A_VIDEO] * len(ids),
        "words": draw.timed_words(words, len(ids)),
        "events": ["[]"] * len(ids),
        "alignment_confidence": np.ones(len(ids)),
        "minhash": draw.signatures(len(ids)),
    }
    return _filled(TRANSCRIPTS, len(ids), columns)


def _clips(draw: Draw, ids: list[str], categories: list[int]) -> pa.Table:
    n = len(ids) * CLIPS_A_VIDEO
    words = draw.words(n * WORDS_A_CLIP)
    number = np.tile(np.arange(CLIPS_A_VIDEO, dtype=np.int32), len(ids))
    start = number.astype(np.int64) * round(CLIP_MS * (1 + SPOKEN_OUTSIDE))
    video = np.repeat(np.array(ids, object), CLIPS_A_VIDEO).tolist()
    columns = {
        "clip_id": [f"{v}.{k}" for v, k in zip(video, number.tolist(), strict=True)],
        "video_id": video,
        "n": number,
        "start_ms": start,
        "end_ms": start + CLIP_MS,
        "text": pc.binary_join(pa.ListArray.from_arrays(np.arange(n + 1, dtype=np.int32) * WORDS_A_CLIP, words), " "),
        "words": draw.timed_words(words, n),
        "category_id": np.repeat(np.array(categories, np.int32), CLIPS_A_VIDEO),
        "confidence": np.ones(n),
        "language": ["en"] * n,
        "caption_kind": ["auto"] * n,
        "boundary_model": ["net-1"] * n,
        "flags": ["[]"] * n,
    }
    return _filled(CLIPS, n, columns)


def _packs(draw: Draw, clips: pa.Table, channel: list[str]) -> pa.Table:
    n = clips.num_rows
    failed = draw.rng.random(n) < FAILED_CLIPS
    video, number = clips.column("video_id").to_pylist(), clips.column("n").to_pylist()
    members = json.dumps({"mp4": [512, 812_345], "txt": [813_568, 180], "json": [814_592, 6_021], "m4v": [821_248, 99]})
    columns = {
        **{name: clips.column(name).combine_chunks() for name in ("clip_id", "video_id", "n", "start_ms", "end_ms")},
        **{name: clips.column(name).combine_chunks() for name in ("category_id", "text")},
        "key": [sample_key(v, k) for v, k in zip(video, number, strict=True)],
        "status": np.where(failed, "failed", "success").tolist(),
        "reason": np.where(failed, Reason.SILENT.value, "").tolist(),
        "channel_id": np.repeat(np.array(channel, object), CLIPS_A_VIDEO).tolist(),
        "duration_ms": np.full(n, CLIP_MS),
        "width": np.full(n, 1280),
        "height": np.full(n, 720),
        "fps": np.full(n, 30.0),
        "codec": ["h264"] * n,
        "pack": np.where(failed, "", [f"packs/{v}.tar" for v in video]).tolist(),
        "pack_offset": np.where(failed, -1, np.array(number) * 1_000_000),
        "pack_bytes": np.where(failed, 0, 1_000_000),
        "members": np.where(failed, "{}", members).tolist(),
        "phashes": draw.pictures(n // CLIPS_A_VIDEO, CLIPS_A_VIDEO),
        "motion": draw.rng.random(n),
        "flags": ["[]"] * n,
    }
    return _filled(PACKS, n, columns)


def _rejects(stage: str, ids: Sequence[str], reason: Reason, clip: str = "") -> pa.Table:
    n = len(ids)
    columns = {
        "stage": [stage] * n,
        "video_id": list(ids),
        "clip_id": [f"{i}{clip}{k}" if clip else "" for k, i in enumerate(ids)],
        "reason": [reason.value] * n,
        "class": [reason.class_.value] * n,
        "detail": ["as the bench asked"] * n,
        "attempts": [1] * n,
        "at": [LONG_AGO] * n,
    }
    return _filled(REJECTS, n, columns)


# the crawl's own tables


def _listings(heaps: Heaps, draw: Draw, made: Made) -> None:
    """What was listed and what was chosen of it."""
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
        rows = _filled(
            TABLES["listings"],
            len(part),
            {**many, "video_id": part, "position": np.arange(len(part)), "title": draw.texts(len(part), 8)},
        )
        source = _filled(TABLES["sources"], 1, {**facts, "up_to": [600], "n_listed": [len(part)]})
        unit = f"{number // 100:05d}-search-{number:016x}"
        heaps.add("list", unit, {"listings": rows, "sources": source}, None)
    asked = made.ids + ids[n : n * ASKED_A_VIDEO]
    for number, first in enumerate(range(0, len(asked), WAVE_VIDEOS)):
        part = asked[first : first + WAVE_VIDEOS]
        columns = {
            "video_id": part,
            "source": ["search"] * len(part),
            "query": ["query 0"] * len(part),
            "wanted_category_id": [category[0]] * len(part),
            "asked": [True] * len(part),
            "attempt": [1] * len(part),
        }
        rows = _filled(TABLES["candidates"], len(part), columns)
        heaps.add("choose", f"{number:05d}-plan", {"candidates": rows}, None)


def _plans(store: Store, n_videos: int) -> None:
    """Plans of the rounds, the last one under way."""
    for number in range(max(1, n_videos // WAVE_VIDEOS)):
        facts = {"round": number, "asks": [], "n_candidates": [], "due": [], "requests": []}
        store.write_json(f"rounds/{number:05d}.json", facts)


# closed shards


def _close_shards(store: Store, made: Made) -> None:
    """Shards of every other video, as large in rows as real ones, and their manifest."""
    closed = pa.concat_tables(made.packs)
    ids = closed.column("video_id").to_pylist()
    half = {video_id for video_id in set(ids) if not _is_open(video_id)}
    closed = closed.filter(pa.array([video_id in half for video_id in ids]))
    entries = []
    with tempfile.TemporaryDirectory() as name:
        for number, first in enumerate(range(0, closed.num_rows, SAMPLES_A_SHARD)):
            rows = closed.slice(first, SAMPLES_A_SHARD)
            entries.append(_close_shard(store, rows, number, Path(name)))
    card = CardConfig(title="a bench")
    publish(store, entries, {"name": "bench", "config": {}, "versions": {}}, card, created_at=LONG_AGO)


def _close_shard(store: Store, packs: pa.Table, number: int, folder: Path) -> ShardEntry:
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
    rows = _filled(SHARD_ROWS, n, columns)
    pq.write_table(rows, folder / f"{number:05d}.parquet", compression="zstd")
    entry = entry_of(rows, url, "train", 0, f"{number:064x}", f"{number:032x}", tar.stat().st_size)
    (folder / f"{number:05d}_stats.json").write_bytes(stats_bytes(entry, rows))
    put_shard(store, folder, url)
    store.commit("shards", f"train-{number:05d}-{number:016x}", {"rows": {}, "rejects": {}, "shard": entry.row()})
    tar.unlink()
    return entry
