"""The videos and clips of a plan as flat columns. What is kept from plan to plan lies in files.

Video i's clips are at starts[i] … starts[i+1]-1 of `n` and `bytes_`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.categories import UNCATEGORISED_ID
from manifests.columns import Column, table_in_a_file, whole
from manifests.membership import hash_ids, rows_in
from pipeline.balance.clip_lists import pieces_of_runs, runs_of

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PlanClip:
    """A clip to be put into a shard: its number in its video and the bytes of its sample; 0 bytes if it failed."""

    n: int
    bytes_: int

    @property
    def is_sample(self) -> bool:
        """Whether the clip was made (otherwise only its row goes into the shard)."""
        return self.bytes_ > 0


@dataclass(frozen=True, slots=True)
class PlanVideo:
    """A video with clips to be put into shards. `group` is shared by duplicates (its own id if it has none)."""

    video_id: str
    channel_id: str
    group: str
    clips: tuple[PlanClip, ...] = ()
    category_id: int = UNCATEGORISED_ID


@dataclass(frozen=True, slots=True)
class PlanVideos:
    """Many `PlanVideo`s. `video_id`, `channel_id`, `group`, `category_id` [V]; `starts` [V+1]; `n`, `bytes_` [C]."""

    video_id: pa.Array
    channel_id: pa.Array
    group: pa.Array
    category_id: NDArray[np.int32]
    starts: Int64
    n: NDArray[Any]
    bytes_: NDArray[Any]

    @classmethod
    def of(cls, videos: Iterable[PlanVideo]) -> PlanVideos:
        """Makes the columns from objects."""
        planned = list(videos)
        names = zip(*((video.video_id, video.channel_id, video.group) for video in planned), strict=True)
        ids, channels, groups = (pa.array(column, pa.string()) for column in (names if planned else ((), (), ())))
        clips = [clip for video in planned for clip in video.clips]
        starts = np.cumsum([0, *(len(video.clips) for video in planned)], dtype=np.int64)
        n, bytes_ = np.array([clip.n for clip in clips], np.int32), np.array([clip.bytes_ for clip in clips], np.int64)
        categories = np.array([video.category_id for video in planned], np.int32)
        return cls(ids, channels, groups, categories, starts, n, bytes_)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def counts(self) -> Int64:
        """[V] number of clips of each."""
        return np.diff(self.starts)

    def sums(self, of_clips: NDArray[np.bool_] | Int64) -> Int64:
        """[V] the sum of a column of the clips [C] by video."""
        before = np.concatenate(([0], np.cumsum(of_clips, dtype=np.int64)))
        return np.asarray(before[self.starts[1:]] - before[self.starts[:-1]])

    def is_sample(self) -> NDArray[np.bool_]:
        """[C] whether a clip was made."""
        return self.bytes_ > 0

    def n_samples(self) -> Int64:
        """[V] number of samples of each."""
        return self.sums(self.is_sample())

    def owners(self) -> NDArray[np.int64]:
        """[C] the video of each clip."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.counts())

    def take(self, rows: Int64) -> PlanVideos:
        """The videos in these rows, in that order."""
        counts = self.starts[rows + 1] - self.starts[rows]
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        at_rows = pa.array(rows)
        return PlanVideos(
            video_id=self.video_id.take(at_rows),
            channel_id=self.channel_id.take(at_rows),
            group=self.group.take(at_rows),
            category_id=self.category_id[rows],
            starts=starts,
            n=runs_of(self.n, self.starts[rows], counts),
            bytes_=runs_of(self.bytes_, self.starts[rows], counts),
        )

    def in_parts(self, n_clips: int) -> Iterator[PlanVideos]:
        """Yields all videos in order, those of about `n_clips` clips at a time."""
        edges = [*np.flatnonzero(np.diff(self.starts[:-1] // n_clips, prepend=-1)).tolist(), len(self)]
        for first, end in pairwise(edges):
            yield self.take(np.arange(first, end))

    def only(self, clips: NDArray[np.bool_]) -> PlanVideos:
        """Only these clips [C]; videos without one are left out."""
        starts = self.starts - np.searchsorted(np.flatnonzero(~clips), self.starts)
        fewer = replace(self, starts=starts, n=self.n[clips], bytes_=self.bytes_[clips])
        return fewer.take(np.flatnonzero(fewer.counts()))

    def between(self, first: int, end: int) -> PlanVideos:
        """The clips from index `first` to `end` (exclusive), with their videos: all that is sent to a worker."""
        a = int(np.searchsorted(self.starts, first, side="right")) - 1
        b = int(np.searchsorted(self.starts, end, side="left"))
        part = self.take(np.arange(a, b))
        clips = np.zeros(len(part.n), np.bool_)
        clips[first - int(self.starts[a]) : end - int(self.starts[a])] = True
        return part.only(clips)

    def rows(self) -> tuple[PlanVideo, ...]:
        """The videos as objects."""
        clips = [PlanClip(n, size) for n, size in zip(self.n.tolist(), self.bytes_.tolist(), strict=True)]
        names = (column.to_pylist() for column in (self.video_id, self.channel_id, self.group))
        edges = self.starts.tolist()
        return tuple(
            PlanVideo(video_id, channel_id, group, tuple(clips[edges[i] : edges[i + 1]]), category_id)
            for i, (video_id, channel_id, group, category_id) in enumerate(
                zip(*names, self.category_id.tolist(), strict=True)
            )
        )


def joined_videos(parts: Sequence[PlanVideos]) -> PlanVideos:
    """Concatenates several."""
    if len(parts) == 1:
        return parts[0]
    several = parts or [PlanVideos.of(())]
    counts = np.concatenate([part.counts() for part in several])
    return PlanVideos(
        video_id=pa.concat_arrays([part.video_id for part in several]),
        channel_id=pa.concat_arrays([part.channel_id for part in several]),
        group=pa.concat_arrays([part.group for part in several]),
        category_id=np.concatenate([part.category_id for part in several]),
        starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        n=np.concatenate([part.n for part in several]),
        bytes_=np.concatenate([part.bytes_ for part in several]),
    )


_NAMES = pa.schema([("video_id", pa.string()), ("channel_id", pa.string()), ("category_id", pa.int32())])


class OpenVideos:
    """Videos whose clips wait for a shard: in memory are 24 bytes of each, in files its names and clips."""

    def __init__(self) -> None:
        self._names = [_NAMES.empty_table()]
        self._counts = [np.zeros(0, np.int32)]  # 0: nothing is open any more
        self._first = np.zeros(0, np.int64)
        self._clips = Column(np.int32), Column(np.uint32)
        self._n_clips = 0
        self._index: tuple[Any, Any] | None = None

    def add(self, videos: PlanVideos) -> None:
        """Adds videos that are not there."""
        names = [videos.video_id, videos.channel_id, pa.array(videos.category_id)]
        self._names.append(pa.table(names, schema=_NAMES))
        self._counts.append(videos.counts().astype(np.int32))
        self._add_clips(videos)

    def _add_clips(self, videos: PlanVideos) -> int:
        """Adds their clips; returns the index of the first."""
        first, (n, sizes) = self._n_clips, self._clips
        n.add(videos.n)
        sizes.add(np.minimum(videos.bytes_, np.iinfo(np.uint32).max))
        self._n_clips += len(videos.n)
        return first

    def replace(self, video_ids: pa.Array, left_of: Callable[[PlanVideos], PlanVideos]) -> None:
        """Keeps of these videos, if they are there, only the clips that `left_of` leaves of those that are open."""
        self._settle()
        self._index = self._index or _index_of(self._names[0].column("video_id"))
        hashes, rows = self._index
        found = rows_in(hashes, hash_ids(video_ids))
        touched = rows[found[found >= 0]]
        touched = touched[self._counts[0][touched] > 0]
        if not len(touched):
            return
        left = left_of(self._some(touched))
        self._counts[0][touched] = 0
        if len(left):
            those = rows[rows_in(hashes, hash_ids(left.video_id))]
            self._first[those] = self._add_clips(left) + left.starts[:-1]
            self._counts[0][those] = left.counts()

    def all(self) -> PlanVideos:
        """All videos with an open clip; groups are not known yet."""
        self._settle()
        if len(self._first) and int(self._counts[0].sum()) < self._n_clips:
            self._write_again(np.flatnonzero(self._counts[0]))
        n, sizes = self._clips
        return self._with_clips(self._names[0], np.append(self._first, self._n_clips), n.all(), sizes.all())

    def _settle(self) -> None:
        if len(self._counts) == 1:
            return
        n_clips = sum(int(counts.sum()) for counts in self._counts[1:])
        new = np.concatenate(self._counts[1:])
        first = self._n_clips - n_clips + np.cumsum(new) - new
        self._first = np.append(self._first, first)
        self._counts, self._index = [np.concatenate(self._counts)], None
        self._names = [table_in_a_file(pa.concat_tables(self._names).combine_chunks())]

    def _some(self, rows: Int64) -> PlanVideos:
        first, counts = self._first[rows], self._counts[0][rows]
        n, sizes = (runs_of(column.all(), first, counts) for column in self._clips)
        starts = np.append(0, np.cumsum(counts, dtype=np.int64))
        return self._with_clips(self._names[0].take(pa.array(rows)), starts, n, sizes)

    def _write_again(self, rows: Int64) -> None:
        """Leaves out the clips that are not open any more, and their videos."""
        clips = Column(np.int32), Column(np.uint32)
        names, counts = self._names[0].take(pa.array(rows)), self._counts[0][rows]
        for old, new in zip(self._clips, clips, strict=True):
            for piece in pieces_of_runs(old.all(), self._first[rows], counts):
                new.add(piece)
        ends = np.cumsum(counts, dtype=np.int64)
        self._names = [table_in_a_file(names.combine_chunks())]
        self._clips, self._counts, self._index = clips, [counts], None
        self._first, self._n_clips = ends - counts, int(counts.sum())

    @staticmethod
    def _with_clips(names: pa.Table, starts: Int64, n: NDArray[Any], sizes: NDArray[Any]) -> PlanVideos:
        ids, channel_id, category_id = (whole(column) for column in names.columns)
        return PlanVideos(ids, channel_id, ids, category_id.to_numpy(), starts, n, sizes)


def _index_of(video_ids: pa.ChunkedArray) -> tuple[Any, Any]:
    """(their hashes, ascending; the row of each)."""
    hashes = hash_ids(video_ids)
    order = np.argsort(hashes).astype(np.int32)
    return hashes[order], order
