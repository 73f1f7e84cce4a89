"""Makes output directories of any size, in the state of a run that is half-way: all videos found are read and cut, half
of them are in closed shards, and the other half waits for the next ones.

What units give is drawn from a world (`bench/world`): candidates that are rejected, or refused and tried again, videos
of a few clips and of thousands, shards of default size. As a run leaves them, the last units of each stage are in no
segment yet, and some that were merged were taken back and made again; people asked for videos to be left out. Rows are
as wide as real ones; the samples in packs and shards are tiny, since no measured step decodes them.
"""

import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.world import rows
from bench.world.videos import World, hashes_of, ids_of
from bench.world.work import Made, Work
from manifests.clip_status import is_success
from manifests.parquet import parquet_bytes
from manifests.run_status import STATUS_NAME, RunStatus, StageStatus
from manifests.schema import TABLES
from manifests.shards import ShardEntry
from pipeline.config import RunConfig
from pipeline.config.shards import CardConfig
from pipeline.crawl.plan import BATCH_VIDEOS as CANDIDATES_A_UNIT
from pipeline.crawl.plan import MAX_CANDIDATES
from pipeline.crawl.sources import Ask
from pipeline.engine.store.commits import Facts, part_name
from pipeline.engine.store.lookup import ids_of_unit, write_loose
from pipeline.engine.store.merge import MergeSizes, install, plan_merge
from pipeline.engine.store.merge_ids import install_ids, plan_ids, write_ids
from pipeline.engine.store.segment_files import write_rows, write_segment
from pipeline.engine.store.segments import change_head, read_head, with_segment
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Unit, name_over
from pipeline.media.packs import Sample, write_pack
from pipeline.outdir.identity import check_identity
from pipeline.outdir.tombstones import Tombstones, write_tombstones
from pipeline.shards.clips import PlanVideos
from pipeline.shards.closed import read_entries
from pipeline.shards.files import entry_of, put_shard, stats_bytes
from pipeline.shards.manifest import publish

LISTED_A_CANDIDATE = 1.2
"""Results of listings for each video looked at; the others wait."""
UNIT_VIDEOS = 5_000
"""Videos of a batch of media."""
BATCH_VIDEOS = 200
"""About so many videos are added to a store for a driver that has planned before."""
CLIPS_A_SHARD = 183
"""Clips tried for the 165 samples of a shard of default size."""
SHARDS_A_GENERATION = 97
"""Shards that are closed together, those of some 600 videos."""
UNITS_A_COMMIT = 5
SEGMENT_BYTES = 768 * 1024**2
"""Size of a segment's rows in memory: its files are a third to half of that."""


