"""The rejects in force: the latest of each video and clip, unless it has passed the stage since."""

import pyarrow as pa

from manifests.schema import REJECTS
from pipeline.engine.store.store import Store
from pipeline.query.streams import stream_tables


def rejects_in_force(store: Store, where: str = "true", *values: object) -> pa.Table:
    """Those for which a condition in SQL holds, with the columns of `rejects`, in no particular order.

    `values`: what the condition's question marks stand for.
    """
    names = ", ".join(f'"{name}"' for name in REJECTS.names)
    text = f"SELECT {names} FROM rejects_in_force WHERE {where}"
    with stream_tables(store, text) as tables:
        columns = list(zip(*tables.rows(text, *values), strict=True)) or [()] * len(REJECTS)
    return pa.table([pa.array(column, of.type) for column, of in zip(columns, REJECTS, strict=True)], schema=REJECTS)
