"""An index of which parts hold each video's rows: all the driver keeps of `videos` and `clips` to plan media units.

The words of clips are in `transcripts`: a unit of `clips` is named after the part of `transcripts` that it read.

Each part is read once in a run, and only what a plan needs is kept: 33 bytes per video in files, and in memory the
names of the parts. The rows themselves are read by the worker that processes the video.

In SQL over the streamed tables each batch would take what this takes once: with 45,000 videos 0.9 processor seconds and
310 MB for the parts of 5,000 of them, where this takes 0.6 seconds and 23 MB at first, and then 0.13 seconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.columns import in_a_file
from manifests.hashing import UInt64
from manifests.membership import hash_ids, spans_in
from manifests.reasons import Reason
from manifests.rows import ClipRow, HeardRow, VideoRow, WordRow
from manifests.schema import TABLES
from pipeline.engine.store.commits import part_name
from pipeline.engine.store.many_parts import read_many
from pipeline.engine.store.new_parts import NewParts
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.part_units import parts_processed
from pipeline.engine.work.unit import Rejected
from pipeline.media.borders import ClipWords


@dataclass(frozen=True, slots=True)
class VideoRows:
    """The parts that hold a video's rows. `length_s` 0: unknown. `is_file`: its media is on a disk or in a bucket."""

    video: Part
    clips: tuple[Part, ...]
    transcripts: tuple[Part | None, ...]
    """For each part of `clips`, the part of `transcripts` with the words of its clips."""
    length_s: float
    is_file: bool


@dataclass(slots=True)
class _TableIndex:
    """One table: for each video in each part, the hash of its id and the part's number; of `videos` also facts that a
    plan needs. `units`: the names of the parts, `stages`: the number of each one's stage.
    """

    table: str
    columns: tuple[str, ...]
    units: list[pa.Array] = field(default_factory=lambda: [pa.array([], pa.string())])
    stages: NDArray[np.int8] = field(default_factory=lambda: np.zeros(0, np.int8))
    hashes: UInt64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    part: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    facts: list[NDArray[Any]] = field(default_factory=list)
    """Length in seconds, and whether its media is a file."""
    _stage_names: list[str] = field(default_factory=list)
    _new_parts: NewParts | None = None

    def update(self, store: Store) -> None:
        """Adds the parts that were committed since the last update."""
        self._new_parts = self._new_parts or NewParts(store, self.table)
        new = self._new_parts.new()
        if not new:
            return
        schema = pa.schema([TABLES[self.table].field(name) for name in self.columns])
        columns: list[list[NDArray[Any]]] = [[self.hashes, self.part, *self.facts]] if len(self.hashes) else []
        for owners, rows in read_many(store, new, schema):
            columns.append(self._columns(rows, (owners + len(self.stages)).astype(np.int32)))
        self._stage_names += sorted({part.stage for part in new}.difference(self._stage_names))
        stages = np.array([self._stage_names.index(part.stage) for part in new], np.int8)
        self.stages = np.append(self.stages, stages)
        self.units = [pa.concat_arrays([*self.units, pa.array([part.unit for part in new])])]
        joined = [np.concatenate(column) for column in zip(*columns, strict=True)]
        order = np.lexsort((joined[1], joined[0]))
        self.hashes, self.part, *self.facts = (in_a_file([column[order]], column.dtype) for column in joined)

    def _columns(self, rows: pa.Table, part: NDArray[np.int32]) -> list[NDArray[Any]]:
        """The columns of some parts, with a row per video of each; `part` [N]: the part's number of each row."""
        ids = rows.column("video_id").combine_chunks()
        begins = np.append(True, part[1:] != part[:-1])[: len(part)]
        begins[1:] |= pc.not_equal(ids.slice(1), ids.slice(0, max(0, len(ids) - 1))).to_numpy(zero_copy_only=False)
        first = np.flatnonzero(begins)
        hashes = hash_ids(ids.take(pa.array(first)))
        order = np.lexsort((hashes, part[first]))
        hashes, first = hashes[order], first[order]
        again = np.append(False, (hashes[1:] == hashes[:-1]) & (part[first[1:]] == part[first[:-1]]))[: len(first)]
        hashes, first = hashes[~again], first[~again]
        if "duration_s" not in self.columns:
            return [hashes, part[first]]
        named = pc.not_equal(rows.column("media_path"), "").to_numpy(zero_copy_only=False)
        length_s = rows.column("duration_s").to_numpy()[first].astype(np.float64)
        return [hashes, part[first], length_s, named.astype(np.bool_)[first]]

    def parts_with(self, store: Store, hashes: UInt64) -> list[list[tuple[int, Part]]]:
        """For each hash, its rows here, and the part of each where it lies now."""
        begin, end = spans_in(self.hashes, hashes)
        rows_of = [range(a, b) for a, b in zip(begin.tolist(), end.tolist(), strict=True)]
        numbers = np.unique(self.part[np.array([row for rows in rows_of for row in rows], np.int64)])
        units = self.units[0].take(pa.array(numbers)).to_pylist()
        parts = [
            Part(stage := self._stage_names[self.stages[number]], unit, f"{self.table}/{part_name(stage, unit)}")
            for number, unit in zip(numbers, units, strict=True)
        ]
        now = store.located(parts)
        part_of = {n: now.get((part.stage, part.unit), part) for n, part in zip(numbers, parts, strict=True)}
        return [[(row, part_of[self.part[row]]) for row in rows] for rows in rows_of]


