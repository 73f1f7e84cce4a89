"""Small tables of what the program itself knows: of stages, of reasons, and of categories."""

from collections.abc import Iterable

import duckdb
import pyarrow as pa

from manifests.categories import load_categories
from manifests.funnel import OF_BALANCE
from manifests.reasons import Reason
from manifests.stages import TABLE, find_stage, ours, rank_of


def make_facts(connection: duckdb.DuckDBPyConnection, stages: Iterable[str]) -> None:
    """Makes the tables `stages` (ours and the given ones), `reasons` and `categories`."""
    names = sorted({*stages, *(stage.name for stage in TABLE)})
    of_stages = {
        "stage": names,
        "builds_on": [ours(name) for name in names],
        "void_by": [stage.void_by if (stage := find_stage(name)) else "" for name in names],
        "rank": pa.array(map(rank_of, names), pa.int32()),
    }
    of_reasons = {
        "reason": [reason.value for reason in Reason],
        "class": [reason.class_.value for reason in Reason],
        "meaning": [reason.meaning for reason in Reason],
        "of_balance": [reason in OF_BALANCE for reason in Reason],
    }
    connection.register("stages", pa.table(of_stages))
    connection.register("reasons", pa.table(of_reasons))
    of_categories = {"category_id": [c.id for c in load_categories()], "category": [c.name for c in load_categories()]}
    connection.register("categories", pa.table(of_categories))
