"""Films that changed after they were looked at: they are looked at anew, as if they had never been.

    media: `changed`  ─►  a later run: its old rows are taken out of the tables, a request for a look
                      ─►  that run's next round: new length, captions and clips  ─►  a new batch

What lies at an address of a list is looked at anew by the stage that looked at it, without a round. Nothing was cut of
such a film. It is looked at anew twice at most (`keeps_changing` after that).
"""

import logging
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.reasons import Reason
from manifests.schema import TABLES
from manifests.stages import ours
from pipeline.crawl.round_files import read_plans
from pipeline.engine.store.many_parts import read_many
from pipeline.engine.store.store import Store
from pipeline.engine.store.take_out import take_out
from pipeline.likeness import sentences, texts
from pipeline.outdir.retries import (
    ADDRESSES,
    is_due,
    read_retries,
    requested_of,
    times_looked_anew,
    with_readers,
    write_retry,
)
from pipeline.query.rejects import rejects_in_force

log = logging.getLogger("hdvila")

SITE, FETCH = "extract", "media"
"""The stage that looks at videos of the site, and the one that finds them changed."""


def look_anew(store: Store, now: datetime) -> int:
    """Lets films that changed, and are due or were asked for by a person, be looked at anew; returns how many.

    Killed anywhere, it can be begun again: the rejects go last.
    """
    reasons = [Reason.CHANGED.value, Reason.KEEPS_CHANGING.value]
    asked = {video_id for reason in reasons for video_id in requested_of(store, FETCH, reason)}
    rejects = rejects_in_force(store, "stage = ? AND clip_id = '' AND list_contains(?, reason)", FETCH, reasons)
    changed = {row["video_id"] for row in rejects.to_pylist() if row["video_id"] in asked or is_due(row, now)}
    looks, others = _looks_at(store, changed) if changed else ({}, set())
    changed -= others
    if not changed:
        return 0
    _request(store, looks[SITE].video_ids if SITE in looks else ())
    for stage, look in looks.items():
        for reader, names in with_readers(stage, sorted(look.units), store.stages()):
            take_out(store, reader, names, look.video_ids)
    for stage in (stage for stage in store.stages() if ours(stage) == ADDRESSES):
        _take_back_emptied(store, stage, looks[stage].video_ids if stage in looks else ())
    for kind in (texts.kind_of(), sentences.kind_of()):  # its index holds what they said
        store.uncommit(kind.stage, *store.committed(kind.stage))
    store.uncommit(FETCH, *changed)
    log.warning("%d films have changed since they were looked at: they are looked at anew", len(changed))
    return len(changed)


def _request(store: Store, changed: Collection[str]) -> None:
    """Requests a look at these videos, except those for which one is open: a run was killed here before."""
    served = {name for plan in read_plans(store) for name in plan.requests}
    waiting = {i for name, ids in read_retries(store, [SITE]) if name not in served for i in ids}
    _note(store, SITE, {*changed} - waiting)


def _note(store: Store, stage: str, changed: Collection[str]) -> None:
    if changed:
        times = times_looked_anew(store)
        write_retry(store, stage, Reason.CHANGED, sorted(changed), 1 + max(times[video_id] for video_id in changed))


def _take_back_emptied(store: Store, stage: str, changed: Collection[str]) -> None:
    """Takes back the units in which nothing is left: the stage lists what they held again, under the same names.

    Those that were killed before this have no rows any more, and are noted once at most.
    """
    _note(store, ADDRESSES, changed)
    facts = store.all_commit_facts(stage)
    emptied = [unit for unit, of in facts if not any(of["rows"].values()) and not of["rejects"]]
    for later, over in with_readers(stage, emptied, store.stages()):
        store.uncommit(later, *over)


@dataclass(frozen=True, slots=True)
class _Look:
    """Videos that a stage looked at, and the units that hold their rows."""

    units: set[str] = field(default_factory=set)
    video_ids: set[str] = field(default_factory=set)


def _looks_at(store: Store, video_ids: Collection[str]) -> tuple[dict[str, _Look], set[str]]:
    """The looks at these videos by stage, of the site and of addresses, and the videos that are of other sources."""
    wanted, parts = pa.array(sorted(video_ids), pa.string()), store.parts("videos")
    looks, others = defaultdict[str, _Look](_Look), set[str]()
    for owners, rows in read_many(store, parts, pa.schema([TABLES["videos"].field("video_id")])):
        ids = rows.column("video_id")
        for at in np.flatnonzero(pc.is_in(ids, value_set=wanted).to_numpy()).tolist():
            part = parts[int(owners[at])]
            if ours(part.stage) in (SITE, ADDRESSES):
                looks[part.stage].units.add(part.unit)
                looks[part.stage].video_ids.add(ids[at].as_py())
            else:
                others.add(ids[at].as_py())
    return looks, others
