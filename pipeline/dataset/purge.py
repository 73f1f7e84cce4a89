"""Erases all that the tables of an output directory know of a video except its id.

A removal takes a video out of what others read: shards, packs, manifest, report. A purge also empties the record of the
crawl: titles, channels' names, captions, words, clip texts, file names, details of rejects. Rows stay, with their ids,
numbers and reasons, so that the funnel still adds up and no later run asks for the video again.
"""

import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests.parquet import damage_named, open_parquet, parquet_writer
from pipeline.crawl.sources.set_aside import forget_rows
from pipeline.engine.store.delete_merged import sweep_orphans, sweep_segments
from pipeline.engine.store.segments import Head, Segment, change_head, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part, cure_of
from pipeline.outdir.remade import forget_alike

EMPTIED = {
    "listings": ("title", "given_spans"),
    "candidates": ("given_spans",),
    "videos": ("title", "channel", "given_spans", "media_path", "media_hash", "url", "extra", "about"),
    "captions": ("payload",),
    "transcripts": ("words", "events", "minhash"),
    "clips": ("text",),
    "packs": ("text", "error_message", "phashes"),
}
"""By table: the columns with words, names, or hashes of pictures of a video. A test compares them with the schema."""

KEPT_ADDRESSES = ("http://", "https://")
"""A URL reveals no more than the id, and lets a second removal find the video; but a file name can be its title."""


def purge(store: Store, video_ids: Collection[str]) -> int:
    """Empties the columns of EMPTIED and the details of rejects for these videos; returns the number of rows."""
    wanted = pa.array(sorted(video_ids), pa.string())
    sweep_orphans(store)
    sweep_segments(store, grace_s=0)
    store.sweep_parts()
    forget_alike(store)
    forget_rows(store)
    n_rows, last = 0, read_head(store)[0].last
    for table, columns in EMPTIED.items():
        for stage in store.stages() if table in last else [""]:  # what a later stage wrote over is there too
            n_rows += _purge_parts(store, store.parts(f"{table}/{stage}"), columns, wanted)
    for stage in store.reject_stages():
        n_rows += _purge_parts(store, store.reject_parts(stage), ("detail",), wanted)
    sizes: dict[str, int] = {}
    for segment in read_head(store)[0].segments:
        for table, n in segment.rows.items():
            n_rows += _purge_segment(store, segment, table, wanted, sizes) if n else 0
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


def _purge_parts(store: Store, parts: list[Part], columns: tuple[str, ...], wanted: pa.Array) -> int:
    n_rows = 0
    for part in parts:
        if part.n_rows < 0:  # a file of its own
            rows = store.read_part(part)
            emptied, n_mine = _emptied(rows, columns, wanted)
            if not emptied.equals(rows):
                store.write_table(part.path, emptied)
                n_rows += n_mine
    return n_rows


def _purge_segment(store: Store, segment: Segment, table: str, wanted: pa.Array, sizes: dict[str, int]) -> int:
    """Rewrites a segment's files in place, including void rows: no row moves, so the index of its units stays right.

    Adds the files' new sizes to `sizes`, by path.
    """
    columns = ("detail",) if table == "rejects" else EMPTIED.get(table, ())
    counts = [0]
    for path in (segment.path(table), segment.path(table, wide=True)):
        if not columns or not store.exists(path):
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
                    names = tuple(name for name in columns if name in rows.schema.names)
                    emptied, n_mine = _emptied(rows, names, wanted)
                    if not emptied.equals(rows):
                        changed, n_rows = True, n_rows + n_mine
                    writer.write_table(emptied)
            if changed:
                store.put(new, path)
                counts.append(n_rows)
        sizes[path] = store.size(path)  # also of a file that a purge rewrote which was killed before it said so
    return max(counts)


def _emptied(rows: pa.Table, columns: tuple[str, ...], wanted: pa.Array) -> tuple[pa.Table, int]:
    """Empties these columns in the rows of wanted videos; also returns the number of those rows."""
    matches = pc.is_in(rows.column("video_id"), value_set=wanted)
    emptied = rows
    for name in columns:
        column = rows.column(name).combine_chunks()
        blank = pa.array([_empty(column.type)] * len(column), column.type)
        gone = matches if name != "url" else pc.and_(matches, pc.invert(_is_address(column)))
        where = gone.combine_chunks() if isinstance(gone, pa.ChunkedArray) else gone
        index = rows.schema.get_field_index(name)
        emptied = emptied.set_column(index, rows.schema.field(name), _choose(where, blank, column))
    return emptied, int(pc.sum(matches).as_py() or 0)


def _choose(where: pa.Array, blank: pa.Array, column: pa.Array) -> pa.Array:
    """`blank` where `where` is true. Uses `take`, as older Arrow's if_else cannot handle lists of structs."""
    n = len(column)
    rows = pc.if_else(where, pa.array(range(n), pa.int64()), pa.array(range(n, 2 * n), pa.int64()))
    return pa.concat_arrays([blank, column]).take(rows)


def _is_address(column: pa.Array) -> pa.Array:
    first, second = (pc.starts_with(column, prefix) for prefix in KEPT_ADDRESSES)
    return pc.or_(first, second)


def _empty(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return []
    return b"" if pa.types.is_binary(kind) else ""
