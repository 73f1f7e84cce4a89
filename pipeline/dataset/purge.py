"""Erasing what the tables of an output directory know of a video, but for its id.

A removal takes a video out of what others read: shards, packs, manifest, report. A purge also empties the record of the
crawl: titles, channels' names, captions, words, clip texts, file names, details of rejects. Rows stay, with their ids,
numbers and reasons, so that the funnel still adds up and no later run asks for the video again.
"""

from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import TABLES
from pipeline.engine.store import Store

EMPTIED = {
    "listings": ("title", "given_spans"),
    "candidates": ("given_spans",),
    "videos": ("title", "channel", "given_spans", "media_path", "url", "extra"),
    "captions": ("payload",),
    "transcripts": ("words", "events", "minhash"),
    "clips": ("text", "words"),
    "packs": ("text", "error_message", "phashes"),
}
"""By table: the columns that hold words, names or pictures' traces of a video. A test holds them against the schema."""

KEPT_ADDRESSES = ("http://", "https://")
"""An address at a site says no more than the id does and keeps a second removal able to find the video; the name of a
file can be its title."""


def purge(store: Store, video_ids: Collection[str]) -> int:
    """Empties the columns of EMPTIED, and the details of rejects, for these videos; returns the number of rows."""
    wanted = pa.array(sorted(video_ids), pa.string())
    n_rows = 0
    for table in TABLES:
        columns = EMPTIED.get(table, ())
        for part in store.parts(table) if columns else ():
            n_rows += _rewrite(store, part.path, store.read_part(part), columns, wanted)
    for stage in store.folders("rejects"):
        for part in store.reject_parts(stage):
            n_rows += _rewrite(store, part.path, store.read_part(part), ("detail",), wanted)
    return n_rows


def _rewrite(store: Store, path: str, rows: pa.Table, columns: tuple[str, ...], wanted: pa.Array) -> int:
    mine = pc.is_in(rows.column("video_id"), value_set=wanted)
    emptied = rows
    for name in columns:
        column = rows.column(name).combine_chunks()
        blank = pa.array([_empty(column.type)] * len(column), column.type)
        gone = mine if name != "url" else pc.and_(mine, pc.invert(_is_address(column)))
        where = gone.combine_chunks() if isinstance(gone, pa.ChunkedArray) else gone
        place = rows.schema.get_field_index(name)
        emptied = emptied.set_column(place, rows.schema.field(name), _choose(where, blank, column))
    if emptied.equals(rows):
        return 0
    store.write_table(path, emptied)
    return int(pc.sum(mine).as_py() or 0)


def _choose(where: pa.Array, blank: pa.Array, column: pa.Array) -> pa.Array:
    """`blank` where `where` holds. By `take`, since if_else knows no lists of structs in older versions of Arrow."""
    n = len(column)
    places = pc.if_else(where, pa.array(range(n), pa.int64()), pa.array(range(n, 2 * n), pa.int64()))
    return pa.concat_arrays([blank, column]).take(places)


def _is_address(column: pa.Array) -> pa.Array:
    first, second = (pc.starts_with(column, prefix) for prefix in KEPT_ADDRESSES)
    return pc.or_(first, second)


def _empty(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return []
    return b"" if pa.types.is_binary(kind) else ""
