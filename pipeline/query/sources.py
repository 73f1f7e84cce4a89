"""Where the rows of a table lie now, by place: a segment, a part of its own, a shard.

A place has a name that changes whenever its rows may have changed; so who has read all places by their names has the
rows that count, whatever was merged, made again, taken back or swept since.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.embeddings import EMBEDDINGS
from manifests.funnel import SELECTION_NAME, selection_runs
from manifests.parallel import READERS, side_by_side
from manifests.parquet import damage_named, open_parquet
from manifests.schema import completed
from manifests.shards import TABLE_NAME, ShardEntry, read_entries, rows_of_shard
from pipeline.engine.store.commits import part_name
from pipeline.engine.store.segments import Head, Segment
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part, adjoining
from pipeline.query.catalogue import COLUMNS, OF_SHARDS, ORIGIN

FILES_AT_A_TIME = 64
"""Small files that are read together."""

T = TypeVar("T")
Read = Iterator[tuple[pa.Table, int]]
"""Rows, and the number of their place among those of a source."""


@dataclass(frozen=True, slots=True)
class Source:
    """Some places, which are read together. `read` yields their rows with the given columns and those of ORIGIN, and
    the number of their place. FileNotFoundError if a place is gone.
    """

    places: tuple[str, ...]
    read: Callable[[Sequence[str]], Read]


def sources_of(store: Store, table: str, known: frozenset[str]) -> tuple[frozenset[str], list[Source]]:
    """The places where a table's rows lie now, and the sources of those that are not `known`."""
    if table == "selection":
        return _of_selection(store, known)
    if table == "samples":
        return _of_shards(store, known)
    if table == "scores":
        return _of_scores(store, known)
    folders = [table] if table != "rejects" else [f"rejects/{stage}" for stage in store.reject_stages()]
    both = [store.steadily(partial(_of_parts, store, folder, known)) for folder in folders]
    return frozenset().union(*(places for places, _ in both)), [source for _, some in both for source in some]


def _of_parts(store: Store, folder: str, known: frozenset[str], head: Head) -> tuple[frozenset[str], list[Source]]:
    store.segments.follow(head)
    table, segments = store.segments_of(head, folder)
    named = {_name_of(segment): segment for segment in segments}
    loose = {part.path: part for part in store.loose_parts(head, folder)}
    sources = [
        Source((name,), partial(_read_segment, store, table, segment))
        for name, segment in named.items()
        if name not in known
    ]
    new = [part for path, part in sorted(loose.items()) if path not in known]
    for some in _batches(new):
        sources.append(Source(tuple(part.path for part in some), partial(_read_loose, store, table, some)))
    return frozenset([*named, *loose]), sources


def _name_of(segment: Segment) -> str:
    """A name for what counts of a segment: units are taken back, and a purge writes files anew."""
    state = json.dumps([segment.void, segment.sizes], sort_keys=True).encode()
    return f"{segment.stage}/{segment.id}-{hashlib.sha256(state).hexdigest()[:16]}"


def _read_segment(store: Store, table: str, segment: Segment, columns: Sequence[str]) -> Read:
    """Yields a segment's rows piece by piece, unit after unit."""
    names = list(columns)
    path = segment.path(table)
    parts = [Part(segment.stage, unit, path, *span) for unit, *span in store.segments.row_ranges(segment, table)]
    for run in adjoining(parts):
        first = np.array([part.first for part in run], np.int64)
        part_names = pa.array([part_name(part.stage, part.unit) for part in run], pa.string())
        whole = Part(segment.stage, "", path, run[0].first, sum(part.n_rows for part in run))
        for piece in store.pieces(whole, names):
            rows = completed(piece.read(names), _schema_of(table, names))
            at = np.arange(piece.first, piece.first + piece.n_rows)
            owner = np.searchsorted(first, at, side="right") - 1
            yield _with_origin(rows, part_names.take(pa.array(owner)), at - first[owner]), 0


def _read_loose(store: Store, table: str, parts: Sequence[Part], columns: Sequence[str]) -> Read:
    names = list(columns)
    read = side_by_side(lambda part: store.read_part(part, names), parts)
    for i, (part, rows) in enumerate(zip(parts, read, strict=True)):
        name = pa.array([part_name(part.stage, part.unit)] * rows.num_rows, pa.string())
        yield _with_origin(completed(rows, _schema_of(table, names)), name, np.arange(rows.num_rows)), i


def _of_selection(store: Store, known: frozenset[str]) -> tuple[frozenset[str], list[Source]]:
    if not store.exists(SELECTION_NAME):
        return frozenset(), []
    place = hashlib.sha256(store.read(SELECTION_NAME)).hexdigest()
    return frozenset([place]), [] if place in known else [Source((place,), partial(_read_selection, store))]


def _read_selection(store: Store, columns: Sequence[str]) -> Read:
    n_before = 0
    for rows in selection_runs(store, list(columns)):
        rows = completed(rows, _schema_of("selection", columns))
        part = pa.array([SELECTION_NAME] * rows.num_rows, pa.string())
        yield _with_origin(rows, part, np.arange(n_before, n_before + rows.num_rows)), 0
        n_before += rows.num_rows


