"""The pictures of many clips and videos as flat columns: the distinct ones of each, some 50 bytes per picture.

Pictures that are near an earlier one of the same clip or video are left out when they come, for many clips at a time;
nearer ones are kept of those that show few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from pipeline.media.phash import N_HASHES, NOTHING, Hashes, show_something, unpack_all

AT_A_TIME = 1 << 14
"""Clips or videos whose pictures are compared at a time."""

APART = 10
"""Pictures whose hashes differ in at most this many bits show the same scene and count once."""

FEW = 5
"""Distinct pictures up to which a clip or video shows few; where it shows fewer, finer ones are kept with them."""
FINE = 6
"""The same as APART for these."""

_REGIONS_APART = 2
"""Regions that are apart if two pictures show different scenes: a logo or bars in both make one or another alike."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A clip or video and what it shows: its id, video and channel, and its distinct pictures' hashes (x N_HASHES)."""

    id: str
    video_id: str
    channel_id: str
    hashes: Hashes


@dataclass(frozen=True, slots=True)
class Shows(Sequence[Shown]):
    """Many `Shown`. `table` has columns id, video_id, channel_id [N]; i's pictures are at starts[i] … starts[i+1]-1."""

    table: pa.Table
    starts: NDArray[np.int64]
    hashes: Hashes

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, index: int) -> Shown:  # type: ignore[override]
        row = {name: self.table.column(name)[index].as_py() for name in ("id", "video_id", "channel_id")}
        return Shown(**row, hashes=self.hashes_of(index))

    def id_of(self, index: int) -> str:
        """The id of an entry: a video or a clip."""
        return str(self.table.column("id")[index].as_py())

    def hashes_of(self, index: int) -> Hashes:
        """The hashes of an entry's pictures."""
        return self.hashes[self.starts[index] : self.starts[index + 1]]

    def counts(self) -> NDArray[np.int64]:
        """[N] number of pictures of each."""
        return np.diff(self.starts)

    def take(self, indices: NDArray[np.int64]) -> Shows:
        """Those at these indices, in that order."""
        counts = self.counts()[indices]
        starts = np.concatenate(([0], np.cumsum(counts)))
        at = np.repeat(self.starts[indices] - starts[:-1], counts) + np.arange(starts[-1])
        return Shows(self.table.take(pa.array(indices)), starts, self.hashes[at])


_NAMES = pa.schema([("id", pa.string()), ("video_id", pa.string()), ("channel_id", pa.string()), ("n", pa.int64())])

ORDER = [("video_id", "ascending"), ("n", "ascending"), ("id", "ascending")]
"""By video, number of the clip and id: an order that does not depend on when they came."""


def no_shows() -> Shows:
    """Pictures of no clips and no videos."""
    return Shows(_NAMES.empty_table(), np.zeros(1, np.int64), np.zeros((0, N_HASHES), np.uint64))


def shown_by_clips(packs: pa.Table, max_distance: int) -> Shows:
    """The pictures of the successful clips in rows of `packs`."""
    rows = packs.filter(is_success(packs.column("status")))
    if not rows.num_rows:
        return no_shows()
    n = rows.column("n") if "n" in rows.column_names else pa.array(np.arange(rows.num_rows))
    table = pa.table(
        {"id": rows.column("clip_id"), **{c: rows.column(c) for c in ("video_id", "channel_id")}, "n": n}
    ).cast(_NAMES)
    hashes, counts = unpack_all(rows.column("phashes").to_pylist())
    shows = show_something(hashes)
    owner = np.repeat(np.arange(len(counts)), counts)[shows]
    return _distinct(table, np.bincount(owner, minlength=len(counts)), hashes[shows], max_distance)


