"""What the tables of an output directory hold, counted by video: each part is read once, and few bytes of it are kept.

The funnel, the rejects in force and the search for missing videos all need the same facts: which videos have rows in a
table, how many, and how many of them failed. They share one census; a long-lived census reads only what is new.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import IO, Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.hashing import splitmix64
from manifests.membership import Ids, hash_ids
from manifests.stages import TABLE, rank_of

_COUNTS = pa.schema([("video_id", pa.string()), ("n", pa.int64()), ("n_failed", pa.int64())])
_OF_REJECTS = ["stage", "video_id", "clip_id", "reason", "at"]
"""The columns of rejects that decide which is in force and that the funnel counts by."""
HASHES_AT_A_TIME = 4_000_000


class Rows(Protocol):
    """The table-reading methods that a census needs."""

    def read_table(self, table: str, columns: list[str] | None = None) -> pa.Table: ...

    def read_rejects(self, columns: list[str] | None = None) -> pa.Table: ...

    def parts(self, table: str) -> Any: ...

    def read_part(self, part: Any, columns: list[str] | None = None) -> pa.Table: ...

    def read_runs(self, table: str, columns: list[str]) -> Iterator[pa.Table]: ...


class Tables(Rows, Protocol):
    """What the functions here need of an output directory. The pipeline's Store has it."""

    def exists(self, relative: str) -> bool: ...

    def open(self, relative: str) -> IO[bytes]: ...


@dataclass(frozen=True, slots=True)
class Counted:
    """Counts of one table by video. Columns [V]: all rows, and rows that failed (table `packs` only)."""

    video_id: pa.Array
    n: NDArray[np.int64]
    n_failed: NDArray[np.int64]

    @property
    def with_success(self) -> pa.Array:
        """The videos with at least one row that did not fail."""
        return self.video_id.filter(pa.array(self.n > self.n_failed))


@dataclass(slots=True)
class _Kept:
    """What is kept from the parts of one table that were read."""

    read: set[tuple[str, str]] = field(default_factory=set)
    pieces: list[pa.Table] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    passed: NDArray[np.bool_] | None = None
    """For each clip that was rejected before this table: whether it has a row here that did not fail."""


