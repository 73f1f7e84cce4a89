"""Writes the files of a segment: its units' rows one after the other, wide columns apart, and where each unit's rows
are.
"""

import json
import tempfile
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.parallel import READERS
from manifests.parquet import parquet_writer
from manifests.schema import REJECTS, TABLES, WIDE, completed
from pipeline.engine.store.commits import Facts, part_name
from pipeline.engine.store.lookup import ids_bytes, places_of
from pipeline.engine.store.merge import Job
from pipeline.engine.store.segments import UNITS, Segment
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import IDS_NAME, MERGED_NAME, Part

GROUP_ROWS = 16_384
"""Most rows in a row group: what a reader of a unit loads."""
GROUP_BYTES = 32 * 1024**2
"""Approximate most bytes in memory of a row group."""


Edit = Callable[[str, pa.Table], pa.Table]
"""(table, a unit's rows in it) -> the rows as they are to be."""


def write_segment(
    store: Store, job: Job, edit: Edit = lambda table, rows: rows, renamed: Mapping[str, str] | None = None
) -> Segment:
    """Writes the files of a job's segment, with edited rows, and with units that are called otherwise from now on. It
    does not count until `install` has put it into the head.
    """
    new = renamed or {}
    rows = {table: _edited(store, parts, partial(edit, table), new) for table, parts in job.parts.items()}
    facts = {new.get(unit, unit): its for unit, its in job.facts.items()}
    segment = write_rows(store, job.stage, job.level, facts, rows)
    if not job.replaced:
        store.write_json(f"{segment.folder}/{MERGED_NAME}", [part.path for some in job.parts.values() for part in some])
    return segment


def write_rows(
    store: Store, stage: str, level: int, facts: Mapping[str, Facts], rows: Mapping[str, Iterable[tuple[str, pa.Table]]]
) -> Segment:
    """Writes the files of a segment from each unit's rows, by table, in the order of the units' part names."""
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
    if files.ids:
        data = ids_bytes(pa.concat_tables(files.ids))
        store.write(f"{segment.folder}/{IDS_NAME}", data)
        files.sizes[IDS_NAME] = len(data)
    rejects: Counter[str] = Counter()
    for its in facts.values():
        rejects.update(its.get("rejects", {}))
    return segment.model_copy(
        update={
            "bytes": sum(files.sizes.values()),
            "rows": n_rows,
            "rejects": dict(rejects),
            "seconds": round(sum(float(its.get("seconds", 0.0)) for its in facts.values()), 3),
            "sizes": files.sizes,
        }
    )


@dataclass(frozen=True, slots=True)
class _Files:
    """A segment's files while they are written: bytes by file name, and where the rows of videos are (PLACES)."""

    sizes: dict[str, int]
    ids: list[pa.Table]


def _plain(facts: Facts) -> str:
    kept = {name: value for name, value in facts.items() if name not in ("parts", "ids", "segment")}
    return json.dumps(kept, sort_keys=True, ensure_ascii=False)


def _write_table(
    store: Store, segment: Segment, table: str, of_units: Iterable[tuple[str, pa.Table]], scratch: Path, files: _Files
) -> dict[str, int]:
    """Writes a table's files, unit after unit; returns the number of rows of each unit."""
    schema = REJECTS if table == "rejects" else TABLES[table]
    wide = WIDE.get(table, ())
    sets = {False: [name for name in schema.names if name not in wide]}
    if wide:
        sets[True] = ["video_id", *wide]
    local = {is_wide: scratch / f"{table}.{is_wide}" for is_wide in sets}
    counts: dict[str, int] = {}
    n_rows = 0
    with ExitStack() as stack:
        writers = {
            is_wide: stack.enter_context(parquet_writer(local[is_wide], pa.schema([schema.field(it) for it in names])))
            for is_wide, names in sets.items()
        }
        for block, sizes in _blocks(of_units, schema, counts):
            for is_wide, names in sets.items():
                writers[is_wide].write_table(block.select(names))
            if "video_id" in schema.names:
                files.ids.append(places_of(segment.id, table, block, n_rows, sizes))
            n_rows += block.num_rows
    for is_wide in sets:
        path = segment.path(table, wide=is_wide)
        files.sizes[path.rpartition("/")[2]] = local[is_wide].stat().st_size
        store.put(local[is_wide], path)
    return counts


def _blocks(
    of_units: Iterable[tuple[str, pa.Table]], schema: pa.Schema, counts: dict[str, int]
) -> Iterator[tuple[pa.Table, list[int]]]:
    """Yields blocks of rows of bounded size with each unit's number of rows in them; fills `counts` by unit."""
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


def _edited(
    store: Store, parts: tuple[Part, ...], edit: Callable[[pa.Table], pa.Table], renamed: Mapping[str, str]
) -> Iterator[tuple[str, pa.Table]]:
    """Yields (unit, edited rows) of the parts, in the order of the units' new names."""

    def place(unit: str) -> str:
        return part_name("", unit)

    moved = sorted((part for part in parts if part.unit in renamed), key=lambda part: place(renamed[part.unit]))
    others = _read_ahead(store, tuple(part for part in parts if part.unit not in renamed))
    under_new_names = ((renamed[part.unit], store.read_part(part)) for part in moved)
    for unit, rows in merge(others, under_new_names, key=lambda item: place(item[0])) if moved else others:
        yield unit, edit(rows)


def _read_ahead(store: Store, parts: tuple[Part, ...]) -> Iterator[tuple[str, pa.Table]]:
    """Yields (unit, rows) of the parts in order. Reads several single files ahead at a time, and each row group of a
    segment's file once.
    """
    loose = iter([part for part in parts if part.n_rows < 0])
    ends = {part.path: part.first + part.n_rows for part in parts if part.n_rows > 0}
    of_segments = {path: _InOrder(store, path, end) for path, end in ends.items()}
    with ThreadPoolExecutor(READERS) as readers:
        ahead = deque(readers.submit(store.read_part, part) for part in islice(loose, READERS))
        for part in parts:
            if part.n_rows > 0:
                yield part.unit, of_segments[part.path].rows(part.first, part.n_rows)
            elif part.n_rows < 0:
                read = ahead.popleft().result()
                ahead.extend(readers.submit(store.read_part, more) for more in islice(loose, 1))
                yield part.unit, read


class _InOrder:
    """Rows of a segment's file, requested in file order: each row group is read once, and stays in memory while some of
    its rows are still to be written.
    """

    def __init__(self, store: Store, path: str, n_rows: int) -> None:
        whole = Part("", "", path, 0, n_rows)
        self._names = (REJECTS if path.endswith("/rejects.parquet") else TABLES[whole.table]).names
        self._pieces = store.pieces(whole, self._names, max_bytes=1)
        self._first, self._rows = 0, pa.table({})

    def rows(self, first: int, n_rows: int) -> pa.Table:
        """Rows first … first + n_rows - 1; `first` must not be less than in the previous call."""
        while first + n_rows > self._first + self._rows.num_rows:
            piece = next(self._pieces)
            left = self._rows.slice(first - self._first) if first < piece.first else None
            rows = piece.read(self._names)
            self._first, self._rows = (first, pa.concat_tables([left, rows])) if left else (piece.first, rows)
        return self._rows.slice(first - self._first, n_rows)
