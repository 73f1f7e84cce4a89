"""Merging: committed parts into segments, small segments into larger ones, beside the stages that go on.

A merge writes the files of a new segment, under a name that no other has; then one write of the head puts it in the
place of what it was made of. A kill before that write leaves the old state and files that nothing names (the next run
sweeps them); a kill after it leaves the new state. What a segment covers is deleted `grace_s` later.

Sizes go in tiers: `fan_in` segments of one level make one of the next, until `max_bytes`; so a row is rewritten once a
level, and the number of segments grows with the logarithm of the rows and then with their bytes.
"""

import json
import logging
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.schema import REJECTS, TABLES, WIDE, completed
from pipeline.engine.commits import Facts, part_name
from pipeline.engine.lock import RunLock
from pipeline.engine.segments import FOLDER, UNITS, Head, Retired, Segment, change_head, read_head
from pipeline.engine.store import Part, Store

log = logging.getLogger("hdvila")

GROUP_ROWS = 16_384
"""Rows of a row group, at most: what a reader of one unit loads."""
GROUP_BYTES = 32 * 1024**2
"""Bytes in memory of a row group, about, at most."""
LOOK_EVERY_S = 10.0
MOST_AT_ONCE = 16
"""This many times `n_units` are merged at a time: an output that an older version made may hold millions."""


@dataclass(frozen=True, slots=True)
class MergeSizes:
    """When to merge. `n_units` 0: never."""

    n_units: int = 2000
    fan_in: int = 8
    max_bytes: int = 512 * 1024**2
    grace_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class Job:
    """What one merge takes together: units that lie loose (with the facts of each), or whole segments."""

    stage: str
    level: int
    facts: Mapping[str, Facts]
    parts: Mapping[str, tuple[Part, ...]]
    """By table, `rejects` too."""
    replaced: tuple[str, ...] = ()
    """Ids of the segments that the new one stands for."""


def plan_merge(store: Store, sizes: MergeSizes) -> Job | None:
    """The next merge that is due, small ones first; None where there is none."""
    if not sizes.n_units:
        return None
    head, _ = read_head(store)
    for stage in store.commits.stages():
        if len(store.commits.of(stage)) < sizes.n_units:
            continue
        loose = dict(sorted(store.loose(head, stage).items())[: MOST_AT_ONCE * sizes.n_units])
        if len(loose) >= sizes.n_units and (job := _of_loose(store, head, stage, loose, sizes)):
            return job
    for stage in sorted({segment.stage for segment in head.segments}):
        by_level: dict[int, list[Segment]] = {}
        for segment in head.of(stage):
            if segment.bytes < sizes.max_bytes:
                by_level.setdefault(segment.level, []).append(segment)
        for level in sorted(by_level):
            if len(by_level[level]) >= sizes.fan_in:
                return _of_segments(store, stage, by_level[level][: sizes.fan_in])
    return None


def _of_loose(store: Store, head: Head, stage: str, loose: Mapping[str, str], sizes: MergeSizes) -> Job | None:
    """A merge of loose units; those that lost a part stay loose, so that `check_accounts` goes on naming it."""
    facts = {unit: store.commits.facts(path, unit) for unit, path in loose.items()}
    parts = {}
    for folder in (*TABLES, f"rejects/{stage}"):
        found = [part for part in store.parts(folder) if part.stage == stage and part.unit in facts and part.n_rows < 0]
        if found:
            parts[folder.partition("/")[0]] = found
    held = {(table, part.unit) for table, some in parts.items() for part in some}
    whole = {unit for unit, its in facts.items() if all((table, unit) in held for table in _promised(its))}
    if len(whole) < sizes.n_units:
        return None
    kept = {table: tuple(part for part in some if part.unit in whole) for table, some in parts.items()}
    return Job(stage, 0, {unit: facts[unit] for unit in sorted(whole)}, {t: some for t, some in kept.items() if some})


def _promised(facts: Facts) -> list[str]:
    rejects = ["rejects"] if sum(facts.get("rejects", {}).values()) else []
    return [*facts.get("rows", {}), *rejects]


def _of_segments(store: Store, stage: str, some: list[Segment]) -> Job:
    facts = {unit: its for segment in some for unit, its in store.segments.facts(segment)}
    tables = sorted({table for segment in some for table, n_rows in segment.rows.items() if n_rows})
    parts = {}
    for table in tables:
        found = [
            Part(stage, unit, segment.path(table), first, n)
            for segment in some
            for unit, first, n in store.segments.places(segment, table)
        ]
        found.sort(key=lambda part: part_name(stage, part.unit))
        parts[table] = tuple(found)
    level = some[0].level + 1
    return Job(stage, level, facts, parts, tuple(segment.id for segment in some))


