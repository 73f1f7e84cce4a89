"""Changes rows of an output directory's tables where they lie: no row moves, so the index of units stays right.

Rows that a later stage wrote over and void rows are changed too. What merges left, and what is only kept so that work
goes on sooner, is deleted: nothing of the rows stays in it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa

from manifests.parquet import damage_named, open_parquet, parquet_writer
from pipeline.crawl.progress import forget_unfinished
from pipeline.crawl.sources.set_aside import forget_rows
from pipeline.engine.store.delete_merged import sweep_orphans, sweep_segments
from pipeline.engine.store.segments import Head, Segment, change_head, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part, cure_of
from pipeline.outdir.remade import forget_alike

Edit = Callable[[pa.Table], tuple[pa.Table, int]]
"""Some rows of a table, in some of its columns -> (the same rows as they are to be, the number of those meant). The
wide columns of merged rows (`manifests.schema.WIDE`) lie apart, with `video_id` alone beside them.
"""
REJECTS = "rejects"


def edit_tables(store: Store, edits: Mapping[str, Edit]) -> int:
    """Applies these to the rows of each table, REJECTS among them; returns the number of rows that were meant and that
    changed. Only call with the run lock.
    """
    sweep_orphans(store)
    sweep_segments(store, grace_s=0)
    store.sweep_parts()
    forget_alike(store)
    forget_rows(store)
    forget_unfinished(store)
    n_rows, last = 0, read_head(store)[0].last
    for table, edit in edits.items():
        if table == REJECTS:
            parts = [part for stage in store.reject_stages() for part in store.reject_parts(stage)]
        else:
            stages = store.stages() if table in last else [""]  # what a later stage wrote over is there too
            parts = [part for stage in stages for part in store.parts(f"{table}/{stage}")]
        n_rows += sum(_edit_part(store, part, edit) for part in parts)
    sizes: dict[str, int] = {}
    for segment in read_head(store)[0].segments:
        for table, n in segment.rows.items():
            n_rows += _edit_segment(store, segment, table, edits[table], sizes) if n and table in edits else 0
    change_head(store, lambda head: _resized(head, sizes))
    store.forget()
    return n_rows


def _resized(head: Head, sizes: Mapping[str, int]) -> Head:
    """The head with the new sizes of rewritten files, given by path."""
    segments = []
    for segment in head.segments:
        known = {name: sizes.get(f"{segment.folder}/{name}", size) for name, size in segment.sizes.items()}
        n_bytes = sum(known.values()) if known else segment.bytes
        segments.append(segment.model_copy(update={"sizes": known, "bytes": n_bytes}))
    return head.model_copy(update={"segments": tuple(segments)})


def _edit_part(store: Store, part: Part, edit: Edit) -> int:
    if part.n_rows >= 0:  # in a segment
        return 0
    rows = store.read_part(part)
    edited, n_mine = edit(rows)
    if edited.equals(rows):
        return 0
    store.write_table(part.path, edited)
    return n_mine


def _edit_segment(store: Store, segment: Segment, table: str, edit: Edit, sizes: dict[str, int]) -> int:
    """Rewrites a segment's files, including void rows. Adds the files' new sizes to `sizes`, by path."""
    counts = [0]
    for path in (segment.path(table), segment.path(table, wide=True)):
        if not store.exists(path):
            continue
        with (
            damage_named(f"{store.url}/{path}", cure_of(path)),
            tempfile.TemporaryDirectory() as folder,
            store.open(path) as source,
        ):
            new = Path(folder) / "table"
            file, changed, n_rows = open_parquet(source), False, 0
            with parquet_writer(new, file.schema_arrow) as writer:
                for group in range(file.num_row_groups):
                    rows = file.read_row_group(group)
                    edited, n_mine = edit(rows)
                    if not edited.equals(rows):
                        changed, n_rows = True, n_rows + n_mine
                    writer.write_table(edited)
            if changed:
                store.put(new, path)
                counts.append(n_rows)
        sizes[path] = store.size(path)  # also of a file that an edit rewrote which was killed before it said so
    return max(counts)
