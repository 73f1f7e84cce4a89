"""Erases all that the tables of an output directory know of a video except its id.

A removal takes a video out of what others read: shards, packs, manifest, report. A purge also empties the record of the
crawl: titles, channels' names, captions, words, clip texts, file names, details of rejects. Rows stay, with their ids,
numbers and reasons, so that the funnel still adds up and no later run asks for the video again.
"""

from collections.abc import Collection, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.dataset.edit import REJECTS, Edit, edit_tables
from pipeline.engine.store.store import Store

EMPTIED = {
    "listings": ("title", "given_spans"),
    "candidates": ("given_spans",),
    "videos": ("title", "channel", "given_spans", "media_path", "media_hash", "media_stamp", "url", "extra", "about"),
    "captions": ("payload",),
    "transcripts": ("words", "events", "minhash"),
    "clips": ("text",),
    "packs": ("text", "error_message", "phashes"),
}
"""By table: the columns with words, names, or hashes of pictures of a video. A test compares them with the schema."""
_COLUMNS = {**EMPTIED, REJECTS: ("detail",)}

KEPT_ADDRESSES = ("http://", "https://")
"""A URL reveals no more than the id, and lets a second removal find the video; but a file name can be its title."""


def purge(store: Store, video_ids: Collection[str]) -> int:
    """Empties the columns of EMPTIED and the details of rejects for these videos; returns the number of rows."""
    return edit_tables(store, {table: emptied(columns, video_ids) for table, columns in _COLUMNS.items()})


def emptied(columns: Sequence[str], video_ids: Collection[str]) -> Edit:
    """Empties these columns, as far as they are there, in the rows of these videos."""
    return partial(_emptied, columns, pa.array(sorted(video_ids), pa.string()))


def _emptied(columns: Sequence[str], wanted: pa.Array, rows: pa.Table) -> tuple[pa.Table, int]:
    matches = pc.is_in(rows.column("video_id"), value_set=wanted)
    made = rows
    for name in (name for name in columns if name in rows.schema.names):
        column = rows.column(name).combine_chunks()
        blank = pa.array([_empty(column.type)] * len(column), column.type)
        gone = matches if name != "url" else pc.and_(matches, pc.invert(_is_address(column)))
        where = gone.combine_chunks() if isinstance(gone, pa.ChunkedArray) else gone
        index = rows.schema.get_field_index(name)
        made = made.set_column(index, rows.schema.field(name), _choose(where, blank, column))
    return made, int(pc.sum(matches).as_py() or 0)


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
