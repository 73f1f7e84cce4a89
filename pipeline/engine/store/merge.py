"""Merging: committed parts into segments, small segments into larger ones, while stages go on.

A merge writes the files of a new segment under a unique name; then a single write of the head puts it in the place of
what it was made from. A kill before that write leaves the old state and files that nothing names (the next run sweeps
them); a kill after it leaves the new state. Commits that a segment covers are deleted at once, parts `grace_s` later.

This file decides what to merge and installs the result; `segment_files.py` writes it, `delete_merged.py` deletes what
is covered, `merger.py` does all of it alongside a run.

Sizes go in tiers: `fan_in` segments of one level make a segment of the next, up to `max_bytes`; so each row is
rewritten once per level, and the number of segments grows with the logarithm of the rows and then with their bytes.
"""

import time
from collections.abc import Mapping, Set
from dataclasses import dataclass

from manifests.schema import TABLES
from pipeline.engine.store.commits import Facts, number_of, part_name
from pipeline.engine.store.delete_merged import delete_commits
from pipeline.engine.store.segments import Head, Retired, Segment, change_head, ids_left, read_head, with_segment
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part

MOST_AT_ONCE = 32_000
"""Units merged at a time: a directory may hold many that were never merged (`n_units` 0)."""


@dataclass(frozen=True, slots=True)
class MergeSizes:
    """When to merge: docs/tables.md."""

    n_units: int = 200
    """A stage's units are merged once this many have parts of their own; 0: never."""
    fan_in: int = 8
    """Segments of the same size that are merged into a segment of the next."""
    max_bytes: int = 512 * 1024**2
    """A segment of this size is not merged further."""
    grace_s: float = 3600.0
    """How long files that a merge replaced are kept for readers that started before it."""


@dataclass(frozen=True, slots=True)
class Job:
    """The input of a merge: loose units (with the facts of each), or whole segments."""

    stage: str
    level: int
    facts: Mapping[str, Facts]
    parts: Mapping[str, tuple[Part, ...]]
    """By table, including `rejects`."""
    replaced: tuple[str, ...] = ()
    """Ids of the segments that the new segment replaces."""


def plan_merge(store: Store, sizes: MergeSizes) -> Job | None:
    """The next merge that is due, small ones first; None if there is none."""
    if not sizes.n_units:
        return None
    head, _ = read_head(store)
    for stage in store.commits.stages():
        loose = dict(sorted(store.loose(head, stage).items(), key=lambda pair: pair[::-1])[: _most(sizes)])
        if len(loose) >= sizes.n_units and (job := job_of_loose(store, stage, loose, sizes.n_units)):
            return job
    for stage in sorted({segment.stage for segment in head.segments}):
        by_level: dict[int, list[Segment]] = {}
        for segment in head.of(stage):
            if segment.bytes < sizes.max_bytes:
                by_level.setdefault(segment.level, []).append(segment)
        for level in sorted(by_level):
            if len(by_level[level]) >= sizes.fan_in:
                return job_of_segments(store, stage, by_level[level][: sizes.fan_in])
    return None


def _most(sizes: MergeSizes) -> int:
    return max(MOST_AT_ONCE, sizes.n_units)


def job_of_loose(store: Store, stage: str, loose: Mapping[str, str], least: int = 1) -> Job | None:
    """A merge of loose units, {unit: path of its commit}, if there are so many: a unit that lost a part stays loose, so
    that `check_accounts` keeps reporting it.
    """
    facts = {unit: store.commits.facts(path, unit) for unit, path in loose.items()}
    parts = {}
    for folder in (*(f"{table}/{stage}" for table in TABLES), f"rejects/{stage}"):
        loose_parts = store.own_parts({stage: loose}, folder)
        loose_parts.sort(key=lambda part: part_name(part.stage, part.unit))
        if loose_parts:
            parts[folder.partition("/")[0]] = loose_parts
    held = {(table, part.unit) for table, some in parts.items() for part in some}
    whole = {unit for unit, its in facts.items() if all((table, unit) in held for table in _promised(its))}
    if len(whole) < least:
        return None
    kept = {table: tuple(part for part in some if part.unit in whole) for table, some in parts.items()}
    return Job(stage, 0, {unit: facts[unit] for unit in sorted(whole)}, {t: some for t, some in kept.items() if some})


def _promised(facts: Facts) -> list[str]:
    rejects = ["rejects"] if sum(facts.get("rejects", {}).values()) else []
    return [*facts.get("rows", {}), *rejects]


def job_of_segments(store: Store, stage: str, some: list[Segment]) -> Job:
    """A merge of whole segments into one of the next level."""
    facts = {unit: its for segment in some for unit, its in store.segments.facts(segment)}
    tables = sorted({table for segment in some for table, n_rows in segment.rows.items() if n_rows})
    parts = {}
    for table in tables:
        of_table = [
            Part(stage, unit, segment.path(table), first, n)
            for segment in some
            for unit, first, n in store.segments.row_ranges(segment, table)
        ]
        of_table.sort(key=lambda part: part_name(stage, part.unit))
        parts[table] = tuple(of_table)
    level = some[0].level + 1
    return Job(stage, level, facts, parts, tuple(segment.id for segment in some))


def install(store: Store, job: Job, segment: Segment) -> bool:
    """Replaces what a written segment was made from by the segment; False if its sources are gone.

    Units that were taken back or redone while it was written are void in it.
    """

    def change(head: Head) -> Head:
        known = {segment.id: segment for segment in head.segments}
        if any(name not in known for name in job.replaced):
            return head
        void = _void_since(store, head, job)
        if len(void) == segment.n_units:
            return head
        new = segment.model_copy(update={"void": tuple(sorted(void)), "made_at": time.time()})
        rest = tuple(segment for segment in head.segments if segment.id not in job.replaced)
        gone = tuple(Retired(id=name, stage=job.stage, at=time.time()) for name in job.replaced)
        update = {"segments": rest, "retired": (*head.retired, *gone), "ids": ids_left(head, rest)}
        changed = with_segment(head.model_copy(update=update), new)
        if job.replaced:
            return changed
        covered = _covered(store, head, job.stage, job.facts.keys() - void)
        parts = Retired(id=segment.id, stage=job.stage, at=time.time(), is_parts=True)
        retired = (*changed.retired, parts)
        return changed.model_copy(update={"covered": {**head.covered, job.stage: covered}, "retired": retired})

    changed = change_head(store, change)
    store.commits.floor.update(changed.covered)
    is_installed = any(there.id == segment.id for there in changed.segments)
    if is_installed and not job.replaced:
        delete_commits(store, job.stage)
    return is_installed


def _covered(store: Store, head: Head, stage: str, merged: Set[str]) -> int:
    """The number up to which all groups' units are in segments, once `merged` are."""
    last = store.commits.last_number(stage)  # read before looking at their contents
    left = [number_of(path) for unit, path in store.loose(head, stage).items() if unit not in merged]
    return max(head.covered.get(stage, 0), min([number - 1 for number in left], default=last))


def _void_since(store: Store, head: Head, job: Job) -> set[str]:
    if job.replaced:
        known = {segment.id: segment for segment in head.segments}
        voided = {unit for name in job.replaced for unit in known[name].void}
        live = {unit for name in job.replaced for unit in store.segments.names([known[name]])}
        return (voided & job.facts.keys()) - live
    loose = store.loose(head, job.stage)
    return {
        unit
        for unit, facts in job.facts.items()
        if unit not in loose or store.commits.facts(loose[unit], unit) != facts
    }
