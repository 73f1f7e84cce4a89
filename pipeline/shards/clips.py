"""The videos and clips of a plan as flat columns, 6 bytes per clip: a hundred million fit in a driver.

Video i's clips are at starts[i] … starts[i+1]-1 of `n` and `bytes_`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.balance.clip_lists import runs_of

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


@dataclass(frozen=True, slots=True)
class PlanVideos:
    """Many `PlanVideo`s. `video_id`, `channel_id`, `group` [V] strings; `starts` [V+1]; `n`, `bytes_` [C]."""

    video_id: pa.Array
    channel_id: pa.Array
    group: pa.Array
    starts: Int64
    n: NDArray[Any]
    """Of type uint16, or int32 where a number needs it."""
    bytes_: NDArray[Any]
    """Of type int32, or int64 where a sample takes 2 GiB."""

    @classmethod
    def of(cls, videos: Iterable[PlanVideo]) -> PlanVideos:
        """Makes the columns from objects."""
        planned = list(videos)
        names = zip(*((video.video_id, video.channel_id, video.group) for video in planned), strict=True)
        ids, channels, groups = (pa.array(column, pa.string()) for column in (names if planned else ((), (), ())))
        clips = [clip for video in planned for clip in video.clips]
        starts = np.cumsum([0, *(len(video.clips) for video in planned)], dtype=np.int64)
        n, bytes_ = np.array([clip.n for clip in clips], np.int32), np.array([clip.bytes_ for clip in clips], np.int64)
        return cls(ids, channels, groups, starts, n, bytes_)

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
        counts = self.counts()[rows]
        starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
        at_rows = pa.array(rows)
        return PlanVideos(
            video_id=self.video_id.take(at_rows),
            channel_id=self.channel_id.take(at_rows),
            group=self.group.take(at_rows),
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
        fewer = PlanVideos(self.video_id, self.channel_id, self.group, starts, self.n[clips], self.bytes_[clips])
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
        names = zip(self.video_id.to_pylist(), self.channel_id.to_pylist(), self.group.to_pylist(), strict=True)
        edges = self.starts.tolist()
        return tuple(
            PlanVideo(video_id, channel_id, group, tuple(clips[edges[i] : edges[i + 1]]))
            for i, (video_id, channel_id, group) in enumerate(names)
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
        starts=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        n=np.concatenate([part.n for part in several]),
        bytes_=np.concatenate([part.bytes_ for part in several]),
    )
