"""Deletes what segments cover, after a delay, so that readers that began before a merge can finish."""

import time
from pathlib import Path

from manifests.schema import TABLES
from pipeline.engine.store.commits import number_of
from pipeline.engine.store.segments import Head, change_head, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import FOLDER


def sweep_segments(store: Store, grace_s: float) -> int:
    """Deletes files that segments have covered, or that were retired, for `grace_s` or longer; returns how many.

    Only call while holding the run lock.
    """
    head, _ = read_head(store)
    before = time.time() - grace_s
    gone = [retired for retired in head.retired if retired.at <= before]
    n_swept = sum(_delete_folder(store, f"{FOLDER}/{retired.stage}/{retired.id}") for retired in gone)
    if gone:
        names = {retired.id for retired in gone}
        change_head(store, lambda h: h.model_copy(update={"retired": tuple(r for r in h.retired if r.id not in names)}))
    for stage in sorted({segment.stage for segment in head.segments}):
        made_at = [segment.made_at for segment in head.of(stage)]
        store.commits.note_covered(stage, head.covered.get(stage, 0), max(made_at))
        if store.commits.covered_before(stage, before) or min(made_at) <= before:
            n_swept += _delete_covered(store, head, stage, before)
    return n_swept


def sweep_orphans(store: Store) -> int:
    """Deletes segment files that no head names, left by a killed merge. Only call while no merge is running."""
    head, _ = read_head(store)
    known = {*(it.id for it in head.segments), *(it.id for it in head.retired), *(it.id for it in head.ids)}
    strays = [
        f"{FOLDER}/{stage}/{name}"
        for stage in store.folders(FOLDER)
        for name in store.folders(f"{FOLDER}/{stage}")
        if name not in known
    ]
    return sum(_delete_folder(store, folder) for folder in strays)


def _delete_folder(store: Store, folder: str) -> int:
    names = store.names(folder)
    for name in names:
        store.delete(f"{folder}/{name}")
    if store.is_local and Path(store.path(folder)).is_dir():
        Path(store.path(folder)).rmdir()
    return len(names)


def _delete_covered(store: Store, head: Head, stage: str, before: float) -> int:
    """Deletes commits whose units were all in segments by `before`, and the parts that they name.

    Groups covered after that are not read, since a run goes on for an hour and comes here every ten seconds. A group
    beyond the covered number may still be covered: it follows a group with a unit that cannot be merged.
    """
    number, last = store.commits.covered_before(stage, before), head.covered.get(stage, 0)
    where = store.commits.of(stage, but=range(number + 1, last + 1))
    ripe = [segment for segment in head.of(stage) if segment.made_at <= before]
    others = [unit for unit, path in where.items() if number_of(path) > number]
    covered = {unit for segment in ripe for unit in store.segments.among(segment, others)} if others else set()
    by_path: dict[str, list[str]] = {}
    for unit, path in where.items():
        by_path.setdefault(path, []).append(unit)
    n_swept = 0
    for path, units in by_path.items():
        if not (number_of(path) <= number or covered.issuperset(units)):
            continue
        parts = [
            part
            for folder in (*TABLES, f"rejects/{stage}")
            for _, part in store.commits.parts(dict.fromkeys(units, path), stage, folder)
        ]
        store.delete(path)
        for part in parts:
            store.delete(part)
        n_swept += 1 + len(parts)
    return n_swept
