"""Finds the clips of the shards among the rows of a table: a byte a clip, and 28 bytes a video.

A video that has samples in shards has a place for each number up to its largest. Ids are told apart by 64-bit hashes
(of 3.3 million videos, two have the same with a chance of 3 in 10 million).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.hashing import UInt64
from manifests.membership import NOWHERE, hash_ids, rows_in

Ints = NDArray[np.int64]
MOST_PLACES = 2**30
"""The most places: numbers of clips that are no numbers of clips must not take all memory."""


@dataclass(frozen=True, slots=True)
class Numbered:
    """The clips of some rows. `videos` [R] hashes of their videos, a run of rows each; `counts` [R] clips of each run;
    `n` [C] number of each clip in its video, -1 where the id has none.
    """

    videos: UInt64
    counts: Ints
    n: NDArray[np.int32]

    @classmethod
    def of(cls, video_id: pa.ChunkedArray, clip_id: pa.ChunkedArray) -> Numbered:
        """Of two columns of the shards' rows."""
        ids, code = _encoded(video_id)
        starts = np.flatnonzero(np.diff(code, prepend=-1))
        parsed = pc.extract_regex(clip_id, pattern=r"\.(?P<n>\d{1,9})$")
        n = pc.fill_null(pc.struct_field(parsed, "n").cast(pa.int32()), NOWHERE).to_numpy()
        return cls(ids[code[starts]], np.diff(starts, append=len(code)), n)


@dataclass(frozen=True, slots=True)
class Places:
    """See the module. `videos` [V] ascending hashes; `n_clips` [V] samples of each; video i has the places starts[i] …
    starts[i+1]-1; `times` [P] how often a clip is in shards. `are_known`: whether all clips have a place.
    """

    videos: UInt64
    n_clips: Ints
    starts: Ints
    times: NDArray[np.uint8]
    are_known: bool

    @classmethod
    def of(cls, pieces: Sequence[Numbered]) -> Places:
        """The places of all these clips."""
        runs = np.concatenate([np.zeros(0, np.uint64), *(piece.videos for piece in pieces)])
        videos, row = np.unique(runs, return_inverse=True)
        counts = np.concatenate([np.zeros(0, np.int64), *(piece.counts for piece in pieces)])
        n_clips = np.bincount(row, weights=counts, minlength=len(videos)).astype(np.int64)
        largest = np.full(len(videos), NOWHERE, np.int64)
        np.maximum.at(largest, row, np.concatenate([np.zeros(0, np.int64), *map(_largest, pieces)]))
        starts = np.concatenate(([0], np.cumsum(largest + 1))).astype(np.int64)
        are_known = all((piece.n >= 0).all() for piece in pieces) and starts[-1] <= MOST_PLACES
        times = np.zeros(starts[-1] if are_known else 0, np.uint8)
        before = 0
        for piece in pieces if are_known else ():
            rows = row[before : before + len(piece.videos)]
            before += len(rows)
            np.add.at(times, np.repeat(starts[rows], piece.counts) + piece.n, np.uint8(1))
        return cls(videos, n_clips, starts, times, bool(are_known))

    def of_videos(self, rows: pa.Table) -> Ints:
        """[N] the video of each row (column video_id); NOWHERE if it has no sample in a shard."""
        ids, code = _encoded(rows.column("video_id"))
        return rows_in(self.videos, ids)[code]

    def of_clips(self, rows: pa.Table) -> Ints:
        """[N] the place of each row (columns video_id and n); NOWHERE for those that are in no shard."""
        video, n = self.of_videos(rows), rows.column("n").to_numpy().astype(np.int64)
        at = self.starts[video] + n
        known = np.flatnonzero((video != NOWHERE) & (n >= 0) & (at < self.starts[video + 1]))
        known = known[self.times[at[known]] > 0]
        places = np.full(len(at), NOWHERE, np.int64)
        places[known] = at[known]
        return places


def _largest(piece: Numbered) -> Ints:
    if not len(piece.n):
        return np.zeros(0, np.int64)
    starts = np.concatenate(([0], np.cumsum(piece.counts)[:-1]))
    return np.maximum.reduceat(piece.n, starts).astype(np.int64)


def _encoded(video_id: pa.ChunkedArray) -> tuple[UInt64, Ints]:
    """The hashes of the different ids, and for each row which of them it has."""
    encoded = pc.dictionary_encode(video_id.combine_chunks())
    return hash_ids(encoded.dictionary), encoded.indices.to_numpy().astype(np.int64)
