"""The rejects of whole videos that are in force, as a planner keeps them: 18 bytes each, in files, and 9 in memory for
each video that came further. What they say in words stays in the tables.

The latest reject of a video is in force, unless the video has passed the stage since, which makes it void. Videos are
known by the 64-bit hashes of their ids: two among 14 million are the same with a chance of 5 in a million.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.columns import in_a_file
from manifests.hashing import UInt64
from manifests.membership import are_in, distinct, hash_ids, rows_in, spans_in
from manifests.stages import TABLE, rank_of, stages_void_by

COLUMNS = ["video_id", "clip_id", "stage", "reason", "at"]
"""What is read of a reject."""
VOIDING = sorted({stage.void_by for stage in TABLE} - {""})
"""The tables where a row of a video makes a reject void."""
MOST_WAITING = 1 << 20
"""New rejects that wait to be sorted in; more, where there are many."""

Marks = NDArray[np.bool_]
Rows = NDArray[np.int64]


@dataclass(slots=True)
class _Passed:
    """Which videos have a row in each of VOIDING: ascending hashes, and a bit for each table."""

    videos: UInt64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    tables: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))

    def add(self, table: str, videos: UInt64) -> None:
        new = videos[~are_in(self.videos, videos)]
        where = np.searchsorted(self.videos, new)
        self.videos, self.tables = np.insert(self.videos, where, new), np.insert(self.tables, where, 0)
        self.tables[rows_in(self.videos, videos)] |= _bit(table)

    def have(self, table: str, videos: UInt64) -> Marks:
        """[N] whether each video has a row there; the last entry stands for unknown videos."""
        return np.asarray(np.append(self.tables, np.uint8(0))[rows_in(self.videos, videos)] & _bit(table) > 0)


def _bit(table: str) -> np.uint8:
    return np.uint8(1 << VOIDING.index(table))


class VideoRejects:
    """See the module. Of what came together, rows that make rejects void are added before the rejects."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], int] = {}  # numbers of stages and reasons
        self._passed = _Passed()
        self._video: UInt64 = np.zeros(0, np.uint64)  # ascending; the rejects of a video as they came
        self._kind: NDArray[np.int16] = np.zeros(0, np.int16)
        self._at: NDArray[np.int64] = np.zeros(0, np.int64)  # microseconds since 1970
        self._waiting: list[tuple[NDArray[Any], ...]] = []  # the same columns, not sorted in yet

    def add_passed(self, table: str, video_ids: pa.ChunkedArray) -> None:
        """Adds videos with rows in a table that did not fail: rejects of the stages that they passed are void."""
        videos = distinct(hash_ids(video_ids))
        self._passed.add(table, videos)
        self._settle()
        rows = _spread(*spans_in(self._video, videos))
        rows = rows[np.isin(self._kind[rows], self._void_by(table))]
        if len(rows):
            self._video, self._kind = np.delete(self._video, rows), np.delete(self._kind, rows)
            self._at = np.delete(self._at, rows)

    def add(self, rejects: pa.Table) -> None:
        """Adds rejects with COLUMNS; those of clips, and those that are void, are left out."""
        whole = rejects.filter(pc.equal(rejects.column("clip_id"), ""))
        at_us = whole.column("at").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()
        video, kind = hash_ids(whole.column("video_id")), self._numbers(whole)
        is_void = np.zeros(len(video), np.bool_)
        for table in VOIDING:
            is_void |= np.isin(kind, self._void_by(table)) & self._passed.have(table, video)
        in_force = ~is_void
        self._waiting.append((video[in_force], kind[in_force], at_us[in_force]))
        if sum(len(column) for column, _, _ in self._waiting) > max(MOST_WAITING, len(self._video) // 4):
            self._settle()

    def of(self, video_ids: pa.Array) -> pa.Table:
        """The rejects in force of these videos, which differ: columns video_id, stage, reason."""
        self._settle()
        first, end = spans_in(self._video, hash_ids(video_ids))
        rejected = np.flatnonzero(first < end)
        first, end = first[rejected], end[rejected]
        rows = self._latest(_spread(first, end), np.repeat(rejected, end - first))
        kinds = pa.array(self._kind[rows].astype(np.int32))
        names = [pa.array([kind[i] for kind in self._kinds], pa.string()).take(kinds) for i in (0, 1)]
        return pa.table([video_ids.take(pa.array(rejected)), *names], names=["video_id", "stage", "reason"])

    def counts(self) -> dict[str, dict[str, int]]:
        """The number of rejects in force: stages in their order, the most frequent reason first."""
        self._settle()
        again = np.append(False, self._video[1:] == self._video[:-1])[: len(self._video)]
        several = np.flatnonzero(again | np.append(again[1:], False)[: len(again)])
        latest = self._latest(several, self._video[several])
        n = [np.bincount(self._kind[rows], minlength=len(self._kinds)) for rows in (slice(None), several, latest)]
        n_of = dict(zip(self._kinds, (n[0] - n[1] + n[2]).tolist(), strict=True))
        counts: dict[str, dict[str, int]] = {}
        for stage, reason in sorted(n_of, key=lambda kind: (-n_of[kind], kind[1])):
            if n_of[stage, reason]:
                counts.setdefault(stage, {})[reason] = n_of[stage, reason]
        return {stage: counts[stage] for stage in sorted(counts, key=rank_of)}

    def _latest(self, rows: Rows, owners: NDArray[Any]) -> Rows:
        """Of the rows of each owner, which are together, the last: by time, then as in the view `rejects_in_force`."""
        in_order = sorted(self._kinds, key=lambda kind: (rank_of(kind[0]), *kind))
        ranks = np.argsort([self._kinds[kind] for kind in in_order])
        order = np.lexsort((ranks[self._kind[rows]], self._at[rows], owners))
        is_last = np.append(owners[1:] != owners[:-1], True)[: len(rows)]
        return np.asarray(rows[order[is_last]])

    def _settle(self) -> None:
        """Sorts in the rejects that wait."""
        if not self._waiting:
            return
        video, kind, at = (np.concatenate(column) for column in zip(*self._waiting, strict=True))
        order, self._waiting = np.argsort(video, kind="stable"), []
        where = np.searchsorted(self._video, video[order], side="right")
        self._video = _inserted(self._video, where, video[order])
        self._kind = _inserted(self._kind, where, kind[order])
        self._at = _inserted(self._at, where, at[order])

    def _numbers(self, rejects: pa.Table) -> NDArray[np.int16]:
        """[N] the number of each reject's stage and reason."""
        both = pc.binary_join_element_wise(rejects.column("stage"), rejects.column("reason"), " ")
        coded = pc.dictionary_encode(both.combine_chunks())
        kinds = [(stage, reason) for stage, _, reason in (text.partition(" ") for text in coded.dictionary.to_pylist())]
        numbers = [self._kinds.setdefault(kind, len(self._kinds)) for kind in kinds]
        return np.asarray(np.array(numbers, np.int16)[coded.indices.to_numpy()])

    def _void_by(self, table: str) -> list[int]:
        stages = stages_void_by(table, {stage for stage, _ in self._kinds})
        return [number for (stage, _), number in self._kinds.items() if stage in stages]


def _inserted(column: NDArray[Any], where: Rows, values: NDArray[Any]) -> NDArray[Any]:
    return in_a_file([np.insert(column, where, values)], column.dtype)


def _spread(first: Rows, end: Rows) -> Rows:
    """The rows of these spans, one span after the other."""
    ends = np.cumsum(end - first)
    return np.repeat(end - ends, end - first) + np.arange(ends[-1] if len(ends) else 0)