def _of_shards(store: Store, known: frozenset[str]) -> tuple[frozenset[str], list[Source]]:
    listed = store.read(TABLE_NAME) if store.exists(TABLE_NAME) else b""
    every = read_entries(listed, f"{store.url}/{TABLE_NAME}") if listed else ()
    entries = {f"{entry.url} {entry.sha256}": entry for entry in every}
    new = [(name, entry) for name, entry in entries.items() if name not in known]
    sources = [
        Source(tuple(name for name, _ in some), partial(_read_shards, store, [entry for _, entry in some]))
        for some in _batches(new)
    ]
    return frozenset(entries), sources


def _read_shards(store: Store, entries: Sequence[ShardEntry], columns: Sequence[str]) -> Read:
    own = [
        name for name in columns if name in COLUMNS["samples"].names and name not in ("shard", "split", "generation")
    ]
    with ThreadPoolExecutor(READERS, thread_name_prefix="shards") as readers:
        read = readers.map(lambda entry: _rows_of(store, entry, [*own, "status"]), entries)
        for i, (entry, tried) in enumerate(zip(entries, read, strict=True)):
            rows = tried.filter(is_success(tried.column("status"))).select(own)
            for name, value in (("shard", entry.url), ("split", entry.split), ("generation", entry.generation)):
                rows = rows.append_column(name, pa.array([value] * rows.num_rows, OF_SHARDS.field(name).type))
            part = rows.column("shard").combine_chunks()
            yield _with_origin(rows.select(list(columns)), part, np.arange(rows.num_rows)), i


def _of_scores(store: Store, known: frozenset[str]) -> tuple[frozenset[str], list[Source]]:
    """A place is what all models say of a shard. Columns of all but the first have the model's name behind theirs."""
    models = store.folders(EMBEDDINGS)
    sizes: dict[str, dict[str, int]] = {}
    for model in models:
        for name, size in store.sizes(f"{EMBEDDINGS}/{model}").items():
            if name.endswith(".parquet"):
                sizes.setdefault(name, {})[model] = size
    suffixes = {model: f"_{re.sub('[^a-z0-9]', '', model.lower())[:6]}" if i else "" for i, model in enumerate(models)}
    places = {json.dumps([name, models[:1], of]): (name, {m: suffixes[m] for m in of}) for name, of in sizes.items()}
    sources = [Source((at,), partial(_read_scores, store, *of)) for at, of in places.items() if at not in known]
    return frozenset(places), sources


def _read_scores(store: Store, name: str, suffixes: Mapping[str, str], columns: Sequence[str]) -> Read:
    numbers: dict[str, tuple[pa.Array, pa.Array]] = {}
    for model, suffix in suffixes.items():
        path = f"{EMBEDDINGS}/{model}/{name}"
        with damage_named(f"{store.url}/{path}", "delete it and embed again"):
            file = open_parquet(store.read(path), is_foreign=True)
            own = [field.name for field in file.schema_arrow if _is_score(field)]
            rows = file.read(["key", *own]).combine_chunks()
            keys = rows.column("key").cast(pa.string())
        numbers |= {f"{one.lower()}{suffix}": (keys, rows.column(one).cast(pa.float64())) for one in own}
    every = pa.chunked_array([chunk for keys, _ in numbers.values() for chunk in keys.chunks], pa.string())
    keys = every.unique().drop_null()
    of_keys = [values.take(pc.index_in(keys, value_set=at)).to_numpy() for at, values in numbers.values()]
    flat = np.stack(of_keys, 1).ravel() if of_keys else np.zeros(0)
    offsets = pa.array(np.arange(len(keys) + 1, dtype=np.int32) * len(numbers))
    names = pa.array([*numbers] * len(keys), pa.string())
    values = pa.array(np.where(np.isfinite(flat), flat, np.nan), from_pandas=True)
    rows = pa.table({"key": keys, "scores": pa.MapArray.from_arrays(offsets, names, values)})
    yield _with_origin(rows.select(list(columns)), pa.array([name] * len(keys), pa.string()), np.arange(len(keys))), 0


def _is_score(field: pa.Field) -> bool:
    is_number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
    return is_number and re.fullmatch(r"[A-Za-z_]\w{0,40}", field.name, re.ASCII) is not None


def _rows_of(store: Store, entry: ShardEntry, columns: Sequence[str]) -> pa.Table:
    path = f"{entry.url.removesuffix('.tar')}.parquet"
    return rows_of_shard(store.read(path), f"{store.url}/{path}", columns)


def _schema_of(table: str, columns: Sequence[str]) -> pa.Schema:
    return pa.schema([COLUMNS[table].field(name) for name in columns])


def _with_origin(rows: pa.Table, part: pa.Array, row: NDArray[np.int64]) -> pa.Table:
    return rows.append_column(ORIGIN.field("part"), part).append_column(ORIGIN.field("row"), pa.array(row, pa.int64()))


def _batches(of: Sequence[T]) -> Iterator[Sequence[T]]:
    yield from (of[i : i + FILES_AT_A_TIME] for i in range(0, len(of), FILES_AT_A_TIME))