class RowIndex:
    """See the module docstring. A copy that is sent to a worker is empty: workers plan nothing."""

    def __init__(self) -> None:
        self._videos = _TableIndex("videos", ("video_id", "duration_s", "media_path"))
        self._clips = _TableIndex("clips", ("video_id",))

    def __reduce__(self) -> tuple[Any, ...]:
        return RowIndex, ()

    def find_rows(self, store: Store, video_ids: Sequence[str]) -> Iterator[VideoRows | None]:
        """Yields the parts of each video; None if it has no row or no clips. First reads what is new in the store."""
        hashes = hash_ids(pa.array(video_ids, pa.string()))
        with store.one_look():
            for table in (self._videos, self._clips):
                table.update(store)
            videos, clips = (table.parts_with(store, hashes) for table in (self._videos, self._clips))
            transcripts = parts_processed(store, "transcripts", {part.unit for parts in clips for _, part in parts})
        for of_video, of_clips in zip(videos, clips, strict=True):
            if not of_video or not of_clips:
                yield None
                continue
            first, video = of_video[0]
            yield VideoRows(
                video=video,
                clips=tuple(part for _, part in of_clips),
                transcripts=tuple(transcripts.get(part.unit) for _, part in of_clips),
                length_s=float(self._videos.facts[0][first]),
                is_file=bool(self._videos.facts[1][first]),
            )


def video_rows(store: Store, parts: Sequence[Part], video_id: str) -> list[VideoRow]:
    """The rows of a video in these parts of `videos`, in the order of the parts."""
    return [row for part in parts for row in _rows_of(store, part, video_id).to_pylist()]


def clip_rows(store: Store, parts: Sequence[Part], video_id: str) -> list[ClipRow]:
    """The rows of a video's clips in these parts of `clips`, in the order of the parts."""
    return [row for part in parts for row in _rows_of(store, part, video_id).to_pylist()]


def heard_rows(store: Store, part: Part, video_id: str) -> list[HeardRow]:
    """The row of a video in this part of `heard`, if it has one there."""
    rows: list[HeardRow] = _rows_of(store, part, video_id).to_pylist()
    return rows


def words_of_clips(store: Store, part: Part | None, clips: Sequence[ClipRow]) -> dict[int, ClipWords]:
    """The words of a video's clips by number, from this part of `transcripts`: of those that have any.

    Raises Rejected if the transcript is no longer there.
    """
    with_words = [clip for clip in clips if clip["n_words"]]
    if not with_words:
        return {}
    rows = _rows_of(store, part, clips[0]["video_id"], ["video_id", "words"]).to_pylist() if part else []
    if not rows:
        raise Rejected(Reason.NO_CLIPS, "its transcript is gone from the tables")
    words: list[WordRow] = rows[0]["words"]
    return {clip["n"]: ClipWords(words, clip["first_word"], clip["n_words"]) for clip in with_words}


def _rows_of(store: Store, part: Part, video_id: str, columns: list[str] | None = None) -> pa.Table:
    table = store.read_part(part, columns)
    return table.filter(pc.equal(table.column("video_id"), video_id))