def make_store(store: Store, config: RunConfig, world: World) -> None:
    """Fills an empty store, as a run with this configuration would."""
    n = round(world.n_videos * world.distribution.candidates_a_video)
    check_identity(store, config)
    with tempfile.TemporaryDirectory() as scratch:
        heaps = Heaps(store, Work(world, Path(scratch), 0.0, is_wide=True))
        _listings(heaps, world, n)
        tail = min(n // 4, world.distribution.loose_units * CANDIDATES_A_UNIT)
        ids = crawl(heaps, world, 0, n - tail)
        heaps.write_all()
        _make_again(heaps)
        heaps.is_loose = True
        ids += crawl(heaps, world, n - tail, tail)
        heaps.write_all()
        _media_plans(store, ids, n)
        closed = _planned(world, [i for i in ids if not _is_open(i)])
        entries = [_close_shard(heaps, closed, k, k // SHARDS_A_GENERATION) for k in range(_n_shards(closed))]
    facts = {"name": "bench", "config": {}, "versions": {}}
    publish(store, entries, facts, CardConfig(title="a bench"), created_at=rows.LONG_AGO)
    _merge(store)
    write_loose(store.commits)
    stages = tuple(StageStatus(stage=name, done=n) for name in ("extract", "transcripts", "clips", "media"))
    store.write(STATUS_NAME, RunStatus(state="ended", stages=stages).model_dump_json().encode())
    asked = ids_of(world.nobodys(world.distribution.tombstones)).to_pylist()
    write_tombstones(store, Tombstones(frozenset(asked)))


def add_batch(store: Store, world: World) -> None:
    """Adds a batch of videos that were found, read and cut since: one segment per stage."""
    n = round(BATCH_VIDEOS * world.distribution.candidates_a_video)
    n_before = len(store.committed("extract")) * CANDIDATES_A_UNIT
    with tempfile.TemporaryDirectory() as scratch:
        heaps = Heaps(store, Work(world, Path(scratch), 0.0, is_wide=True))
        crawl(heaps, world, world.n_candidates + n_before, n)
        heaps.write_all()


def add_generation(store: Store, world: World) -> None:
    """Closes the shards of a batch of new videos, as the next generation; they are in no manifest yet."""
    closed = read_entries(store)
    ids = ids_of(world.some(5 * world.n_candidates // 2, BATCH_VIDEOS)).to_pylist()
    content = _planned(world, ids)
    generation = 1 + max(entry.generation for entry in closed)
    with tempfile.TemporaryDirectory() as scratch:
        heaps = Heaps(store, Work(world, Path(scratch), 0.0, is_wide=True))
        for k in range(_n_shards(content)):
            _close_shard(heaps, content, k, generation, len(closed) + k)


@dataclass
class Heaps:
    """Units that wait until they fill a segment, by stage: the stores are as merges leave them.

    `is_loose`: they are committed with parts of their own instead, some at a time.
    """

    store: Store
    work: Work
    is_loose: bool = False
    segment_bytes: int = SEGMENT_BYTES
    units: dict[str, list[tuple[str, Made]]] = field(default_factory=dict)
    n_bytes: Counter[str] = field(default_factory=Counter)
    loose: dict[str, dict[str, Facts]] = field(default_factory=dict)

    def make(self, stage: str, unit: Unit, attempt: int = 1, round_: int = 0) -> Made:
        """Makes a unit and adds it."""
        made = self.work.made(stage, unit, round_)
        self.add(stage, unit.name, made, attempt)
        return made

    def add(self, stage: str, unit: str, made: Made, attempt: int = 1) -> None:
        """Adds what a unit made; writes a segment, or commits some units, once there are enough."""
        if self.is_loose:
            tables = {**made.tables, **({} if made.rejects is None else {f"rejects/{stage}": made.rejects})}
            parts = {t: self.store.write_part(t, stage, unit, its, f"{attempt:012x}") for t, its in tables.items()}
            waiting = self.loose.setdefault(stage, {})
            facts: Facts = {**made.counts(), "parts": parts, "seconds": 1.0, "attempt": attempt}
            waiting[unit] = {**facts, "ids": ids_of_unit(tables)}
            if len(waiting) >= UNITS_A_COMMIT:
                self.store.commit_all(stage, self.loose.pop(stage))
            return
        self.units.setdefault(stage, []).append((unit, made))
        self.n_bytes[stage] += sum(table.nbytes for table in (*made.tables.values(), made.rejects) if table is not None)
        if self.n_bytes[stage] >= self.segment_bytes:
            self._write(stage)

    def write_all(self) -> None:
        """Writes all that waits."""
        for stage in list(self.units):
            self._write(stage)
        for stage in list(self.loose):
            self.store.commit_all(stage, self.loose.pop(stage))

    def _write(self, stage: str) -> None:
        units = sorted(self.units.pop(stage), key=lambda pair: part_name(stage, pair[0]))
        self.n_bytes[stage] = 0
        facts: dict[str, Facts] = {unit: {**made.counts(), "seconds": 1.0} for unit, made in units}
        rows_of: dict[str, list[tuple[str, pa.Table]]] = {}
        for unit, made in units:
            for table, its in {**made.tables, "rejects": made.rejects}.items():
                if its is not None:
                    rows_of.setdefault(table, []).append((unit, its))
        segment = write_rows(self.store, stage, 3, facts, rows_of)
        change_head(self.store, lambda head: with_segment(head, segment))


def _merge(store: Store) -> None:
    while job := plan_ids(read_head(store)[0]):
        install_ids(store, *write_ids(store, job))
    while due := plan_merge(store, MergeSizes()):
        install(store, due, write_segment(store, due))


# crawl, text and media


def crawl(heaps: Heaps, world: World, first: int, n: int) -> list[str]:
    """Makes what becomes of some candidates, and of those that are refused and tried again; ids of videos cut."""
    ids = ids_of(world.some(first, n)).to_pylist()
    cut, late = [], []
    for begin in range(0, n, CANDIDATES_A_UNIT):
        made, refused = _looked_at(heaps, ids[begin : begin + CANDIDATES_A_UNIT], first + begin, attempt=1)
        cut += made
        late += refused
    for begin in range(0, len(late), CANDIDATES_A_UNIT):
        cut += _looked_at(heaps, late[begin : begin + CANDIDATES_A_UNIT], first + begin, attempt=2)[0]
    for begin in range(0, n, MAX_CANDIDATES):
        _choice(heaps, ids[begin : begin + MAX_CANDIDATES], first + begin, attempt=1)
    _choice(heaps, late, first, attempt=2)
    return cut


def _looked_at(heaps: Heaps, ids: list[str], number: int, attempt: int) -> tuple[list[str], list[str]]:
    """Makes one unit of the extraction and all that follows from it; ids of videos cut, and of those to try again."""
    name = f"{attempt - 1:05d}-{number:016x}"
    candidates = tuple({"video_id": video_id, "attempt": attempt} for video_id in ids)
    extracted = heaps.make("extract", Unit(name, candidates, tuple(ids)), round_=attempt - 1)
    late: list[str] = []
    if extracted.rejects is not None:
        is_late = pc.not_equal(extracted.rejects.column("next_try_at"), "")
        late = extracted.rejects.filter(is_late).column("video_id").to_pylist()
    if "videos" not in extracted.tables:
        return [], late
    name, kept = name_over("extract", name), sorted(extracted.tables["videos"].column("video_id").to_pylist())
    read = heaps.make("transcripts", Unit(name, None, tuple(kept)))
    if "transcripts" not in read.tables:
        return [], late
    name, kept = name_over("transcripts", name), read.tables["transcripts"].column("video_id").to_pylist()
    heaps.make("clips", Unit(name, None, tuple(kept)))
    return [video_id for video_id in kept if _is_cut(heaps, video_id)], late


def _is_cut(heaps: Heaps, video_id: str) -> bool:
    made = heaps.make("media", Unit(video_id, None, (video_id,)))
    if made.tables and _is_open(video_id):
        heaps.store.write(f"packs/{video_id}.tar", bytes(1024))
    return bool(made.tables)


def _is_open(video_id: str) -> bool:
    """Whether a video's samples wait for a shard, so that their pack is still there."""
    return bool(hashes_of([video_id])[0] & np.uint64(1))


def _make_again(heaps: Heaps) -> None:
    """Takes back some merged units of media and makes them again, with parts of their own."""
    store, share = heaps.store, heaps.work.world.distribution.void_units
    names = sorted(store.committed("media"))
    again = names[:: max(1, round(1 / share))]
    store.uncommit("media", *again)
    heaps.is_loose = True
    for name in again:
        heaps.make("media", Unit(name, None, (name,)), attempt=2)
    heaps.write_all()
    heaps.is_loose = False
    _merge(store)


# the crawl's own tables


def _listings(heaps: Heaps, world: World, n_candidates: int) -> None:
    """Makes what was listed."""
    n, results = round(n_candidates * LISTED_A_CANDIDATE), world.distribution.results_a_query
    listed, categories = world.some(0, n), world.category_ids.tolist()
    for number, first in enumerate(range(0, n, results)):
        ask = Ask("search", f"query {number}", categories[number % len(categories)], results)
        tables = rows.listings(world, listed[first : first + results], ask, number // 100)
        heaps.add("list", f"{number // 100:05d}-search-{number:016x}", Made(tables))


def _choice(heaps: Heaps, ids: list[str], number: int, attempt: int) -> None:
    """Makes the unit that chose these candidates."""
    if not ids:
        return
    asked = {"video_id": pa.array(ids), "source": "search", "query": "query 0", "asked": True, "attempt": attempt}
    wanted = {"wanted_category_id": int(heaps.work.world.category_ids[0]), "round": attempt - 1}
    table = rows.filled(TABLES["candidates"], len(ids), {**asked, **wanted})
    heaps.add("choose", f"{attempt - 1:05d}-{number:012x}", Made({"candidates": table}))


def _media_plans(store: Store, ids: list[str], n_candidates: int) -> None:
    """Makes the plans of batches and rounds, the last round still in progress."""
    for number, first in enumerate(range(0, len(ids), UNIT_VIDEOS)):
        store.write_json(f"batches/{number:05d}.json", {"video_ids": ids[first : first + UNIT_VIDEOS]})
    for number in range(max(1, n_candidates // MAX_CANDIDATES)):
        facts = {"round": number, "asks": [], "n_candidates": [], "due": [], "requests": []}
        store.write_json(f"rounds/{number:05d}.json", facts)


# closed shards


def _planned(world: World, ids: list[str]) -> PlanVideos:
    """The clips of these videos as a plan of shards has them."""
    found = world.of_ids(ids)
    starts = np.concatenate(([0], np.cumsum(found.n_clips))).astype(np.int64)
    sizes = np.where(rows.is_cut(world, found), world.distribution.clip_bytes, 0)
    numbers = rows.numbers(found.n_clips).astype(np.int32)
    return PlanVideos(found.ids, found.ids, found.ids, found.category_id, starts, numbers, sizes)


def _n_shards(content: PlanVideos) -> int:
    return -(-len(content.n) // CLIPS_A_SHARD)


def _close_shard(heaps: Heaps, content: PlanVideos, k: int, generation: int, number: int = -1) -> ShardEntry:
    """Closes the k-th shard of what is to be closed, with tiny samples."""
    store, number = heaps.store, k if number < 0 else number
    part = content.between(k * CLIPS_A_SHARD, min(len(content.n), (k + 1) * CLIPS_A_SHARD))
    table = rows.shard_rows(heaps.work.world, part)
    stem = f"{number:05d}"
    with tempfile.TemporaryDirectory(dir=heaps.work.scratch) as name:
        folder, tiny = Path(name), {"mp4": b"mp4", "txt": b"txt", "json": b"{}"}
        keys = table.filter(is_success(table["status"]))["key"]
        placed = {p.key: p for p in write_pack(folder / f"{stem}.tar", [Sample(key, tiny) for key in keys.to_pylist()])}
        members = [
            json.dumps({e: [p.offset + at, size] for e, (at, size) in p.members.items()}) if p else "{}"
            for p in map(placed.get, table.column("key").to_pylist())
        ]
        table = table.set_column(table.schema.get_field_index("members"), "members", pa.array(members))
        (folder / f"{stem}.parquet").write_bytes(parquet_bytes(table))
        url, size = f"shards/train/{stem}.tar", (folder / f"{stem}.tar").stat().st_size
        entry = entry_of(table, url, "train", generation, f"{number:064x}", f"{number:032x}", size)
        (folder / f"{stem}_stats.json").write_bytes(stats_bytes(entry, table))
        put_shard(store, folder, url)
    store.commit("shards", f"train-{stem}-{number:016x}", {"rows": {}, "rejects": {}, "shard": entry.row()})
    return entry
