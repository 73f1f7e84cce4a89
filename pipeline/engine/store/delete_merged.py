"""Deletes what segments cover: commits at once, parts and files of merged segments after a delay, so that readers that
began before a merge can finish. Who meets a missing commit lists again.
"""

import time
from pathlib import Path

from pipeline.engine.store.commits import number_of
from pipeline.engine.store.segments import Retired, change_head, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import FOLDER, MERGED_NAME


def delete_commits(store: Store, stage: str) -> int:
    """Deletes the objects of a stage's commits all of whose units are in segments; returns how many. Only call while
    holding the run lock. Writes none: the loop goes on committing meanwhile.
    """
    head, _ = read_head(store)
    groups = store.commits.paths(stage)  # before looking at which units are loose: what comes later stays
    needed, covered = set(store.loose(head, stage).values()), head.covered.get(stage, 0)
    gone = [path for path in groups if number_of(path) <= covered or path not in needed]
    store.delete_all(gone)
    return len(gone)


def sweep_segments(store: Store, grace_s: float) -> int:
    """Deletes files that were retired for `grace_s` or longer; returns how many. Only call with the run lock."""
    gone = [retired for retired in read_head(store)[0].retired if retired.at <= time.time() - grace_s]
    paths = {path for retired in gone for path in _files_of(store, retired)}
    store.delete_all(sorted(paths))
    for retired in gone:
        _remove_folder(store, retired.folder)
    if gone:
        change_head(store, lambda h: h.model_copy(update={"retired": tuple(r for r in h.retired if r not in gone)}))
    return len(paths)


def sweep_orphans(store: Store) -> int:
    """Deletes what a killed merge left: segments that no head names, and commits that segments cover; returns how many.

    Only call while no merge is running.
    """
    head, _ = read_head(store)
    known = {*(it.id for it in head.segments), *(it.id for it in head.retired), *(it.id for it in head.ids)}
    strays = [
        f"{FOLDER}/{stage}/{name}"
        for stage in store.folders(FOLDER)
        for name in store.folders(f"{FOLDER}/{stage}")
        if name not in known
    ]
    files = [f"{folder}/{name}" for folder in strays for name in store.names(folder)]
    store.delete_all(files)
    for folder in strays:
        _remove_folder(store, folder)
    return len(files) + sum(delete_commits(store, stage) for stage in {segment.stage for segment in head.segments})


def _files_of(store: Store, retired: Retired) -> list[str]:
    if retired.is_parts:
        return [*store.merged_parts(retired), f"{retired.folder}/{MERGED_NAME}"]
    return [f"{retired.folder}/{name}" for name in store.names(retired.folder)]


def _remove_folder(store: Store, folder: str) -> None:
    if store.is_local and Path(store.path(folder)).is_dir() and not store.names(folder):
        Path(store.path_to_change(folder)).rmdir()
