"""The largest concepts of a data set that `reshard` balanced by meaning, each with its words and some stills."""

from dataclasses import dataclass

import pyarrow as pa

from manifests.schema import SHARD_ROWS
from pipeline.engine.store.store import Store
from pipeline.report.rows import SHARD_COLUMN
from pipeline.report.samples import SampleView, view_samples

CONCEPTS_NAME = "concepts.json"
"""Names clips: a removal deletes it, and the report then shows no concepts."""


@dataclass(frozen=True, slots=True)
class Concept:
    """A cluster of clips: how many there were and are, and what they have in common."""

    n: int
    kept: int
    words: str
    stills: list[SampleView]


def read_concepts(store: Store) -> list[Concept]:
    """The concepts to show; [] for a data set without."""
    if not store.exists(CONCEPTS_NAME):
        return []
    found = []
    for concept in store.read_json(CONCEPTS_NAME)["concepts"]:
        schema = pa.schema([SHARD_ROWS.field("key"), SHARD_ROWS.field("category_id"), (SHARD_COLUMN, pa.string())])
        drawn = pa.Table.from_pylist(
            [{**one, SHARD_COLUMN: one["shard"]} for one in concept["examples"]], schema=schema
        )
        stills = view_samples(store, drawn, room=0) if drawn.num_rows else []
        found.append(Concept(concept["n"], concept["kept"], ", ".join(concept["words"]), stills))
    return found
