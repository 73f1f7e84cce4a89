"""Requests to try rejected videos again: `retries/<name>.json`.

`hdvila-pipeline retry` writes them, the next run takes them up. A stage turns the ids of its requests into further
units, named by content and attempt; the latest outcome wins.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.store import Store

FOLDER = "retries"
SUCCEEDED = {"choose": "videos", "extract": "videos", "transcripts": "transcripts", "clips": "clips", "media": "packs"}
"""The table in which a stage's video appears when it went well."""


def request_retries(store: Store, reasons: Sequence[str], stage: str = "") -> dict[str, int]:
    """Writes a request for each stage and reason with rejects that are still their video's last word.

    Returns the number of videos by the request's name. Asking twice before a run makes no second request.
    """
    made = {}
    for (found_stage, reason), ids in sorted(_standing(store, reasons, stage).items()):
        attempt = 1 + max(ids.values())
        made[write_retry(store, found_stage, reason, sorted(ids), attempt)] = len(ids)
    return made


def _standing(store: Store, reasons: Sequence[str], stage: str) -> dict[tuple[str, str], dict[str, int]]:
    """Videos by (stage, reason) with how often each was turned away there, where that reason is the last word."""
    rejects = store.read_rejects()
    rejects = rejects.filter(pc.equal(rejects.column("clip_id"), ""))
    named = rejects.filter(pc.is_in(rejects.column("reason"), value_set=pa.array(list(reasons))))
    theirs = rejects.filter(pc.is_in(rejects.column("video_id"), value_set=named.column("video_id").combine_chunks()))
    times: Counter[tuple[str, str]] = Counter()
    last: dict[tuple[str, str], tuple[str, str]] = {}
    for row in theirs.select(["stage", "video_id", "at", "reason"]).to_pylist():
        key = row["stage"], row["video_id"]
        times[key] += 1
        last[key] = max(last.get(key, ("", "")), (row["at"], row["reason"]))
    found: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for (its_stage, video_id), (_, reason) in last.items():
        if reason in reasons and its_stage == (stage or its_stage):
            found[its_stage, reason][video_id] = times[its_stage, video_id]
    for (its_stage, _), ids in found.items():
        for video_id in _went_well(store, SUCCEEDED.get(its_stage, "")) & ids.keys():
            del ids[video_id]
    return {key: ids for key, ids in found.items() if ids}


def _went_well(store: Store, table: str) -> set[str]:
    return set(store.read_table(table, ["video_id"]).column("video_id").to_pylist()) if table else set()


def write_retry(store: Store, stage: str, reason: str, ids: Sequence[str], attempt: int) -> str:
    """Writes a request and returns its name, which follows from what it asks for."""
    digest = hashlib.sha256("\n".join([stage, reason, str(attempt), *sorted(ids)]).encode()).hexdigest()[:12]
    name = f"{stage}-{reason}-{digest}"
    request = {"stage": stage, "reason": reason, "attempt": attempt, "ids": sorted(ids)}
    store.write_json(f"{FOLDER}/{name}.json", request)
    return name


def read_retries(store: Store, stages: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name, ids) of every request to one of these stages, in the order of the names."""
    for file in store.names(FOLDER):
        request = store.read_json(f"{FOLDER}/{file}")
        if request["stage"] in stages:
            yield file.removesuffix(".json"), tuple(request["ids"])