def write_segment(store: Store, job: Job) -> Segment:
    """Writes the files of a job's segment. It does not count before `install` has put it into the head."""
    segment = Segment(
        id=uuid.uuid4().hex[:16], stage=job.stage, level=job.level, n_units=len(job.facts), bytes=0, rows={},
        rejects={}, seconds=0.0, made_at=time.time(),
    )  # fmt: skip
    names = sorted(job.facts, key=lambda unit: part_name(job.stage, unit))
    units: dict[str, list[Any]] = {"unit": names, "facts": [_plain(job.facts[unit]) for unit in names]}
    rows: dict[str, int] = {}
    n_bytes = 0
    with tempfile.TemporaryDirectory() as scratch:
        for table, parts in job.parts.items():
            counts, sizes = _write_table(store, segment, table, parts, Path(scratch))
            rows[table] = sum(counts.values())
            n_bytes += sizes
            at = 0
            units[f"first:{table}"], units[f"n:{table}"] = [], []
            for unit in names:
                units[f"first:{table}"].append(at)
                units[f"n:{table}"].append(counts.get(unit, 0))
                at += counts.get(unit, 0)
    store.write_table(segment.path(UNITS), pa.table(units))
    rejects: Counter[str] = Counter()
    for facts in job.facts.values():
        rejects.update(facts.get("rejects", {}))
    seconds = sum(float(facts.get("seconds", 0.0)) for facts in job.facts.values())
    return segment.model_copy(
        update={"bytes": n_bytes, "rows": rows, "rejects": dict(rejects), "seconds": round(seconds, 3)}
    )


def _plain(facts: Facts) -> str:
    kept = {name: value for name, value in facts.items() if name not in ("parts", "segment")}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False)


def _write_table(
    store: Store, segment: Segment, table: str, parts: tuple[Part, ...], scratch: Path
) -> tuple[dict[str, int], int]:
    """Writes a table's files, unit after unit; returns the rows of each unit and the bytes of the files."""
    schema = REJECTS if table == "rejects" else TABLES[table]
    wide = WIDE.get(table, ())
    sets = {False: [name for name in schema.names if name not in wide]}
    if wide:
        sets[True] = ["video_id", *wide]
    files = {is_wide: scratch / f"{table}.{is_wide}" for is_wide in sets}
    writers = {
        is_wide: pq.ParquetWriter(files[is_wide], pa.schema([schema.field(name) for name in names]), compression="zstd")
        for is_wide, names in sets.items()
    }
    counts: dict[str, int] = {}
    for block in _blocks(store, parts, schema, counts):
        for is_wide, names in sets.items():
            writers[is_wide].write_table(block.select(names))
    for is_wide, writer in writers.items():
        writer.close()
        store.put(files[is_wide], segment.path(table, wide=is_wide))
    return counts, sum(file.stat().st_size for file in files.values())


def _blocks(store: Store, parts: tuple[Part, ...], schema: pa.Schema, counts: dict[str, int]) -> Iterator[pa.Table]:
    """The parts' rows in row groups of bounded size; counts the rows of each unit."""
    held: list[pa.Table] = []
    for part in parts:
        rows = completed(store.read_part(part), schema)
        counts[part.unit] = rows.num_rows
        held.append(rows)
        n_rows, n_bytes = sum(t.num_rows for t in held), sum(t.nbytes for t in held)
        if n_rows >= GROUP_ROWS or n_bytes >= GROUP_BYTES or len(held) >= 1000:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)


def install(store: Store, job: Job, segment: Segment) -> bool:
    """Puts a written segment in the place of what it was made of; False where that is not there any more.

    Units that were taken back or done again while it was written are void in it.
    """

    def change(head: Head) -> Head:
        known = {one.id: one for one in head.segments}
        if any(name not in known for name in job.replaced):
            return head
        void = _void_since(store, head, job)
        if len(void) == segment.n_units:
            return head
        new = segment.model_copy(update={"void": tuple(sorted(void)), "made_at": time.time()})
        rest = tuple(one for one in head.segments if one.id not in job.replaced)
        gone = tuple(Retired(id=name, stage=job.stage, at=time.time()) for name in job.replaced)
        return head.model_copy(update={"segments": (*rest, new), "retired": (*head.retired, *gone)})

    return any(one.id == segment.id for one in change_head(store, change).segments)


