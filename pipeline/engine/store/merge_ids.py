"""Merging the files of segments' ids, so that an id is looked up in only a few of them.

A file is merged with others unless it is FACTOR times as large as they are together: so there are never more than a
handful, and an entry is rewritten a handful of times.
"""

import tempfile
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from pipeline.engine.store.files import Files
from pipeline.engine.store.ids import merge_files
from pipeline.engine.store.segments import IDS, Head, IdsFile, Retired, change_head, read_head

MOST_APART = 4
"""Once this many segments have their ids in no common file, a common file is made."""
FACTOR = 4


@dataclass(frozen=True, slots=True)
class IdsJob:
    """What to merge: (path, entries) of files. `segments` have a file of their own; `replaced` are files of many."""

    sources: tuple[tuple[str, int], ...]
    segments: frozenset[str]
    replaced: frozenset[str]


def plan_ids(head: Head) -> IdsJob | None:
    """The merge that is due; None if there is none."""
    apart = [segment for segment in head.segments if not segment.ids_in and segment.n_ids > 0]
    if len(apart) < MOST_APART:
        return None
    sources = [(segment.ids_path, segment.n_ids) for segment in apart]
    replaced = []
    for file in sorted(head.ids, key=lambda file: file.n_ids):
        if file.n_ids >= FACTOR * sum(n for _, n in sources):
            break
        sources.append((file.path, file.n_ids))
        replaced.append(file.id)
    return IdsJob(tuple(sources), frozenset(segment.id for segment in apart), frozenset(replaced))


def write_ids(files: Files, job: IdsJob) -> IdsFile:
    """Writes the file of a job. It does not count until `install_ids` has put it into the head."""
    live = {segment.id for segment in read_head(files)[0].segments}
    made = IdsFile(id=uuid.uuid4().hex[:16], n_ids=0)
    with tempfile.TemporaryDirectory() as scratch:
        local = Path(scratch) / "ids"
        with local.open("wb") as out:
            n_ids = merge_files(files, job.sources, live, out)
        files.put(local, made.path)
    return made.model_copy(update={"n_ids": n_ids})


def install_ids(files: Files, job: IdsJob, made: IdsFile) -> bool:
    """Puts a new file into the head in place of those it was made from; False if they are gone."""

    def change(head: Head) -> Head:
        if not job.replaced <= {file.id for file in head.ids}:
            return head
        gone = tuple(Retired(id=name, stage=IDS, at=time.time()) for name in sorted(job.replaced))
        kept = tuple(file for file in head.ids if file.id not in job.replaced)
        segments = tuple(
            segment.model_copy(update={"ids_in": made.id})
            if segment.id in job.segments or segment.ids_in in job.replaced
            else segment
            for segment in head.segments
        )
        return head.model_copy(update={"segments": segments, "ids": (*kept, made), "retired": (*head.retired, *gone)})

    return made in change_head(files, change).ids