def shown_by_videos(clips: Shows, max_distance: int) -> Shows:
    """The pictures of videos, of all their clips together; a video's clips are next to each other."""
    if not len(clips):
        return clips
    encoded = pc.run_end_encode(clips.table.column("video_id").combine_chunks())
    ends = encoded.run_ends.to_numpy()
    first = np.concatenate(([0], ends[:-1]))
    table = clips.table.take(pa.array(first))
    table = table.set_column(0, "id", table.column("video_id"))
    return _distinct(table, clips.starts[ends] - clips.starts[first], clips.hashes, max_distance)


def joined_shows(some: Sequence[Shows]) -> Shows:
    """Concatenates several."""
    counts = np.concatenate([np.zeros(0, np.int64), *(one.counts() for one in some)])
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    table = pa.concat_tables([_NAMES.empty_table(), *(one.table for one in some)])
    return Shows(table, starts, np.concatenate([no_shows().hashes, *(one.hashes for one in some)]))


def named_only(table: pa.Table) -> Shows:
    """Entries of a table, without their pictures."""
    return Shows(table, np.zeros(table.num_rows + 1, np.int64), no_shows().hashes)


def _distinct(table: pa.Table, counts: NDArray[np.int64], hashes: Hashes, max_distance: int) -> Shows:
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    kept = np.zeros(len(hashes), np.bool_)
    for begin in range(0, len(counts), AT_A_TIME):
        end = min(len(counts), begin + AT_A_TIME)
        a, b = int(starts[begin]), int(starts[end])
        kept[a:b] = kept_in(hashes[a:b], counts[begin:end], max_distance)
    before = np.concatenate(([0], np.cumsum(kept)))
    return Shows(table, before[starts], hashes[kept])


def kept_in(hashes: Hashes, counts: NDArray[np.int64], max_distance: int) -> NDArray[np.bool_]:
    """[P] whether a picture is kept, of pictures as in `distinct_in`: all that are distinct, and finer ones of few."""
    kept = distinct_in(hashes, counts, max(APART, max_distance))
    owners = np.repeat(np.arange(len(counts)), counts)
    show_few = np.bincount(owners[kept], minlength=len(counts)) < FEW
    of_few = show_few[owners]
    kept[of_few] |= distinct_in(hashes[of_few], counts[show_few], FINE)
    return kept


def distinct_in(hashes: Hashes, counts: NDArray[np.int64], max_distance: int) -> NDArray[np.bool_]:
    """[P] whether a picture (x N_HASHES) is distinct from each kept earlier picture of the same owner.

    Distinct means further than `max_distance` in _REGIONS_APART regions, or in all that show something. `counts`:
    number of pictures of each owner; an owner's pictures are next to each other.
    """
    kept = np.zeros(len(hashes), np.bool_)
    order = np.argsort(-counts, kind="stable")  # owners with most pictures first: those that have a t-th are a prefix
    starts, counts = (np.cumsum(counts) - counts)[order], counts[order]
    held = np.zeros((max(1, int(counts.max(initial=0))), len(counts), hashes.shape[1]), np.uint64)
    n_held = np.zeros(len(counts), np.int64)
    for t in range(int(counts.max(initial=0))):
        n = int(np.searchsorted(-counts, -t, side="left"))
        here = hashes[starts[:n] + t]
        is_near = np.zeros(n, np.bool_)
        for k in range(int(n_held[:n].max(initial=0))):
            is_near |= ~_are_apart(here, held[k, :n], max_distance) & (k < n_held[:n])
        new = np.flatnonzero(~is_near)
        kept[starts[new] + t] = True
        held[n_held[new], new] = here[new]
        n_held[new] += 1
    return kept


def _are_apart(some: Hashes, others: Hashes, max_distance: int) -> NDArray[np.bool_]:
    """[N] whether pictures [N, N_HASHES] show other scenes than `others`, pairwise."""
    show = (some != NOTHING) & (others != NOTHING)
    n_apart = (show & (np.bitwise_count(some ^ others) > max_distance)).sum(axis=1)
    return np.asarray(n_apart >= np.minimum(_REGIONS_APART, np.maximum(show.sum(axis=1), 1)))
