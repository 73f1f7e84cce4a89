"""The clips of many videos as flat columns: a hundred million are counted without loops. What is kept from plan to plan
lies in files.

Video i's clips are at starts[i] … starts[i+1]-1 of `n` and `ms`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.columns import Column, in_a_file, table_in_a_file, whole

Number = TypeVar("Number", bound=np.integer[Any])
Numbers = NDArray[np.integer[Any]]

CLIPS_AT_A_TIME = 1 << 19
"""Clips processed at a time: bounds the index arrays (12 MiB)."""


@dataclass(frozen=True, slots=True)
class ClipLists:
    """Clips by video, ascending by n. `video_id` [V] string; `starts` [V+1] int64; `n`, `ms` [C] integers."""

    video_id: pa.Array
    starts: NDArray[np.int64]
    n: Numbers
    ms: Numbers

    def counts(self) -> NDArray[np.int64]:
        """[V] number of clips of each video."""
        return np.diff(self.starts)

    def total_ms(self) -> NDArray[np.int64]:
        """[V] summed duration of each video's clips, ms."""
        return self.ms_of_first(self.counts())

    def ms_of_first(self, n: NDArray[np.int64]) -> NDArray[np.int64]:
        """[V] summed duration of the first `n` clips of each video [V], ms."""
        sums = np.empty(len(self.video_id), dtype=np.int64)
        row = 0
        while row < len(sums):
            first = self.starts[row]
            upto = max(row + 1, int(np.searchsorted(self.starts, first + CLIPS_AT_A_TIME, side="right")) - 1)
            before = np.zeros(self.starts[upto] - first + 1, np.int64)
            np.cumsum(self.ms[first : self.starts[upto]], out=before[1:])
            begins = self.starts[row:upto] - first
            sums[row:upto] = before[begins + n[row:upto]] - before[begins]
            row = upto
        return sums

    def without(self, dropped: NDArray[np.int64]) -> "ClipLists":
        """The lists without the clips at these indices, ascending. Videos stay, even without any clip left."""
        if not len(dropped):
            return self
        edges = [*range(0, len(self.n), CLIPS_AT_A_TIME), len(self.n)]
        spans = [slice(a, b) for a, b in pairwise(edges)]
        gone = [dropped[slice(*np.searchsorted(dropped, (span.start, span.stop)))] - span.start for span in spans]

        def left(column: Numbers) -> Numbers:
            pieces = (np.delete(column[span], its) for span, its in zip(spans, gone, strict=True))
            return in_a_file(pieces, column.dtype)

        return ClipLists(
            self.video_id, self.starts - np.searchsorted(dropped, self.starts), left(self.n), left(self.ms)
        )

    def indices(self, clip_ids: Iterable[str]) -> dict[str, tuple[int, int]]:
        """{clip_id: (video's row, index in the flat columns)} for the ids `<video_id>.<n>` that are here."""
        wanted: dict[str, list[int]] = {}
        for clip_id in clip_ids:
            video, _, number = clip_id.rpartition(".")
            wanted.setdefault(video, []).append(int(number))
        places = {}
        for row in rows_of(self.video_id, list(wanted)).tolist():
            video = self.video_id[row].as_py()
            first, last = int(self.starts[row]), int(self.starts[row + 1])
            for n in wanted[video]:
                for at in np.flatnonzero(self.n[first:last] == n).tolist():
                    places[f"{video}.{n}"] = (row, first + at)
        return places


class GrowingLists:
    """Lists to which more are added; no video may be in two of them. All of it lies in files."""

    def __init__(self) -> None:
        self._ids = [pa.table({"video_id": pa.array([], pa.string())})]
        self._starts, self._n, self._ms = Column(np.int64), Column(np.int32), Column(np.int32)
        self._starts.add(np.zeros(1, np.int64))
        self._n_clips = 0

    def add(self, lists: ClipLists) -> None:
        """Adds lists."""
        if not len(lists.video_id):
            return
        self._ids.append(pa.table({"video_id": lists.video_id}))
        self._starts.add(self._n_clips + lists.starts[1:])
        self._n_clips += len(lists.n)
        self._n.add(lists.n)
        self._ms.add(lists.ms)

    def all(self) -> ClipLists:
        """All that were added, in order."""
        if len(self._ids) > 1:
            self._ids = [table_in_a_file(pa.concat_tables(self._ids).combine_chunks())]
        ids = whole(self._ids[0].column("video_id"))
        return ClipLists(ids, self._starts.all(), self._n.all(), self._ms.all())


def empty_clip_lists() -> ClipLists:
    """Lists of no videos."""
    none = np.zeros(0, dtype=np.int32)
    return ClipLists(pa.array([], pa.string()), np.zeros(1, dtype=np.int64), none, none)


