"""Of the clips that exist, those in closed shards, as a driver keeps them: 12 bytes for each video.

What a generation has of a video are nearly always the clips that follow those of earlier generations: then their number
says all. Of other videos, as where media was made again since, each clip is kept.
"""

from itertools import compress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.membership import Ids
from pipeline.balance.clip_lists import ClipLists, empty_clip_lists, merged_lists, runs_of, taken

Rows = NDArray[np.int64]


class KeptClips:
    """See the module. Rows are those of the clips that exist, to which more may be added at the end."""

    def __init__(self) -> None:
        self._count: NDArray[np.int32] = np.zeros(0, np.int32)  # of each row, all generations together
        self._generations: list[tuple[int, NDArray[np.int32], NDArray[np.int32]]] = []  # rows, and how many of each
        self._odd: list[tuple[int, ClipLists]] = []

    def add(self, generation: int, samples: ClipLists, made: ClipLists, index: Ids) -> None:
        """Adds what a generation's shards hold. `index`: of the ids of the clips that exist, `made`."""
        self._count = np.append(self._count, np.zeros(len(made.video_id) - len(self._count), np.int32))
        row, counts = index.rows(samples.video_id), samples.counts()
        fits = (row >= 0) & ~pc.is_in(samples.video_id, value_set=self._odd_ids()).to_numpy(zero_copy_only=False)
        begin = np.append(self._count, 0)[row].astype(np.int64)
        fits &= begin + counts <= np.append(made.counts(), 0)[row]
        fits[fits] = _are_same(taken(samples, np.flatnonzero(fits)), made, row[fits], begin[fits])
        rows, of_each = row[fits].astype(np.int32), counts[fits].astype(np.int32)
        self._count[rows] += of_each
        self._generations.append((generation, rows, of_each))
        if not fits.all():
            self._set_apart(np.unique(row[~fits & (row >= 0)]), made)
            self._odd.append((generation, taken(samples, np.flatnonzero(~fits))))

    def of(self, n_videos: int, n_closed: int | None = None) -> tuple[Rows, ClipLists]:
        """[n_videos] how many of the first clips of each row are in the first `n_closed` generations (None: in all);
        and the clips there of all other videos.
        """
        is_asked = [n_closed is None or generation < n_closed for generation, _, _ in self._generations]
        n_kept = np.zeros(n_videos, np.int64)
        for _, rows, counts in compress(self._generations, is_asked):
            n_kept[rows] += counts
        odd = [lists for generation, lists in self._odd if n_closed is None or generation < n_closed]
        return n_kept, merged_lists(odd) if odd else empty_clip_lists()

    def _odd_ids(self) -> pa.Array:
        return pa.concat_arrays([pa.array([], pa.string()), *(lists.video_id for _, lists in self._odd)])

    def _set_apart(self, odd: Rows, made: ClipLists) -> None:
        """Keeps each clip of these ascending rows, instead of their number."""
        begin = np.zeros(len(odd), np.int64)
        for number, (generation, rows, counts) in enumerate(self._generations):
            which = np.flatnonzero(np.isin(rows, odd))
            if not len(which):
                continue
            of_odd, n = np.searchsorted(odd, rows[which]), counts[which].astype(np.int64)
            starts = made.starts[rows[which]] + begin[of_odd]
            clips = (runs_of(column, starts, n) for column in (made.n, made.ms))
            ids = made.video_id.take(pa.array(rows[which]))
            self._odd.append((generation, ClipLists(ids, np.append(0, np.cumsum(n)), *clips)))
            begin[of_odd] += n
            self._generations[number] = generation, np.delete(rows, which), np.delete(counts, which)
        self._count[odd] = 0


def _are_same(samples: ClipLists, made: ClipLists, row: Rows, begin: Rows) -> NDArray[np.bool_]:
    """[N] whether a video's samples are the clips that exist in its row, from the clip `begin` on."""
    counts = samples.counts()
    differs = samples.n != runs_of(made.n, made.starts[row] + begin, counts)
    return np.asarray(np.bincount(np.repeat(np.arange(len(row)), counts)[differs], minlength=len(row)) == 0)
