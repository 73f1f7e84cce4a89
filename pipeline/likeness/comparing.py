"""What is to be compared next: videos whose rows are there and that no batch has taken up, in batches of their own.

What was taken up is in table `compared`; of all other videos it is remembered which parts hold their rows, so that a
worker reads these alone.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.errors import UserError
from manifests.membership import Ids, hash_ids
from pipeline.engine.store.follow import PART, Follower
from pipeline.engine.store.lost import loose_files
from pipeline.engine.store.new_parts import KnownUnits
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Stage
from pipeline.likeness.index import Kind
from pipeline.likeness.stage import LikenessStage, match_unit

log = logging.getLogger("hdvila")

TURNS = 3
"""How often the stage of a batch is run: see stage.py."""


class Comparing:
    """See the module. `lines` runs until everything that it may compare is compared."""

    def __init__(self, store: Store, kind: Kind) -> None:
        self._store, self._kind = store, kind
        self._compared = Follower(store, "compared", ["kind", "batch", "video_id"])
        self._taken, self._n_batches = KnownUnits(), 0
        self._follower = Follower(store, kind.table, ["video_id"], self._are_new, named=True)
        self._waiting = [pa.schema([("video_id", pa.string()), (PART, pa.string())]).empty_table()]

    def waiting(self) -> pa.Array:
        """The ids of the videos that wait to be compared."""
        self._update()
        return pc.unique(self._waiting[0].column("video_id"))

    def batches(self, videos: pa.Table) -> Generator[Sequence[Stage], object, None]:
        """Yields the stages that compare what waits of these videos, one chain at least.

        `videos`: video_id, what the kind wants of them, and `order`, in which they are compared, then by id. Raises
        UserError if a unit failed.
        """
        last = None
        while True:
            stage = self._next(videos)
            if stage.has_work and stage == last:
                raise UserError(
                    f"{stage.name}: batch {stage.batch} could not be compared: rejects/{stage.name} holds the traceback"
                )
            last = stage
            for _ in range(TURNS if stage.has_work else 1):
                yield (stage,)
            if not stage.has_work:
                return

    def _next(self, videos: pa.Table) -> LikenessStage:
        self._update()
        last = self._n_batches - 1
        wanted = self._wanted(videos)
        if last >= 0 and not self._store.committed_of(self._kind.stage, [match_unit(last)]):
            return LikenessStage(self._kind, last, wanted.slice(0, 0), is_begun=True)
        return LikenessStage(self._kind, self._n_batches, wanted)

    def _wanted(self, videos: pa.Table) -> pa.Table:
        """The next videos, in order, a row for each of their parts."""
        waiting = self._waiting[0]
        row = Ids.of(videos.column("video_id")).rows(waiting.column("video_id"))
        waiting, row = waiting.filter(pa.array(row >= 0)), row[row >= 0]
        for name in ("order", *self._kind.of_videos):
            values = videos.column(name).take(pa.array(row))
            is_coded = pa.types.is_dictionary(values.type)
            waiting = waiting.append_column(name, values.cast(values.type.value_type) if is_coded else values)
        waiting = waiting.sort_by([(name, "ascending") for name in ("order", "video_id", PART)])
        ids = waiting.column("video_id").combine_chunks()
        begins = np.append(True, pc.not_equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1))).to_numpy(False))
        first = np.flatnonzero(begins[: len(ids)])
        return waiting.slice(0, int(first[self._kind.at_a_time])) if len(first) > self._kind.at_a_time else waiting

    def _update(self) -> None:
        for rows in self._compared.new():
            own = rows.filter(pc.equal(rows.column("kind"), self._kind.name))
            if own.num_rows:
                self._taken.add(np.unique(hash_ids(own.column("video_id"))))
                self._n_batches = max(self._n_batches, 1 + pc.max(own.column("batch")).as_py())
        new = [rows.filter(pa.array(self._are_new(rows.column("video_id")))) for rows in self._follower.new()]
        waiting = pa.concat_tables([*self._waiting, *(_distinct(rows) for rows in new)])
        self._waiting = [waiting.filter(pa.array(self._are_new(waiting.column("video_id"))))]

    def _are_new(self, ids: pa.ChunkedArray) -> NDArray[np.bool_]:
        return self._taken.are_new(hash_ids(ids))


def _distinct(rows: pa.Table) -> pa.Table:
    return rows.group_by(["video_id", PART]).aggregate([]).select(["video_id", PART])


def compare_again_what_is_lost(store: Store, kinds: Sequence[Kind]) -> None:
    """Takes back all of a kind whose index is gone, or a part of its tables, so that it is made again."""
    head, _ = read_head(store)
    for kind in kinds:
        lost = [kind.items_path(0)] if store.committed_of(kind.stage, ["00000"]) else []
        lost = [path for path in lost if not store.exists(path)]
        lost += [file.path for file in loose_files(store, head, [kind.stage], ("compared", "matches")) if file.fault]
        if lost:
            said = "gone or damaged (remove and --mix take it back): everything is compared again from the beginning"
            log.warning("%s/%s: %s", store.url, lost[0], said)
            store.uncommit(kind.stage, *store.committed(kind.stage))
