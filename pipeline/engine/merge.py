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
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.schema import REJECTS, TABLES, WIDE, completed
from pipeline.engine.commits import READERS, Facts, number_of, part_name
from pipeline.engine.ids import TABLES_WITH_IDS, Entries, entries_of, sorted_entries
from pipeline.engine.lock import RunLock
from pipeline.engine.merge_ids import IdsJob, install_ids, plan_ids, write_ids
from pipeline.engine.segments import FOLDER, UNITS, Head, IdsFile, Retired, Segment, change_head, read_head
from pipeline.engine.store import Part, Store

log = logging.getLogger("hdvila")

GROUP_ROWS = 16_384
"""Rows of a row group, at most: what a reader of one unit loads."""
GROUP_BYTES = 32 * 1024**2
"""Bytes in memory of a row group, about, at most."""
LOOK_EVERY_S = 10.0
MOST_AT_ONCE = 32_000
"""Units that are merged at a time: an output that an older version made may hold millions."""


@dataclass(frozen=True, slots=True)
class MergeSizes:
    """When to merge. `n_units` 0: never."""

    n_units: int = 200
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
        loose = dict(sorted(store.loose(head, stage).items(), key=lambda pair: pair[::-1])[: _most(sizes)])
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


def _most(sizes: MergeSizes) -> int:
    return max(MOST_AT_ONCE, sizes.n_units)


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
            for unit, first, n in store.segments.row_ranges(segment, table)
        ]
        found.sort(key=lambda part: part_name(stage, part.unit))
        parts[table] = tuple(found)
    level = some[0].level + 1
    return Job(stage, level, facts, parts, tuple(segment.id for segment in some))


def write_segment(store: Store, job: Job) -> Segment:
    """Writes the files of a job's segment. It does not count before `install` has put it into the head."""
    rows = {table: _read_ahead(store, parts) for table, parts in job.parts.items()}
    return write_rows(store, job.stage, job.level, job.facts, rows)


def write_rows(
    store: Store, stage: str, level: int, facts: Mapping[str, Facts], rows: Mapping[str, Iterable[tuple[str, pa.Table]]]
) -> Segment:
    """Writes the files of a segment from the rows of each unit, by table, in the order of the names of their parts."""
    segment = Segment(
        id=uuid.uuid4().hex[:16], stage=stage, level=level, n_units=len(facts), bytes=0, rows={},
        rejects={}, seconds=0.0, made_at=time.time(),
    )  # fmt: skip
    names = sorted(facts, key=lambda unit: part_name(stage, unit))
    units: dict[str, list[Any]] = {"unit": names, "facts": [_plain(facts[unit]) for unit in names]}
    n_rows: dict[str, int] = {}
    files = _Files({}, [])
    with tempfile.TemporaryDirectory() as scratch:
        for table, of_units in rows.items():
            counts = _write_table(store, segment, table, of_units, Path(scratch), files)
            n_rows[table] = sum(counts.values())
            at = 0
            units[f"first:{table}"], units[f"n:{table}"] = [], []
            for unit in names:
                units[f"first:{table}"].append(at)
                units[f"n:{table}"].append(counts.get(unit, 0))
                at += counts.get(unit, 0)
    store.write_table(segment.path(UNITS), pa.table(units))
    ids = sorted_entries(files.ids)
    if len(ids):
        store.write(segment.ids_path, ids.tobytes())
    rejects: Counter[str] = Counter()
    for its in facts.values():
        rejects.update(its.get("rejects", {}))
    return segment.model_copy(
        update={
            "bytes": sum(files.sizes.values()),
            "rows": n_rows,
            "rejects": dict(rejects),
            "seconds": round(sum(float(its.get("seconds", 0.0)) for its in facts.values()), 3),
            "n_ids": len(ids),
            "sizes": files.sizes,
        }
    )


@dataclass(frozen=True, slots=True)
class _Files:
    """What is known of the files of a segment while they are written: bytes by name, and the entries of its ids."""

    sizes: dict[str, int]
    ids: list[Entries]


def _plain(facts: Facts) -> str:
    kept = {name: value for name, value in facts.items() if name not in ("parts", "segment")}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False)


def _write_table(
    store: Store,
    segment: Segment,
    table: str,
    of_units: Iterable[tuple[str, pa.Table]],
    scratch: Path,
    files: _Files,
) -> dict[str, int]:
    """Writes a table's files, unit after unit; returns the rows of each unit."""
    schema = REJECTS if table == "rejects" else TABLES[table]
    wide = WIDE.get(table, ())
    sets = {False: [name for name in schema.names if name not in wide]}
    if wide:
        sets[True] = ["video_id", *wide]
    local = {is_wide: scratch / f"{table}.{is_wide}" for is_wide in sets}
    writers = {
        is_wide: pq.ParquetWriter(local[is_wide], pa.schema([schema.field(name) for name in names]), compression="zstd")
        for is_wide, names in sets.items()
    }
    counts: dict[str, int] = {}
    n_rows = 0
    for block, sizes in _blocks(of_units, schema, counts):
        for is_wide, names in sets.items():
            writers[is_wide].write_table(block.select(names))
        if table in TABLES_WITH_IDS:
            ids = block.column("video_id").combine_chunks()
            files.ids.append(entries_of(segment.id, table, ids, n_rows, sizes))
        n_rows += block.num_rows
    for is_wide, writer in writers.items():
        writer.close()
        path = segment.path(table, wide=is_wide)
        files.sizes[path.rpartition("/")[2]] = local[is_wide].stat().st_size
        store.put(local[is_wide], path)
    return counts


