"""Runs the stages that compare videos, as a run does, unit after unit."""

from pathlib import Path

import pyarrow as pa

from manifests.reasons import Reason
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import End, attempt_unit
from pipeline.engine.work.unit import Stage
from pipeline.likeness import pictures
from pipeline.likeness.comparing import Comparing
from pipeline.likeness.index import Kind
from pipeline.likeness.matches import Matches

NONE = pa.array([], pa.string())


def run(stage: Stage, store: Store, scratch: Path) -> None:
    """Makes the units that have no commit."""
    for unit in stage.units(store):
        if not store.committed_of(stage.name, [unit.name]):
            outcome = attempt_unit(stage, unit, store, scratch, 1)
            assert outcome.end is End.DONE and not outcome.detail, outcome
            store.commit_all(stage.name, {unit.name: outcome.facts})


def compare(store: Store, kind: Kind, videos: pa.Table, scratch: Path, comparing: Comparing | None = None) -> None:
    """Compares what is new of these videos."""
    for chain in (comparing or Comparing(store, kind)).batches(videos):
        for stage in chain:
            run(stage, store, scratch)


def in_one_order(ids: pa.Array) -> pa.Table:
    """Videos of one batch."""
    return pa.table({"video_id": ids, "order": pa.array([0] * len(ids), pa.int64())})


def repeated_pictures(store: Store, but: pa.Array = NONE) -> dict[Reason, dict[str, str]]:
    """What a plan reads."""
    matches = Matches(store)
    return pictures.find_repeats(matches.of(pictures.CLIPS), matches.of(pictures.VIDEOS), but)
