"""Requests to try rejected videos again: `retries/<name>.json`.

`hdvila-pipeline retry` writes them, the next run serves them. A stage turns the ids of its requests into more units,
named by content and attempt; the latest outcome wins.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from manifests.reasons import Reason, ReasonClass
from manifests.stages import OTHERS, STAGES, TABLE, names_of, ours, rank_of
from manifests.version import made_by
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import name_over
from pipeline.query.rejects import rejects_in_force
from pipeline.query.streams import stream_tables

FOLDER = "retries"
ADDRESSES = "urls"
"""The stage that looks at addresses in lists. A request to look at one anew stays: it says how often that was done."""
STANDING = """
SELECT r.stage, r.reason, r.video_id, count(*)
FROM rejects_in_force r JOIN rejects ever USING (stage, video_id)
WHERE r.clip_id = '' AND r.reason IN (SELECT unnest(?)) AND (? = '' OR r.stage = ?)
GROUP BY ALL
"""
"""Videos that stay rejected for some reasons, and how often each was rejected at that stage."""


def request_retries(store: Store, reasons: Sequence[str], stage: str = "") -> dict[str, int]:
    """Writes a request for each stage and reason with rejects that are still in force for their video.

    Returns the number of videos by request name. Asking twice before a run makes no second request.
    """
    made = {}
    for (found_stage, reason), ids in sorted(_standing(store, reasons, stage).items()):
        attempt = 1 + max(ids.values())
        made[write_retry(store, found_stage, reason, sorted(ids), attempt)] = len(ids)
    return made


def _standing(store: Store, reasons: Sequence[str], stage: str) -> dict[tuple[str, str], dict[str, int]]:
    """{(stage, reason): {video id: how often it was rejected there}} for videos where that reason is in force."""
    standing: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    with stream_tables(store, STANDING) as tables:
        for found_stage, reason, video_id, times in tables.rows(STANDING, list(reasons), stage, stage):
            standing[found_stage, reason][video_id] = times
    return standing


def write_retry(store: Store, stage: str, reason: str, ids: Sequence[str], attempt: int) -> str:
    """Writes a request and returns its name, which is derived from its content."""
    digest = hashlib.sha256("\n".join([stage, reason, str(attempt), *sorted(ids)]).encode()).hexdigest()[:12]
    name = f"{stage}-{reason}-{digest}"
    request = {"stage": stage, "reason": reason, "attempt": attempt, "ids": sorted(ids)}
    store.write_json(f"{FOLDER}/{name}.json", request)
    return name


def read_retries(store: Store, stages: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yields (name, ids) of every request to any of these stages, sorted by name."""
    for file in store.names(FOLDER):
        request = store.read_json(f"{FOLDER}/{file}")
        if request["stage"] in stages:
            yield file.removesuffix(".json"), tuple(request["ids"])


def requested_of(store: Store, stage: str, reason: str) -> set[str]:
    """The videos that requests for this reason name."""
    requests = [store.read_json(f"{FOLDER}/{file}") for file in store.names(FOLDER)]
    mine = [request for request in requests if (request["stage"], request["reason"]) == (stage, reason)]
    return {video_id for request in mine for video_id in request["ids"]}


def uncommit_requested(store: Store, crawl_stages: Sequence[str]) -> int:
    """Uncommits the units that requests to the other stages name, so that this run redoes them; returns how many.

    The crawl's own stages read their requests themselves and turn them into rounds.
    """
    n_units = 0
    for file in store.names(FOLDER):
        request = store.read_json(f"{FOLDER}/{file}")
        stage = request["stage"]
        if stage in crawl_stages or (stage, request["reason"]) == (ADDRESSES, Reason.CHANGED):
            continue
        n_units += _uncommit(store, stage, set(request["ids"]), _has_reason(request["reason"]))
        store.delete(f"{FOLDER}/{file}")
    return n_units


def _has_reason(reason: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda row: row["reason"] == reason


def uncommit_due(store: Store, stages: Sequence[str], now: datetime) -> int:
    """Uncommits units of these stages with rejects of class `later` that are due; returns how many."""
    rows = rejects_in_force(store, "class = ?", ReasonClass.LATER.value).to_pylist()
    due = [row for row in rows if ours(row["stage"]) in stages and is_due(row, now)]
    return sum(
        _uncommit(store, stage, {r["video_id"] for r in due if r["stage"] == stage}, lambda _: True)
        for stage in sorted({row["stage"] for row in due}, key=rank_of)
    )


def is_due(row: Mapping[str, Any], now: datetime) -> bool:
    """Whether a reject is of class `later` and its next try is due.

    An internal error is due as soon as another version of this program runs.
    """
    if row["reason"] == Reason.INTERNAL_ERROR:
        return not str(row["detail"]).startswith(made_by())
    return row["class"] == ReasonClass.LATER and datetime.fromisoformat(row["next_try_at"]) <= now


def _uncommit(store: Store, stage: str, ids: set[str], wanted: Callable[[Mapping[str, Any]], bool]) -> int:
    units = [
        part.unit
        for part in (store.reject_parts(stage) if ids else ())
        if any(row["video_id"] in ids and wanted(row) for row in store.read_part(part).to_pylist())
    ]
    for later, over in with_readers(stage, units, store.stages()):
        store.uncommit(later, *over)
    return len(units)


def times_looked_anew(store: Store) -> Counter[str]:
    """How often each video was requested to be looked at anew because it had changed."""
    requests = read_retries(store, (*names_of("round"), ADDRESSES))
    return Counter(i for name, ids in requests if name.split("-")[1] == Reason.CHANGED for i in ids)


def with_readers(stage: str, units: Sequence[str], present: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields (stage, units) for these units and all that processed their parts: the new rows may differ.

    Later stages come first: if a run is killed in between, the rejects still stand, and the next run does the rest.
    """
    makes = STAGES[ours(stage)].makes
    after = [name for name in present if name.rpartition(OTHERS)[0] == stage]
    for reader in after:
        yield from with_readers(reader, units, present)
    for reader in (reader.name for reader in TABLE if reader.by_part_of in makes):
        yield from with_readers(reader, [name_over(stage, unit) for unit in units], present)
    yield stage, [*units]
