"""An index of which parts hold each video's rows: all the driver keeps of `videos` and `clips` to plan media units.

Each part is read once in a run, and only what a plan needs is kept: some 33 bytes per video. The rows themselves are
read by the worker that processes the video.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.hashing import UInt64
from manifests.membership import hash_ids, spans_in
from manifests.rows import ClipRow, VideoRow
from pipeline.engine.parts import Part
from pipeline.engine.store import Store


@dataclass(frozen=True, slots=True)
class VideoRows:
    """The parts that hold a video's rows. `length_s` 0: unknown. `is_file`: its media is on a disk or in a bucket."""

    video: Part
    clips: tuple[Part, ...]
    length_s: float
    is_file: bool


@dataclass(slots=True)
class _TableIndex:
    """One table: for each video in each part, the hash of its id, the part's number, and facts that a plan needs."""

    table: str
    columns: tuple[str, ...]
    parts: list[Part] = field(default_factory=list)
    hashes: UInt64 = field(default_factory=lambda: np.zeros(0, np.uint64))
    part: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    length_s: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0, np.float64))
    is_file: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    _names: set[tuple[str, str]] = field(default_factory=set)

    def update(self, store: Store) -> None:
        """Adds the parts that were committed since the last update."""
        current = {(part.stage, part.unit): part for part in store.parts(self.table)}
        self.parts = [current.get((part.stage, part.unit), part) for part in self.parts]  # a part may have moved
        new = [part for name, part in current.items() if name not in self._names]
        if not new:
            return
        columns: list[tuple[NDArray[Any], ...]] = [(self.hashes, self.part, self.length_s, self.is_file)]
        for part in new:
            columns.append(self._columns(store.read_part(part, list(self.columns)), len(self.parts)))
            self.parts.append(part)
            self._names.add((part.stage, part.unit))
        joined = [np.concatenate(column) for column in zip(*columns, strict=True)]
        order = np.lexsort((joined[1], joined[0]))
        self.hashes, self.part, self.length_s, self.is_file = (column[order] for column in joined)

    def _columns(self, rows: pa.Table, number: int) -> tuple[NDArray[Any], ...]:
        """The columns of a part, with one row per video in it."""
        hashes, first = np.unique(hash_ids(rows.column("video_id")), return_index=True)
        length_s, is_file = np.zeros(len(hashes), np.float64), np.zeros(len(hashes), np.bool_)
        if "duration_s" in self.columns:
            length_s = rows.column("duration_s").to_numpy()[first].astype(np.float64)
            named = pc.not_equal(rows.column("media_path"), "")
            is_file = named.to_numpy(zero_copy_only=False).astype(np.bool_)[first]
        return hashes, np.full(len(hashes), number, np.int32), length_s, is_file

    def rows(self, hashes: UInt64) -> Iterator[range]:
        """For each hash, the range of rows that have it."""
        begin, end = spans_in(self.hashes, hashes)
        return (range(a, b) for a, b in zip(begin.tolist(), end.tolist(), strict=True))


class RowIndex:
    """See the module docstring. A copy that is sent to a worker is empty: workers plan nothing."""

    def __init__(self) -> None:
        self._videos = _TableIndex("videos", ("video_id", "duration_s", "media_path"))
        self._clips = _TableIndex("clips", ("video_id",))

    def __reduce__(self) -> tuple[Any, ...]:
        return RowIndex, ()

    def find(self, store: Store, video_ids: Sequence[str]) -> Iterator[VideoRows | None]:
        """Yields the parts of each video; None if it has no row or no clips. First reads what is new in the store."""
        for table in (self._videos, self._clips):
            table.update(store)
        hashes = hash_ids(pa.array(video_ids, pa.string()))
        for of_video, of_clips in zip(self._videos.rows(hashes), self._clips.rows(hashes), strict=True):
            if not of_video or not of_clips:
                yield None
                continue
            first, videos, clips = of_video[0], self._videos, self._clips
            yield VideoRows(
                video=videos.parts[videos.part[first]],
                clips=tuple(clips.parts[clips.part[row]] for row in of_clips),
                length_s=float(videos.length_s[first]),
                is_file=bool(videos.is_file[first]),
            )


def video_rows(store: Store, parts: Sequence[Part], video_id: str) -> list[VideoRow]:
    """The rows of one video in these parts of `videos`, in the order of the parts."""
    return [row for part in parts for row in _rows_of(store, part, video_id).to_pylist()]


def clip_rows(store: Store, parts: Sequence[Part], video_id: str) -> list[ClipRow]:
    """The rows of one video's clips in these parts of `clips`, in the order of the parts."""
    return [row for part in parts for row in _rows_of(store, part, video_id).to_pylist()]


def _rows_of(store: Store, part: Part, video_id: str) -> pa.Table:
    table = store.read_part(part)
    return table.filter(pc.equal(table.column("video_id"), video_id))
