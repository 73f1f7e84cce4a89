"""Changes rows of an output directory's tables, and what units are called.

What holds such a row is merged anew, with the rows as they are to be: a segment into one of its own, and what is in
parts of their own into another. One write of the head puts it in place, so a removal that is killed has changed all of
a segment or nothing. Rows that a later stage wrote over are changed too; void rows, what merges left, and what is only
kept so that work goes on sooner, are deleted: nothing of the rows stays in it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from manifests.parquet import damage_named, open_parquet
from pipeline.crawl.sources.set_aside import forget_rows
from pipeline.engine.store.delete_merged import sweep_orphans, sweep_segments
from pipeline.engine.store.lookup import LOOSE
from pipeline.engine.store.merge import MOST_AT_ONCE, Job, install, job_of_loose, job_of_segments
from pipeline.engine.store.merge_ids import install_ids, write_ids
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.segments import IDS, Segment, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import cure_of
from pipeline.outdir.remade import forget_alike

Edit = Callable[[pa.Table], tuple[pa.Table, int]]
"""Some rows of a table, in some of its columns -> (the same rows as they are to be, the number of those meant). The
wide columns of merged rows (`manifests.schema.WIDE`) may lie apart, with `video_id` alone beside them.
"""
REJECTS = "rejects"


def edit_tables(store: Store, edits: Mapping[str, Edit], renamed: Mapping[str, Mapping[str, str]] | None = None) -> int:
    """Applies these to the rows of each table, REJECTS among them, and calls units otherwise, by stage {unit: its name
    from now on}; returns the number of rows that were meant and that changed. Only call with the run lock.
    """
    _sweep(store)
    forget_alike(store)
    forget_rows(store)
    n_rows = n_changed = 0
    for stage in sorted({*store.stages(), *store.reject_stages()}):
        names = (renamed or {}).get(stage, {})
        _drop_twice_made(store, stage, names)
        for job, n in _jobs(store, stage, edits, names):
            segment = write_segment(store, job, lambda table, rows: _edited(edits, table, rows)[0], names)
            install(store, job, segment)
            n_rows, n_changed = n_rows + n, n_changed + 1
    if n_changed:
        store.delete(LOOSE)
        _sweep(store)
        if many := [file for file in read_head(store)[0].ids if file.stage == IDS]:
            install_ids(store, *write_ids(store, many))
            _sweep(store)
    store.forget()
    return n_rows


def _sweep(store: Store) -> None:
    sweep_orphans(store)
    sweep_segments(store, grace_s=0)
    store.sweep_parts()


def _drop_twice_made(store: Store, stage: str, names: Mapping[str, str]) -> None:
    """Takes back the units whose new name another has already."""
    there = store.committed_of(stage, [*names, *names.values()]) if names else set()
    if twice := [old for old, new in names.items() if old in there and new in there]:
        store.uncommit(stage, *twice)


def _jobs(store: Store, stage: str, edits: Mapping[str, Edit], names: Mapping[str, str]) -> Iterator[tuple[Job, int]]:
    """Yields (what is to be merged anew, the number of rows meant) of a stage, each once the one before is in place."""
    wanted = pa.array(list(names), pa.string())
    for segment in read_head(store)[0].of(stage):
        n = sum(_count_in(store, segment, table, edits[table]) for table in segment.rows if table in edits)
        if n or pc.any(pc.is_in(store.segments.units(segment).column("unit"), value_set=wanted)).as_py():
            yield replace(job_of_segments(store, stage, [segment]), level=segment.level), n
    loose = list(store.loose(read_head(store)[0], stage).items())
    for first in range(0, len(loose), MOST_AT_ONCE):
        job = job_of_loose(store, stage, dict(loose[first : first + MOST_AT_ONCE]))
        if job is None:
            continue
        parts = ((table, part) for table, some in job.parts.items() for part in some)
        n = sum(_edited(edits, table, store.read_part(part))[1] for table, part in parts)
        if n or job.facts.keys() & names.keys():
            yield job, n


def _edited(edits: Mapping[str, Edit], table: str, rows: pa.Table) -> tuple[pa.Table, int]:
    """(the rows as they are to be, the number of those meant; 0 if that changes nothing)."""
    if table not in edits:
        return rows, 0
    new, n_rows = edits[table](rows)
    return (rows, 0) if new.equals(rows) else (new, n_rows)


def _count_in(store: Store, segment: Segment, table: str, edit: Edit) -> int:
    """The number of rows of a segment's table that an edit changes, void ones among them."""
    counts = [0]
    for path in (segment.path(table), segment.path(table, wide=True)):
        if not segment.rows[table] or not store.exists(path):
            continue
        with damage_named(f"{store.url}/{path}", cure_of(path)), store.open(path) as source:
            file = open_parquet(source)
            groups = (file.read_row_group(group) for group in range(file.num_row_groups))
            counts.append(sum(_edited({table: edit}, table, rows)[1] for rows in groups))
    return max(counts)
