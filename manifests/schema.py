"""Every table of an output directory, as Arrow's schema of its rows (`rows.py` has the columns, types and units).

Tables are Parquet. What a stage writes goes into `<table>/part-<stage>-<unit>-<attempt>.parquet`, one part per
committed unit; the commits (`commits/<stage>/`) name the parts that count. Both are merged into `segments/`. Times are
integer milliseconds in the source video unless a column says otherwise; hours are float64. No column is null: "" / -1 /
0.0 stand for "unknown".
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, get_args, get_origin, get_type_hints, is_typeddict

import pyarrow as pa

from manifests import rows as of

_ARROW = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_(), bytes: pa.binary()}


def schema_of(row: Any) -> pa.Schema:
    """The columns of a table whose rows are of this type."""
    return pa.schema([(name, _arrow_of(kind)) for name, kind in get_type_hints(row, include_extras=True).items()])


def _arrow_of(kind: Any) -> pa.DataType:
    if get_origin(kind) is Annotated:
        return pa.type_for_alias(get_args(kind)[1])
    if get_origin(kind) is list:
        return pa.list_(_arrow_of(get_args(kind)[0]))
    return pa.struct(list(schema_of(kind))) if is_typeddict(kind) else _ARROW[kind]


WORD = pa.struct(list(schema_of(of.WordRow)))
SELECTION = schema_of(of.SelectionRow)
REJECTS = schema_of(of.RejectRow)
MANIFEST = schema_of(of.ManifestRow)
SHARD_ROWS = schema_of(of.ShardRow)
RECORDED = SHARD_ROWS.names[SHARD_ROWS.names.index("members") + 1 :]
"""Columns of SHARD_ROWS that come from KEY.json; shards made before they were written lack them."""

EMBEDDED = pa.schema(
    [
        ("key", pa.string()),
        ("match", pa.float32()),  # log probability of its own sentence among others of the split
        ("match_rank", pa.int32()),  # of its own sentence among them, from 1
    ]
)
"""A table of embeddings, which has `video` and `text` besides, of the model's width (manifests/embeddings.py)."""

TABLES = {
    name: schema_of(row)
    for name, row in {
        "listings": of.ListingRow,
        "sources": of.SourceRow,
        "candidates": of.CandidateRow,
        "videos": of.VideoRow,
        "captions": of.CaptionRow,
        "transcripts": of.TranscriptRow,
        "clips": of.ClipRow,
        "heard": of.HeardRow,
        "packs": of.PackRow,
        "stills": of.StillRow,
        "compared": of.ComparedRow,
        "matches": of.MatchRow,
    }.items()
}
"""Tables that stages write in parts."""

WIDE: dict[str, tuple[str, ...]] = {
    "listings": ("title", "given_spans"),
    "candidates": ("given_spans",),
    "videos": ("given_spans", "extra", "about"),
    "captions": ("payload",),
    "transcripts": ("words", "events", "minhash"),
    "clips": ("text",),
    "heard": ("words",),
    "packs": ("text", "members", "phashes"),
    "stills": ("clip_id", "still"),
}
"""By table: the columns that merged tables keep in a separate file, so that counts and joins never load them."""


def completed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Adds the columns that a table lacks: "", b"", [] or 0 in each row."""
    if table.schema.equals(schema):  # except for names inside lists, which Parquet changes
        for i, field in enumerate(schema):
            if pa.types.is_nested(field.type):
                table = table.set_column(i, field, table.column(i).cast(field.type))
        return table.replace_schema_metadata(None)
    names = set(table.schema.names)
    for field in schema:
        if field.name not in names:
            table = table.append_column(field, pa.array([_blank(field.type)] * table.num_rows, field.type))
    return table.select(schema.names).cast(schema)


def _blank(of_type: pa.DataType) -> str | bytes | list[Any] | int:
    if pa.types.is_string(of_type):
        return ""
    if pa.types.is_binary(of_type):
        return b""
    return [] if pa.types.is_list(of_type) else 0


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Makes rows into a table of exactly this schema. Raises ValueError naming a missing, unknown or null column."""
    names = set(schema.names)
    for row in rows:
        if row.keys() != names:
            odd = sorted(row.keys() ^ names)
            raise ValueError(f"row columns differ from the schema: {', '.join(odd)}")
    table = pa.Table.from_pylist(list(rows), schema=schema)
    for name in schema.names:
        if table.column(name).null_count:
            raise ValueError(f"column {name} holds a null")
    return table
