"""Takes videos out of units that are committed: their rows and rejects count no longer, all others stay."""

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import TABLES
from pipeline.engine.store.commits import Facts
from pipeline.engine.store.lookup import ids_of_unit
from pipeline.engine.store.store import Store


def take_out(store: Store, stage: str, units: Sequence[str], video_ids: Collection[str]) -> None:
    """Commits these units of a stage anew, each without these videos; units that hold none of them stay as they are.

    Killed anywhere, it can be begun again.
    """
    wanted = pa.array(sorted(video_ids), pa.string())
    of_videos = [table for table, schema in TABLES.items() if "video_id" in schema.names]
    folders = [*(f"{table}/{stage}" for table in of_videos), f"rejects/{stage}"]
    parts = [store.parts_of(folder, units) for folder in folders]
    for unit in sorted({unit for of_folder in parts for unit in of_folder}):
        own = {part.table: store.read_part(part) for of_folder in parts if (part := of_folder.get(unit))}
        left = {table: _without(rows, wanted) for table, rows in own.items()}
        if any(left[table].num_rows < rows.num_rows for table, rows in own.items()):
            _commit_anew(store, stage, unit, {table: rows for table, rows in left.items() if rows.num_rows})


def _without(rows: pa.Table, video_ids: pa.Array) -> pa.Table:
    return rows.filter(pc.invert(pc.is_in(rows.column("video_id"), value_set=video_ids)))


def _commit_anew(store: Store, stage: str, unit: str, left: dict[str, pa.Table]) -> None:
    token = uuid.uuid4().hex[:12]
    parts = {table: store.write_part(table, stage, unit, rows, token) for table, rows in left.items()}
    rejects = Counter(left[f"rejects/{stage}"].column("reason").to_pylist() if f"rejects/{stage}" in left else ())
    facts = {
        **store.commit_facts(stage, unit),
        "rows": {table: rows.num_rows for table, rows in left.items() if table in TABLES},
        "rejects": dict(sorted(rejects.items())),
        "ids": ids_of_unit(left),
        "parts": parts,
    }
    store.commit(stage, unit, cast(Facts, facts))