def clip_lists(tables: Iterable[pa.Table]) -> ClipLists:
    """Makes lists of the clips in tables with columns video_id, n, duration_ms. Each video is in a single table."""
    lists = [_lists_of_one(table) for table in tables if table.num_rows]
    return joined_lists(lists) if lists else empty_clip_lists()


def joined_lists(to_join: Sequence[ClipLists]) -> ClipLists:
    """Joins lists; no video may be in two of them."""
    sizes = [len(lists.n) for lists in to_join]
    shifts = np.cumsum([0, *sizes[:-1]])
    starts = [lists.starts[1:] + shift for lists, shift in zip(to_join, shifts.tolist(), strict=True)]
    return ClipLists(
        pa.concat_arrays([lists.video_id for lists in to_join]),
        np.concatenate([np.zeros(1, np.int64), *starts]),
        np.concatenate([lists.n for lists in to_join]),
        np.concatenate([lists.ms for lists in to_join]),
    )


def merged_lists(to_merge: Sequence[ClipLists]) -> ClipLists:
    """Merges lists; a video may be in several."""
    whole = joined_lists(to_merge)
    encoded = pc.dictionary_encode(whole.video_id)
    if len(encoded.dictionary) == len(whole.video_id):
        return whole
    code = encoded.indices.to_numpy(zero_copy_only=False)
    is_alone = np.bincount(code)[code] == 1
    alone, several = taken(whole, np.flatnonzero(is_alone)), taken(whole, np.flatnonzero(~is_alone))
    ids = several.video_id.take(pa.array(np.repeat(np.arange(len(several.video_id)), several.counts())))
    return joined_lists([alone, _lists_of_one(pa.table({"video_id": ids, "n": several.n, "duration_ms": several.ms}))])


def taken(lists: ClipLists, rows: NDArray[np.int64]) -> ClipLists:
    """The lists of the videos in these rows."""
    counts = lists.counts()[rows]
    starts = np.concatenate(([0], np.cumsum(counts)))
    n, ms = (runs_of(column, lists.starts[rows], counts) for column in (lists.n, lists.ms))
    return ClipLists(lists.video_id.take(pa.array(rows)), starts, n, ms)


def _lists_of_one(table: pa.Table) -> ClipLists:
    videos = table.column("video_id").combine_chunks()
    if not isinstance(videos, pa.DictionaryArray):
        videos = pc.dictionary_encode(videos)
    code = videos.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    n = table.column("n").to_numpy().astype(np.int32)
    ms = table.column("duration_ms").to_numpy().astype(np.int32)
    step = np.diff(code)
    if ((step < 0) | ((step == 0) & (np.diff(n) < 0))).any():
        order = np.lexsort((n, code))
        code, n, ms = code[order], n[order], ms[order]
    first = np.flatnonzero(np.diff(code, prepend=-1))
    names = videos.dictionary.cast(pa.string()).take(pa.array(code[first]))
    return ClipLists(names, np.append(first, len(code)), smallest(n), smallest(ms))


def smallest(numbers: NDArray[np.int32]) -> Numbers:
    """The same numbers, of 0 or more, in 2 bytes each if they fit."""
    return numbers.astype(np.uint16) if numbers.max(initial=0) <= np.iinfo(np.uint16).max else numbers


def runs_of(values: NDArray[Number], starts: NDArray[np.int64], counts: NDArray[Any]) -> NDArray[Number]:
    """values[starts[i] : starts[i]+counts[i]] of every i, concatenated."""
    out, done = np.empty(int(counts.sum()), dtype=values.dtype), 0
    for piece in pieces_of_runs(values, starts, counts):
        out[done : done + len(piece)] = piece
        done += len(piece)
    return out


def pieces_of_runs(
    values: NDArray[Number], starts: NDArray[np.int64], counts: NDArray[Any]
) -> Iterator[NDArray[Number]]:
    """The same, some at a time."""
    ends = np.cumsum(counts, dtype=np.int64)
    row = 0
    while row < len(counts):
        done = int(ends[row - 1]) if row else 0
        upto = max(row + 1, int(np.searchsorted(ends, done + CLIPS_AT_A_TIME, side="right")))
        block = counts[row:upto]
        shift = np.repeat(starts[row:upto] - (ends[row:upto] - block), block)
        yield values[shift + np.arange(done, int(ends[upto - 1]))]
        row = upto


def rows_of(haystack: pa.Array, needles: list[str]) -> NDArray[np.int64]:
    """Rows of a string column whose value is among the needles, ascending."""
    if not needles:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(pc.is_in(haystack, value_set=pa.array(needles, pa.string())).to_numpy(zero_copy_only=False))