def _void_since(store: Store, head: Head, job: Job) -> set[str]:
    if job.replaced:
        known = {one.id: one for one in head.segments}
        voided = {unit for name in job.replaced for unit in known[name].void}
        live = {unit for name in job.replaced for unit in store.segments.names([known[name]])}
        return (voided & job.facts.keys()) - live
    loose = store.loose(head, job.stage)
    return {
        unit
        for unit, facts in job.facts.items()
        if unit not in loose or store.commits.facts(loose[unit], unit) != facts
    }


def sweep_segments(store: Store, grace_s: float) -> int:
    """Deletes what segments cover and what is retired, where that was `grace_s` ago; returns how many files.

    Only call while holding the run lock. With 0, also what a killed merge left.
    """
    head, _ = read_head(store)
    before = time.time() - grace_s
    gone = [one for one in head.retired if one.at <= before]
    n_swept = sum(_delete_folder(store, f"{FOLDER}/{one.stage}/{one.id}") for one in gone)
    if gone:
        names = {one.id for one in gone}
        change_head(store, lambda h: h.model_copy(update={"retired": tuple(r for r in h.retired if r.id not in names)}))
    for stage in sorted({segment.stage for segment in head.segments}):
        ripe = store.segments.names(segment for segment in head.of(stage) if segment.made_at <= before)
        if ripe:
            n_swept += _delete_covered(store, stage, ripe)
    return n_swept


def sweep_orphans(store: Store) -> int:
    """Deletes the files of segments that no head names: what a killed merge left. Only at the start of a run."""
    head, _ = read_head(store)
    known = {one.id for one in head.segments} | {one.id for one in head.retired}
    strays = [
        f"{FOLDER}/{stage}/{name}"
        for stage in store.folders(FOLDER)
        for name in store.folders(f"{FOLDER}/{stage}")
        if name not in known
    ]
    return sum(_delete_folder(store, folder) for folder in strays)


def _delete_folder(store: Store, folder: str) -> int:
    names = store.names(folder)
    for name in names:
        store.delete(f"{folder}/{name}")
    if store.is_local and Path(store.path(folder)).is_dir():
        Path(store.path(folder)).rmdir()
    return len(names)


def _delete_covered(store: Store, stage: str, ripe: set[str]) -> int:
    """Commits whose units all lie in segments, and the parts that they name."""
    where = store.commits.of(stage)
    by_path: dict[str, list[str]] = {}
    for unit, path in where.items():
        by_path.setdefault(path, []).append(unit)
    n_swept = 0
    for path, units in by_path.items():
        if not ripe.issuperset(units):
            continue
        parts = [
            part
            for folder in (*TABLES, f"rejects/{stage}")
            for _, part in store.commits.parts(dict.fromkeys(units, path), stage, folder)
        ]
        store.delete(path)
        for part in parts:
            store.delete(part)
        n_swept += 1 + len(parts)
    return n_swept


@contextmanager
def merging(store: Store, lock: RunLock, sizes: MergeSizes) -> Iterator["Merger"]:
    """A merger for as long as the block lasts; at its good end, what is due by then is merged."""
    merger = Merger(store, lock, sizes)
    try:
        yield merger
        merger.settle()
    finally:
        merger.close()


@dataclass(slots=True)
class Merger:
    """Merges beside a run: `tick` between two looks at the units; a merge is written by a thread of its own."""

    store: Store
    lock: RunLock
    sizes: MergeSizes
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="merge"))
    _running: tuple[Job, "Future[Segment]"] | None = None
    _looked: float = float("-inf")

    def tick(self) -> None:
        """Takes up a merge that is due, and installs one that is written. Never waits for one."""
        if self._running and self._running[1].done():
            self._install()
        if self._running or not self.sizes.n_units or time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._look()

    def settle(self) -> None:
        """Merges until nothing is due."""
        while self.sizes.n_units:
            if self._running:
                self._running[1].result()
                self._install()
            self._look()
            if not self._running:
                return

    def close(self) -> None:
        """Waits for the merge that is being written, which the next run does again."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _look(self) -> None:
        self._looked = time.monotonic()
        self.lock.check()
        sweep_segments(self.store, self.sizes.grace_s)
        job = plan_merge(self.store, self.sizes)
        if job:
            apart = replace(self.store)  # what a store keeps of its files is not for two threads
            self._running = job, self._pool.submit(write_segment, apart, job)

    def _install(self) -> None:
        assert self._running
        job, written = self._running
        self._running = None
        try:
            segment = written.result()
        except OSError as error:
            log.warning("%s: a merge of %s failed (%s); it is done again later", self.store.url, job.stage, error)
            return
        self.lock.check()
        if install(self.store, job, segment):
            log.info("merged %d units of %s into one segment of %d bytes", segment.n_units, job.stage, segment.bytes)
            self._looked = float("-inf")  # the next one may be due at once
