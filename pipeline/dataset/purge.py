"""Erases all that the tables of an output directory know of a video, its id included.

Titles, channels' names, captions, words, clip texts, file names, addresses and details of rejects go. Rows stay, under
a pseudonym (pipeline/outdir/tombstones.py), with their numbers and reasons, so that the funnel still adds up and no
later run asks for the video again. So do the plans of rounds and batches, requests to retry, and the selection.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.funnel import SELECTION_NAME, selection_runs
from manifests.schema import SELECTION, TABLES
from pipeline.crawl.plan import RoundPlan
from pipeline.crawl.round_files import read_plans, write_plan
from pipeline.dataset.edit import REJECTS, Edit, edit_tables
from pipeline.engine.store.store import Store
from pipeline.outdir.retries import FOLDER as RETRIES

EMPTIED = {
    "listings": ("title", "given_spans"),
    "candidates": ("given_spans",),
    "videos": ("title", "channel", "given_spans", "media_path", "media_hash", "media_stamp", "url", "extra", "about"),
    "captions": ("payload",),
    "transcripts": ("words", "events", "minhash"),
    "clips": ("text",),
    "heard": ("words",),
    "packs": ("text", "error_message", "phashes", "pack"),
    "stills": ("still",),
}
"""By table: the columns with words, names, or hashes of pictures of a video. A test compares them with the schema."""
_COLUMNS = {**dict.fromkeys(TABLES, ()), **EMPTIED, REJECTS: ("detail",)}
_IDS = ("video_id", "other_video_id", "group")
_BEGIN_WITH_ID = {"clip_id": ".", "key": "_"}
"""Columns that begin with a video's id, and what follows it."""
_DOCUMENTS = ("batches", RETRIES)
"""Folders of JSON files that name videos."""


def purge(store: Store, names: Mapping[str, str]) -> int:
    """Puts these pseudonyms in the place of ids, {id: pseudonym}, and empties the columns of EMPTIED and the details of
    rejects for these videos; returns the number of rows.
    """
    plans = [(plan, new) for plan in read_plans(store) if (new := _renamed_plan(plan, names)) != plan]
    chosen = {old.unit_of_choice: new.unit_of_choice for old, new in plans}
    edits = {
        table: partial(_renamed, names, emptied(columns, names))
        for table, columns in _COLUMNS.items()
        if table == REJECTS or "video_id" in TABLES[table].names
    }
    n_rows = edit_tables(store, edits, {"media": names, "recognise": names, "choose": chosen})
    for _, new in plans:  # last: what a unit was called follows from the plan as it was
        write_plan(store, new)
    _rename_in_documents(store, names)
    _rename_in_selection(store, names)
    return n_rows


def emptied(columns: Sequence[str], video_ids: Collection[str]) -> Edit:
    """Empties these columns, as far as they are there, in the rows of these videos."""
    return partial(_emptied, columns, pa.array(sorted(video_ids), pa.string()))


def _emptied(columns: Sequence[str], wanted: pa.Array, rows: pa.Table) -> tuple[pa.Table, int]:
    matches = pc.is_in(rows.column("video_id"), value_set=wanted).combine_chunks()
    made = rows
    for name in (name for name in columns if name in rows.schema.names):
        column = rows.column(name).combine_chunks()
        blank = pa.array([_empty(column.type)] * len(column), column.type)
        index = rows.schema.get_field_index(name)
        made = made.set_column(index, rows.schema.field(name), _choose(matches, blank, column))
    return made, int(pc.sum(matches).as_py() or 0)


def _choose(where: pa.Array, blank: pa.Array, column: pa.Array) -> pa.Array:
    """`blank` where `where` is true. Uses `take`, as older Arrow's if_else cannot handle lists of structs."""
    n = len(column)
    rows = pc.if_else(where, pa.array(range(n), pa.int64()), pa.array(range(n, 2 * n), pa.int64()))
    return pa.concat_arrays([blank, column]).take(rows)


def _empty(kind: pa.DataType) -> object:
    if pa.types.is_list(kind):
        return []
    return b"" if pa.types.is_binary(kind) else ""


# pseudonyms


def _renamed(names: Mapping[str, str], empty: Edit, rows: pa.Table) -> tuple[pa.Table, int]:
    """Empties the rows of these videos, and puts the pseudonyms in the place of ids, in other videos' rows too."""
    made, n_rows = empty(rows)
    for name in (name for name in (*_IDS, *_BEGIN_WITH_ID) if name in rows.schema.names):
        owners = rows.column("video_id" if name in _BEGIN_WITH_ID else name).combine_chunks()
        mine = pc.is_in(owners, value_set=pa.array(list(names), pa.string()))
        if not pc.any(mine).as_py():
            continue
        column = rows.column(name).combine_chunks()
        pairs = zip(owners.filter(mine).to_pylist(), column.filter(mine).to_pylist(), strict=True)
        new = pa.array([names[owner] + text.removeprefix(owner) if text else "" for owner, text in pairs], pa.string())
        column = pc.replace_with_mask(column, mine, new)
        made = made.set_column(rows.schema.get_field_index(name), rows.schema.field(name), column)
        n_rows = max(n_rows, len(new))
    return made, n_rows


def _rename_in_documents(store: Store, names: Mapping[str, str]) -> None:
    for path in [f"{folder}/{name}" for folder in _DOCUMENTS for name in store.names(folder) if name.endswith(".json")]:
        facts = store.read_json(path)
        if (new := _renamed_json(facts, names)) != facts:
            store.write_json(path, new)


def _renamed_json(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {names.get(key, key): _renamed_json(it, names) for key, it in value.items()}
    if isinstance(value, list):
        return [_renamed_json(it, names) for it in value]
    return names.get(value, value) if isinstance(value, str) else value


def _renamed_plan(plan: RoundPlan, names: Mapping[str, str]) -> RoundPlan:
    return replace(plan, due=tuple((names.get(video_id, video_id), attempt) for video_id, attempt in plan.due))


def _rename_in_selection(store: Store, names: Mapping[str, str]) -> None:
    old = pa.concat_tables([SELECTION.empty_table(), *selection_runs(store, SELECTION.names)])
    new, n_rows = _renamed(names, emptied((), names), old)
    if n_rows:
        store.write_table(SELECTION_NAME, new)
