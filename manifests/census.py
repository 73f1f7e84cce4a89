"""What the tables of an output directory hold, counted by video: each table is read once, and few bytes of it are kept.

The funnel, the rejects in force and the search for missing videos all need the same facts: which videos have rows in a
table, how many, and how many of them failed. They share one census, which is a snapshot.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.hashing import UInt64, splitmix64
from manifests.membership import are_in, distinct, hash_ids
from manifests.rejected import WHOLE, Rejected, find_rejected, last_of_each, stages_void_by
from manifests.schema import TABLES
from manifests.stages import TABLE

_OF_CLIPS = tuple(table for table, schema in TABLES.items() if "clip_id" in schema.names)
"""The tables where a row of a clip makes its reject void."""
HASHES_AT_A_TIME = 1_000_000


class Rows(Protocol):
    """The table-reading methods that a census needs."""

    def read_table(self, table: str, columns: list[str] | None = None) -> pa.Table: ...

    def read_rejects(self, columns: list[str] | None = None) -> pa.Table: ...

    def read_runs(self, table: str, columns: list[str]) -> Iterator[pa.Table]: ...


class Tables(Rows, Protocol):
    """What the functions here need of an output directory. The pipeline's Store has it."""

    def exists(self, relative: str) -> bool: ...

    def open(self, relative: str) -> IO[bytes]: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of a table by video. Columns [V]: ascending hashes of the videos, all rows, and rows that failed (table
    `packs` only).
    """

    video: UInt64
    n: NDArray[np.int32]
    n_failed: NDArray[np.int32]

    @property
    def with_success(self) -> UInt64:
        """The videos with at least one row that did not fail."""
        return self.video[self.n > self.n_failed]

    @classmethod
    def sum(cls, pieces: list[Counted]) -> Counted:
        """Adds up counts."""
        video, at = np.unique(np.concatenate([np.zeros(0, np.uint64), *(p.video for p in pieces)]), return_inverse=True)
        n, n_failed = np.zeros(len(video), np.int32), np.zeros(len(video), np.int32)
        begin = 0
        for piece in pieces:
            rows = at[begin : begin + len(piece.video)]
            begin += len(rows)
            np.add.at(n, rows, piece.n)
            np.add.at(n_failed, rows, piece.n_failed)
        return cls(video, n, n_failed)


@dataclass(slots=True)
class _Kept:
    """What is kept from the parts of a table that were read."""

    clips: UInt64
    """[C] ascending hashes of the clips that were rejected before this table."""
    passed: NDArray[np.bool_]
    """[C] whether each of them has a row here that did not fail."""
    pieces: list[Counted] = field(default_factory=list)
    n_waiting: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def add(self, counts: Counted) -> None:
        """Adds counts; adds them up when there are as many as of all before."""
        self.pieces.append(counts)
        self.n_waiting += len(counts.video)
        if self.n_waiting > 2 * len(self.pieces[0].video) + HASHES_AT_A_TIME:
            self.sum()

    def sum(self) -> Counted:
        """All counts."""
        if self.n_waiting or not self.pieces:
            self.pieces, self.n_waiting = [Counted.sum(self.pieces)], 0
        return self.pieces[0]


class Census:
    """See the module docstring. Also finds which rejected clips passed their stage later."""

    def __init__(self, tables: Rows) -> None:
        self._tables = tables
        self._kept: dict[str, _Kept] = {}
        self._clips_before: Callable[[str], UInt64] | None = None

    @cached_property
    def rejects(self) -> pa.Table:
        """All rejects ever made."""
        return self._tables.read_rejects()

    def count(self, table: str) -> Counted:
        """The counts of a table by video."""
        return self._update(table).sum()

    def n_distinct(self, table: str) -> int:
        """The number of videos with rows in a table, counted by 64-bit hashes, since a crawl lists many millions."""
        seen, waiting = np.zeros(0, np.uint64), [np.zeros(0, np.uint64)]
        for rows in self._tables.read_runs(table, ["video_id"]):
            waiting.append(hash_ids(rows.column("video_id")))
            if sum(map(len, waiting)) > max(HASHES_AT_A_TIME, len(seen)):
                seen, waiting = distinct(np.concatenate([seen, *waiting])), []
        return len(distinct(np.concatenate([seen, *waiting])))

    def failed_by_reason(self) -> Counter[str]:
        """How many rows of `packs` failed, by reason."""
        return self._update("packs").failed

    @cached_property
    def rejected(self) -> Rejected:
        """Active rejects, keyed by hash."""

        def holds_after(clips_before: Callable[[str], UInt64]) -> Callable[[str, UInt64, UInt64], NDArray[np.bool_]]:
            self._clips_before = self._clips_before or clips_before
            return self._holds

        return find_rejected(self._read_rejects, holds_after)

    def rejects_in_force(self) -> Iterator[pa.Table]:
        """The rejects in force, read again and yielded some at a time (columns stage, video_id, clip_id, reason)."""
        return self.rejected.in_force(self._read_rejects)

    def _read_rejects(self, columns: list[str]) -> Iterator[pa.Table]:
        return self._tables.read_runs("rejects", columns)

    def in_force(self) -> pa.Table:
        """The latest reject of each video and clip, if nothing has made it void, with the columns of `rejects`."""
        self._clips_before = self._clips_before or self._named_before
        stages = self.rejects.column("stage").to_numpy(zero_copy_only=False)
        video, clip = (hash_ids(self.rejects.column(name)) for name in ("video_id", "clip_id"))
        void = np.zeros(self.rejects.num_rows, dtype=np.bool_)
        for table in sorted({stage.void_by for stage in TABLE} - {""}):
            rows = np.flatnonzero(np.isin(stages, stages_void_by(table, set(stages))))
            if len(rows):
                void[rows] = self._holds(table, video[rows], clip[rows])
        rows = np.flatnonzero(~void)
        return self.rejects.take(pa.array(rows[_are_latest(self.rejects, rows)]))

    def _named_before(self, table: str) -> UInt64:
        stage = self.rejects.column("stage")
        of_stages = pc.is_in(stage, value_set=pa.array(stages_void_by(table, stage.unique().to_pylist()), pa.string()))
        named = self.rejects.filter(pc.and_(of_stages, pc.not_equal(self.rejects.column("clip_id"), "")))
        return distinct(hash_ids(named.column("clip_id")))

    def _holds(self, table: str, video: UInt64, clip: UInt64) -> NDArray[np.bool_]:
        """[N] whether each of these videos and clips has a row in a table that did not fail."""
        are_whole = clip == WHOLE
        passed = are_in(self.count(table).with_success, video) & are_whole
        if table in _OF_CLIPS and not are_whole.all():
            kept = self._update(table)
            named = clip[~are_whole]
            passed[~are_whole] = are_in(kept.clips[kept.passed], named)
        return np.asarray(passed)

    def _update(self, table: str) -> _Kept:
        if table not in self._kept:
            kept = self._begun(table)
            columns = ["video_id"] + ["clip_id"] * bool(len(kept.clips)) + ["status", "reason"] * (table == "packs")
            for rows in self._tables.read_runs(table, columns):
                self._take(kept, rows)
        return self._kept[table]

    def _begun(self, table: str) -> _Kept:
        clips = np.zeros(0, np.uint64)
        if table in _OF_CLIPS:
            if self._clips_before is None:
                _ = self.rejected
            assert self._clips_before is not None
            clips = self._clips_before(table)
        return self._kept.setdefault(table, _Kept(clips, np.zeros(len(clips), np.bool_)))

    def _take(self, kept: _Kept, rows: pa.Table) -> None:
        good = np.ones(rows.num_rows, np.bool_)
        if "status" in rows.column_names:
            good = is_success(rows.column("status")).to_numpy(zero_copy_only=False).astype(np.bool_)
            reasons = pc.value_counts(rows.column("reason").filter(pa.array(~good)))
            kept.failed.update({row["values"]: row["counts"] for row in reasons.to_pylist()})
        if "clip_id" in rows.column_names:
            _mark(kept, hash_ids(rows.column("clip_id").filter(pa.array(good))))
        encoded = pc.dictionary_encode(rows.column("video_id").combine_chunks())
        code, video = encoded.indices.to_numpy(), hash_ids(encoded.dictionary)
        n, n_failed = (np.bincount(codes, minlength=len(video)).astype(np.int32) for codes in (code, code[~good]))
        kept.add(Counted(video, n, n_failed))


def _mark(kept: _Kept, clips: UInt64) -> None:
    """Marks those of the kept clips that are among these. In order, since a look-up near the last costs least."""
    if not len(kept.clips):
        return
    wanted = np.sort(clips)
    at = np.minimum(np.searchsorted(kept.clips, wanted), len(kept.clips) - 1)
    kept.passed[at[kept.clips[at] == wanted]] = True


def _are_latest(rejects: pa.Table, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[N] whether each of these rows is the last reject of its video or clip: by time, then by the rank of the stage.

    Only those that have several are sorted.
    """
    hashes = hash_ids(rejects.column("video_id")) ^ splitmix64(hash_ids(rejects.column("clip_id")))
    _, inverse, times = np.unique(hashes[rows], return_inverse=True, return_counts=True)
    several = np.flatnonzero(times[inverse] > 1)
    are_latest = np.ones(len(rows), np.bool_)
    are_latest[several] = False
    are_latest[several[last_of_each(rejects.take(pa.array(rows[several])))]] = True
    return are_latest