def _blocks(
    of_units: Iterable[tuple[str, pa.Table]], schema: pa.Schema, counts: dict[str, int]
) -> Iterator[tuple[pa.Table, list[int]]]:
    """Rows in row groups of bounded size, with the rows of each unit in it; counts the rows of each unit."""
    held: list[pa.Table] = []
    n_rows = n_bytes = 0
    for unit, read in of_units:
        rows = completed(read, schema)
        counts[unit] = rows.num_rows
        held.append(rows)
        n_rows, n_bytes = n_rows + rows.num_rows, n_bytes + rows.nbytes
        if n_rows >= GROUP_ROWS or n_bytes >= GROUP_BYTES or len(held) >= 1000:
            yield pa.concat_tables(held), [t.num_rows for t in held]
            held, n_rows, n_bytes = [], 0, 0
    if held:
        yield pa.concat_tables(held), [t.num_rows for t in held]


def _read_ahead(store: Store, parts: tuple[Part, ...]) -> Iterator[tuple[str, pa.Table]]:
    """(unit, rows) of the parts in their order. Of those that are a file each, several are read at a time."""
    loose = iter([part for part in parts if part.n_rows < 0])
    with ThreadPoolExecutor(READERS) as readers:
        ahead = deque(readers.submit(store.read_part, part) for part in islice(loose, READERS))
        for part in parts:
            if part.n_rows >= 0:
                yield part.unit, store.read_part(part)
                continue
            read = ahead.popleft().result()
            ahead.extend(readers.submit(store.read_part, more) for more in islice(loose, 1))
            yield part.unit, read


def install(store: Store, job: Job, segment: Segment) -> bool:
    """Swaps a written segment in for what it was made of; False where that is gone by now.

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
        changed = head.model_copy(update={"segments": (*rest, new), "retired": (*head.retired, *gone)})
        if job.replaced:
            return changed
        covered = _covered(store, head, job.stage, job.facts.keys() - void)
        return changed.model_copy(update={"covered": {**head.covered, job.stage: covered}})

    changed = change_head(store, change)
    store.commits.floor.update(changed.covered)
    return any(one.id == segment.id for one in changed.segments)


def _covered(store: Store, head: Head, stage: str, merged: Set[str]) -> int:
    """The number up to which every group's units lie in segments, once `merged` do."""
    last = store.commits.last_number(stage)  # before it is looked at what they hold
    left = [number_of(path) for unit, path in store.loose(head, stage).items() if unit not in merged]
    return max(head.covered.get(stage, 0), min([number - 1 for number in left if number], default=last))


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
    known = {one.id for one in head.segments} | {one.id for one in head.retired} | {one.id for one in head.ids}
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
    """A merger for as long as the block lasts; if it ends without an error, what is due by then is merged."""
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
    _running: "_Written | None" = None
    _looked: float = float("-inf")

    def tick(self) -> None:
        """Takes up a merge that is due, and installs one that is written. Never waits for one."""
        if self._running and self._running.future.done():
            self._install()
        if self._running or not self.sizes.n_units or time.monotonic() - self._looked < LOOK_EVERY_S:
            return
        self._look()

    def settle(self) -> None:
        """Merges until nothing is due."""
        while self.sizes.n_units:
            if self._running:
                self._running.future.result()
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
        apart = replace(self.store)  # what a store keeps of its files is not for two threads
        if job := plan_merge(self.store, self.sizes):
            written = self._pool.submit(write_segment, apart, job)
            self._running = _Written(written, partial(_segment_installed, self.store, job))
        elif ids := plan_ids(read_head(self.store)[0]):
            self._running = _Written(self._pool.submit(write_ids, apart, ids), partial(_ids_installed, self.store, ids))

    def _install(self) -> None:
        assert self._running
        written, self._running = self._running, None
        try:
            made = written.future.result()
        except OSError as error:
            log.warning("%s: a merge failed (%s); it is done again later", self.store.url, error)
            return
        self.lock.check()
        if said := written.install(made):
            log.info("%s", said)
            self._looked = float("-inf")  # the next one may be due at once


@dataclass(frozen=True, slots=True)
class _Written:
    """What is being written. `install` puts it into the head and says what was done; "" for nothing."""

    future: "Future[Any]"
    install: Callable[[Any], str]


def _segment_installed(store: Store, job: Job, segment: Segment) -> str:
    said = f"merged {segment.n_units} units of {segment.stage} into one segment of {segment.bytes} bytes"
    return said if install(store, job, segment) else ""


def _ids_installed(store: Store, job: IdsJob, made: IdsFile) -> str:
    said = f"merged the ids of {len(job.segments)} segments into one file of {made.n_ids}"
    return said if install_ids(store, job, made) else ""
