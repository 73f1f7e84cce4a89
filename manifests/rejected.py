"""Which rejects are in force, by 64-bit hashes: 18 bytes a reject while they are read, 10 for each video afterwards.

The latest reject of a video or clip is in force, unless the video or clip has passed the stage since, which makes it
void. A crawl of millions leaves tens of millions of rejects; as texts they would fill a driver.

Two different ids among 14 million have the same hash with a chance of 5 in a million.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.hashing import UInt64, hash_texts, splitmix64
from manifests.membership import are_in, distinct, hash_ids
from manifests.stages import TABLE, find_stage, ours, rank_of

KEYS = ["stage", "video_id", "clip_id", "reason"]
WITH_TIMES = [*KEYS, "at"]
WHOLE = hash_texts(pa.array([""]), 0)[0]
"""The hash of the clip id that stands for a whole video."""
Kinds = NDArray[np.int16]
Marks = NDArray[np.bool_]
Read = Callable[[list[str]], Iterator[pa.Table]]
"""Yields all rejects, some at a time, with the given columns."""
Holds = Callable[[str, UInt64, UInt64], Marks]
"""For a table, and the hashes of videos and clips [N]: whether each has a row there that did not fail."""


@dataclass(slots=True)
class _Rows:
    """Some rejects: hashes of video and clip, and the number of the stage and reason."""

    video: UInt64
    clip: UInt64
    kind: Kinds

    def only(self, wanted: Marks) -> _Rows:
        return _Rows(self.video[wanted], self.clip[wanted], self.kind[wanted])

    def keys(self) -> UInt64:
        return np.asarray(self.video ^ splitmix64(self.clip))

    def are_whole(self) -> Marks:
        return np.asarray(self.clip == WHOLE)


@dataclass(slots=True)
class Rejected:
    """See the module. `kinds`: (stage, reason) by number."""

    kinds: list[tuple[str, str]] = field(default_factory=list)
    video: UInt64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    """[V] ascending hashes of the videos that were rejected as a whole."""
    kind: Kinds = field(default_factory=lambda: np.zeros(0, np.int16))
    """[V] stage and reason of each."""
    clips: Counter[int] = field(default_factory=Counter)
    """By kind: how many clips were rejected."""
    latest: pa.Table = field(default_factory=lambda: pa.table({name: pa.array([], pa.string()) for name in WITH_TIMES}))
    """Those in force of videos and clips that were rejected several times."""
    _several: UInt64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    _holds: Holds = lambda table, video, clip: np.zeros(len(video), np.bool_)

    def in_force(self, read: Read) -> Iterator[pa.Table]:
        """Reads the rejects again, and yields those in force (columns KEYS), some at a time."""
        for table in read(KEYS):
            rows = self._hashed(table)
            is_void = self._are_void(rows) | are_in(self._several, rows.keys())
            yield table.filter(pa.array(~is_void)).select(KEYS)
        yield self.latest.select(KEYS)

    def _hashed(self, table: pa.Table) -> _Rows:
        return _Rows(hash_ids(table.column("video_id")), hash_ids(table.column("clip_id")), self._kinds_of(table))

    def _kinds_of(self, table: pa.Table) -> Kinds:
        stage, reason = (pc.dictionary_encode(table.column(name).combine_chunks()) for name in ("stage", "reason"))
        n = len(reason.dictionary)
        code = stage.indices.to_numpy().astype(np.int64) * n + reason.indices.to_numpy()
        distinct, at = np.unique(code, return_inverse=True)
        stages, reasons = stage.dictionary.to_pylist(), reason.dictionary.to_pylist()
        numbers = [self._number((stages[pair // n], reasons[pair % n])) for pair in distinct.tolist()]
        return np.array(numbers, np.int16)[at] if numbers else np.zeros(0, np.int16)

    def _number(self, kind: tuple[str, str]) -> int:
        if kind not in self.kinds:
            self.kinds.append(kind)
        return self.kinds.index(kind)

    def of_stages(self, stages: Sequence[str]) -> list[int]:
        """The numbers of all kinds of some stages, those of other packages that build on them included."""
        return [number for number, (stage, _) in enumerate(self.kinds) if ours(stage) in stages]

    def _void_by(self, table: str) -> list[int]:
        stages = stages_void_by(table, {stage for stage, _ in self.kinds})
        return [number for number, (stage, _) in enumerate(self.kinds) if stage in stages]

    def _are_void(self, rows: _Rows) -> Marks:
        void = np.zeros(len(rows.kind), np.bool_)
        for table in sorted({stage.void_by for stage in TABLE} - {""}):
            of_table = np.flatnonzero(np.isin(rows.kind, self._void_by(table)))
            if len(of_table):
                void[of_table] = self._holds(table, rows.video[of_table], rows.clip[of_table])
        return void

    def clips_before(self, rows: Sequence[_Rows], table: str) -> UInt64:
        """[C] ascending hashes of the clips rejected by stages whose rejects a row of this table makes void."""
        kinds = self._void_by(table)
        return distinct(np.concatenate([_NONE, *(r.clip[np.isin(r.kind, kinds) & ~r.are_whole()] for r in rows)]))


_NONE = np.zeros(0, np.uint64)


def stages_void_by(table: str, among: Iterable[str]) -> list[str]:
    """Those of these stages that a video or clip with a row of this table has passed."""
    return [name for name in among if (stage := find_stage(name)) and stage.void_by == table]


def find_rejected(read: Read, holds_after: Callable[[Callable[[str], UInt64]], Holds]) -> Rejected:
    """Reads all rejects. `holds_after` gets what tells the rejected clips before a table, and returns Holds."""
    rejected = Rejected()
    pieces = [rejected._hashed(table) for table in read(KEYS)]
    rejected._holds = holds_after(lambda table: rejected.clips_before(pieces, table))
    pieces = [rows.only(~rejected._are_void(rows)) for rows in pieces]
    rejected._several = _repeated([rows.keys() for rows in pieces])
    if len(rejected._several):
        pieces = [rows.only(~are_in(rejected._several, rows.keys())) for rows in pieces]
        rejected.latest = _latest(rejected, read)
        pieces.append(rejected._hashed(rejected.latest))
    _add_up(rejected, pieces)
    return rejected


def _repeated(keys: list[UInt64]) -> UInt64:
    ordered = np.sort(np.concatenate([_NONE, *keys]))
    return distinct(ordered[1:][ordered[1:] == ordered[:-1]])


def _latest(rejected: Rejected, read: Read) -> pa.Table:
    tables = [rejected.latest]
    for table in read(WITH_TIMES):
        rows = rejected._hashed(table)
        tables.append(table.filter(pa.array(are_in(rejected._several, rows.keys()) & ~rejected._are_void(rows))))
    several = pa.concat_tables([table.select(WITH_TIMES) for table in tables])
    return several.take(pa.array(last_of_each(several)))


def _add_up(rejected: Rejected, pieces: list[_Rows]) -> None:
    whole = [rows.are_whole() for rows in pieces]
    video = np.concatenate([_NONE, *(rows.video[mask] for rows, mask in zip(pieces, whole, strict=True))])
    kind = np.concatenate([np.zeros(0, np.int16), *(rows.kind[mask] for rows, mask in zip(pieces, whole, strict=True))])
    order = np.argsort(video)
    rejected.video, rejected.kind = video[order], kind[order]
    for rows, mask in zip(pieces, whole, strict=True):
        counts = np.bincount(rows.kind[~mask], minlength=len(rejected.kinds))
        rejected.clips.update({number: int(n) for number, n in enumerate(counts) if n})


def last_of_each(rejects: pa.Table) -> NDArray[np.int64]:
    """The rows that hold the last reject of each video and clip: by time, then by the rank of the stage."""
    stages = pc.dictionary_encode(rejects.column("stage").combine_chunks())
    ranks = pa.array([rank_of(stage) for stage in stages.dictionary.to_pylist()], pa.int32())
    keys = [("video_id", "ascending"), ("clip_id", "ascending"), ("at", "ascending"), ("rank", "ascending")]
    order = pc.sort_indices(rejects.append_column("rank", ranks.take(stages.indices)), sort_keys=keys)
    ordered = rejects.select(["video_id", "clip_id"]).take(order).combine_chunks()
    same = np.ones(max(0, ordered.num_rows - 1), dtype=np.bool_)
    for name in ordered.column_names:
        column = ordered.column(name)
        same &= pc.equal(column.slice(1), column.slice(0, len(same))).to_numpy(zero_copy_only=False)
    last = np.append(~same, True)[: ordered.num_rows]
    return np.asarray(order.to_numpy()[last], dtype=np.int64)