class Census:
    """See the module docstring. `by_clip`: also finds which rejected clips passed their stage later; such a census is a
    snapshot. Without it, `count` may be called again and reads the parts that are new. `in_full`: reads all columns of
    the rejects, which takes half again as much memory.
    """

    def __init__(self, tables: Rows, *, by_clip: bool = True, in_full: bool = False) -> None:
        self._tables, self._by_clip, self._in_full = tables, by_clip, in_full
        self._kept: dict[str, _Kept] = {}
        self._in_force: pa.Table | None = None

    @cached_property
    def rejects(self) -> pa.Table:
        """All rejects ever made, with the columns that count; without `by_clip` only those of whole videos."""
        rejects = self._tables.read_rejects(None if self._in_full else _OF_REJECTS)
        return rejects if self._by_clip else rejects.filter(pc.equal(rejects.column("clip_id"), ""))

    def again(self) -> None:
        """Makes the next calls read what is new since."""
        if self._by_clip:
            self._kept.clear()
        self._in_force = None
        self.__dict__.pop("rejects", None)

    def count(self, table: str) -> Counted:
        """The counts of a table by video."""
        kept = self._update(table)
        if len(kept.pieces) > 1:
            whole = pa.concat_tables(kept.pieces)
            kept.pieces = [_summed(whole)]
        counts = kept.pieces[0] if kept.pieces else _COUNTS.empty_table()
        ids = pa.chunked_array(counts.column("video_id").chunks, pa.string()).combine_chunks()
        return Counted(ids, counts.column("n").to_numpy(), counts.column("n_failed").to_numpy())

    def n_distinct(self, table: str) -> int:
        """The number of videos with rows in a table, counted by 64-bit hashes, since a crawl lists many millions."""
        seen, waiting = np.zeros(0, np.uint64), [np.zeros(0, np.uint64)]
        for rows in self._tables.read_runs(table, ["video_id"]):
            waiting.append(hash_ids(rows.column("video_id")))
            if sum(map(len, waiting)) > HASHES_AT_A_TIME:
                seen, waiting = np.unique(np.concatenate([seen, *waiting])), []
        return len(np.unique(np.concatenate([seen, *waiting])))

    def read_new_parts(self, table: str) -> None:
        """Reads the new parts of a table now, so that they need not be kept until somebody counts."""
        self._update(table)

    def failed_by_reason(self) -> Counter[str]:
        """How many rows of `packs` failed, by reason."""
        return self._update("packs").failed

    def in_force(self) -> pa.Table:
        """The latest reject of each video and clip, if nothing has made it void, with the columns of `rejects`."""
        if self._in_force is None:
            self._in_force = self._find_in_force()
        return self._in_force

    def _find_in_force(self) -> pa.Table:
        stages = self.rejects.column("stage").to_numpy(zero_copy_only=False)
        void = np.zeros(self.rejects.num_rows, dtype=np.bool_)
        for table in sorted({stage.void_by for stage in TABLE} - {""}):
            rows = np.flatnonzero(np.isin(stages, _stages_void_by(table)))
            if len(rows):
                void[rows] = self._passed(table, rows)
        rows = np.flatnonzero(~void)
        return self.rejects.take(pa.array(rows[_are_latest(self.rejects, rows)]))

    def _passed(self, table: str, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """For each of these rejects, whether the video or clip has a row in a table that did not fail."""
        of_table = self.rejects.take(pa.array(rows))
        whole = pc.equal(of_table.column("clip_id"), "").to_numpy(zero_copy_only=False).astype(np.bool_)
        passed = Ids.of(self.count(table).with_success).holds(of_table.column("video_id")) & whole
        if table in ("clips", "packs") and not whole.all():
            clips = self._clips_before(table)
            marks = self._update(table).passed
            assert marks is not None
            clip_rows = clips.rows(of_table.column("clip_id").filter(pa.array(~whole)))
            passed[~whole] = marks[clip_rows]
        return np.asarray(passed)

    def _clips_before(self, table: str) -> Ids:
        """The clips rejected by the stages whose rejects become void through a row of this table."""
        of_stages = pc.is_in(self.rejects.column("stage"), value_set=pa.array(_stages_void_by(table)))
        named = self.rejects.filter(pc.and_(of_stages, pc.not_equal(self.rejects.column("clip_id"), "")))
        return Ids.of(pc.unique(named.column("clip_id")))

    def _update(self, table: str) -> _Kept:
        kept = self._kept.setdefault(table, _Kept())
        if self._by_clip and kept.passed is not None:
            return kept  # a snapshot
        asked = self._by_clip and table in ("clips", "packs")
        clips = self._clips_before(table) if asked else Ids.of(pa.array([], pa.string()))
        if self._by_clip:
            kept.passed = np.zeros(len(clips), dtype=np.bool_)
        columns = ["video_id"] + ["clip_id"] * bool(len(clips)) + ["status", "reason"] * (table == "packs")
        if self._by_clip:
            for rows in self._tables.read_runs(table, columns):
                self._take(kept, rows, clips)
            return kept
        for part in self._tables.parts(table):
            if (part.stage, part.unit) in kept.read:
                continue
            kept.read.add((part.stage, part.unit))
            self._take(kept, self._tables.read_part(part, columns), clips)
        return kept

    def _take(self, kept: _Kept, rows: pa.Table, clips: Ids) -> None:
        failed = np.zeros(rows.num_rows, dtype=np.int64)
        if "status" in rows.column_names:
            good = is_success(rows.column("status")).to_numpy(zero_copy_only=False).astype(np.bool_)
            failed = (~good).astype(np.int64)
            reasons = pc.value_counts(rows.column("reason").filter(pa.array(~good)))
            kept.failed.update({row["values"]: row["counts"] for row in reasons.to_pylist()})
            rows_that_count = rows.filter(pa.array(good))
        else:
            rows_that_count = rows
        if len(clips) and kept.passed is not None:
            clip_rows = clips.rows(rows_that_count.column("clip_id"))
            kept.passed[clip_rows[clip_rows >= 0]] = True
        ones = pa.array(np.ones(rows.num_rows, dtype=np.int64))
        counts = pa.table({"video_id": rows.column("video_id"), "n": ones, "n_failed": pa.array(failed)})
        kept.pieces.append(_summed(counts))


def _summed(counts: pa.Table) -> pa.Table:
    """The counts, added up to one row per video."""
    summed = counts.group_by("video_id").aggregate([("n", "sum"), ("n_failed", "sum")])
    columns = {"video_id": "video_id", "n_sum": "n", "n_failed_sum": "n_failed"}
    return summed.select(list(columns)).rename_columns(list(columns.values()))


def _stages_void_by(table: str) -> list[str]:
    return [stage.name for stage in TABLE if stage.void_by == table]


def _are_latest(rejects: pa.Table, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """[N] whether each of these rows is the last reject of its video or clip: by time, then by the rank of the stage.

    Only those that have several are sorted.
    """
    hashes = hash_ids(rejects.column("video_id")) ^ splitmix64(hash_ids(rejects.column("clip_id")))
    _, inverse, times = np.unique(hashes[rows], return_inverse=True, return_counts=True)
    several = np.flatnonzero(times[inverse] > 1)
    are_latest = np.ones(len(rows), np.bool_)
    are_latest[several] = False
    are_latest[several[_last_of_each(rejects.select(_OF_REJECTS).take(pa.array(rows[several])))]] = True
    return are_latest


def _last_of_each(rejects: pa.Table) -> NDArray[np.int64]:
    """The rows that hold the last reject of each video and clip."""
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
