"""Films that changed after they were looked at: they are looked at anew, as if they had never been.

    media: `changed`  ─►  a later run: its old rows are taken out of the tables, a request for a look
                      ─►  that run's next round: new length, captions and clips  ─►  a new batch

Nothing was cut of such a film. It is looked at anew twice at most (`keeps_changing` after that).
"""

import logging
from collections.abc import Collection
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.reasons import Reason
from manifests.schema import TABLES
from pipeline.crawl.round_files import read_plans
from pipeline.engine.store.many_parts import read_many
from pipeline.engine.store.store import Store
from pipeline.engine.store.take_out import take_out
from pipeline.likeness import sentences, texts
from pipeline.outdir.retries import is_due, read_retries, requested_of, times_looked_anew, with_readers, write_retry
from pipeline.query.rejects import rejects_in_force

log = logging.getLogger("hdvila")

LOOK, FETCH = "extract", "media"


def look_anew(store: Store, now: datetime) -> int:
    """Lets films that changed, and are due or were asked for by a person, be looked at anew; returns how many.

    Killed anywhere, it can be begun again: the rejects go last.
    """
    reasons = [Reason.CHANGED.value, Reason.KEEPS_CHANGING.value]
    asked = {video_id for reason in reasons for video_id in requested_of(store, FETCH, reason)}
    rejects = rejects_in_force(store, "stage = ? AND clip_id = '' AND list_contains(?, reason)", FETCH, reasons)
    changed = {row["video_id"] for row in rejects.to_pylist() if row["video_id"] in asked or is_due(row, now)}
    units, others = _rows_of(store, changed) if changed else (set(), set())
    changed -= others
    if not changed:
        return 0
    _request(store, changed)
    for reader, names in with_readers(LOOK, sorted(units), store.stages()):
        take_out(store, reader, names, changed)
    for kind in (texts.kind_of(), sentences.kind_of()):  # its index holds what they said
        store.uncommit(kind.stage, *store.committed(kind.stage))
    store.uncommit(FETCH, *changed)
    log.warning("%d films have changed since they were looked at: they are looked at anew", len(changed))
    return len(changed)


def _request(store: Store, changed: Collection[str]) -> None:
    """Requests a look at these videos, except those for which one is open: a run was killed here before."""
    served = {name for plan in read_plans(store) for name in plan.requests}
    waiting = {i for name, ids in read_retries(store, [LOOK]) if name not in served for i in ids}
    if new := sorted({*changed} - waiting):
        times = times_looked_anew(store)
        write_retry(store, LOOK, Reason.CHANGED, new, 1 + max(times[video_id] for video_id in new))


def _rows_of(store: Store, video_ids: Collection[str]) -> tuple[set[str], set[str]]:
    """The units of looks at the site that wrote rows of these videos, and the videos that are of other sources."""
    wanted, parts = pa.array(sorted(video_ids), pa.string()), store.parts("videos")
    units, others = set[str](), set[str]()
    for owners, rows in read_many(store, parts, pa.schema([TABLES["videos"].field("video_id")])):
        ids = rows.column("video_id")
        for at in np.flatnonzero(pc.is_in(ids, value_set=wanted).to_numpy()).tolist():
            part = parts[int(owners[at])]
            if part.stage == LOOK:
                units.add(part.unit)
            else:
                others.add(ids[at].as_py())
    return units, others
