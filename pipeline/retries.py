"""Requests to try rejected videos again: `retries/<name>.json`.

`hdvila-pipeline retry` writes them, the next run takes them up. A stage turns the ids of its requests into further
units, named by content and attempt; the latest outcome wins.
"""

import hashlib
from collections.abc import Iterator, Sequence

from pipeline.engine.store import Store

FOLDER = "retries"


def write_retry(store: Store, stage: str, reason: str, ids: Sequence[str], attempt: int) -> str:
    """Writes a request and returns its name, which follows from what it asks for."""
    digest = hashlib.sha256("\n".join([stage, reason, str(attempt), *sorted(ids)]).encode()).hexdigest()[:12]
    name = f"{stage}-{reason}-{digest}"
    store.write_json(
        f"{FOLDER}/{name}.json", {"stage": stage, "reason": reason, "attempt": attempt, "ids": sorted(ids)}
    )
    return name


def read_retries(store: Store, stages: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(name, ids) of every request to one of these stages, in the order of the names."""
    for file in store.names(FOLDER):
        request = store.read_json(f"{FOLDER}/{file}")
        if request["stage"] in stages:
            yield file.removesuffix(".json"), tuple(request["ids"])
