"""Collects what the plan of shards is made from: clips in packs, clips in closed shards, the selection.

A driver keeps one `ShardBooks` for all its plans, so that each reads only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.errors import UserError
from manifests.funnel import SELECTION_NAME, selection_runs
from manifests.membership import Ids, are_in, hash_ids
from manifests.reasons import Reason
from manifests.schema import SELECTION
from pipeline.balance.clip_lists import runs_of
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.clips import OpenVideos, PlanVideos, joined_videos
from pipeline.shards.closed import ClosedShards, Held, among, codes_of, not_held
from pipeline.shards.places import Places
from pipeline.shards.splits import Placed

CLIPS_AT_A_TIME = 1 << 20
"""Clips that are looked up in the selection together: each look-up takes some 80 bytes."""
PACK_COLUMNS = ["video_id", "channel_id", "category_id", "n", "status", "reason", "pack_bytes"]


class ShardBooks:
    """See the module. A copy that is sent to a worker is empty: workers plan nothing.

    `feed` reads what is new in `packs` and in closed shards and passes it to `add` and `close`; without it `update`
    does that itself.
    """

    def __init__(self, feed: Callable[[], object] | None = None) -> None:
        self.closed, self.places = ClosedShards(), Places()
        self._feed = feed
        self._follower: Follower | None = None
        self._open = OpenVideos()

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardBooks, ()

    def update(self, store: Store) -> None:
        """Reads what was committed and closed since the last update."""
        if self._feed:
            self._feed()
            return
        self._follower = self._follower or Follower(store, "packs", PACK_COLUMNS)
        for rows in self._follower.new():
            self.add(rows)
        for _, held in self.closed.new(store):
            self.close(held)

    def add(self, packs: pa.Table) -> None:
        """Adds rows with the columns PACK_COLUMNS; all rows of a video at once, and before its clips are closed."""
        packs = packs.filter(pc.not_equal(packs.column("reason"), Reason.OPTED_OUT.value))  # not even as failed
        if packs.num_rows:
            self._open.add(_condensed(packs))

    def close(self, held: Held) -> None:
        """Takes out what closed shards hold."""
        self.places.add(held.video_id, held.channel_id, held.split)
        self._open.replace(held.video_id, lambda videos: not_held(videos, [held]))

    def open(self) -> PlanVideos:
        """All clips in packs, and those that failed, that are in no closed shard; groups are not known yet."""
        return self._open.all()

    def placed(self, videos: PlanVideos, chosen: Chosen) -> Placed:
        """What a plan for these videos needs to know of closed shards."""
        ids = pc.unique(pa.concat_arrays([videos.video_id, chosen.linked()]))
        places = self.places.of(ids)
        video_id, channel_id, split = (column.combine_chunks() for column in places.columns)
        return Placed(
            video_id, channel_id, chosen.groups_of(video_id), split.to_numpy(), self.closed.numbers, self.closed.samples
        )


def _condensed(packs: pa.Table) -> PlanVideos:
    videos = pc.dictionary_encode(packs.column("video_id").combine_chunks())
    code = videos.indices.to_numpy().astype(np.int64)
    ids = videos.dictionary.cast(pa.string())
    order = np.lexsort((packs.column("n").to_numpy(), code))
    starts = np.concatenate(([0], np.cumsum(np.bincount(code, minlength=len(ids))))).astype(np.int64)
    first = np.unique(code, return_index=True)[1]
    good = is_success(packs.column("status")).to_numpy(zero_copy_only=False).astype(np.bool_)
    size = np.where(good, packs.column("pack_bytes").to_numpy(), 0)
    channel_id = packs.column("channel_id").combine_chunks().take(pa.array(first))
    category_id = packs.column("category_id").to_numpy()[first]
    return PlanVideos(ids, channel_id, ids, category_id, starts, packs.column("n").to_numpy()[order], size[order])


@dataclass(frozen=True, slots=True)
class Chosen:
    """The selection: its videos, their groups of duplicates ("": none), and the numbers of the clips that it keeps."""

    videos: Ids
    group: pa.Array
    starts: NDArray[np.int64]
    n: NDArray[np.int32]

    def linked(self) -> pa.Array:
        """The videos that share a group with others."""
        ids, group = self.videos.column, self.group
        is_linked = pc.and_(pc.not_equal(group, ""), pc.not_equal(group, ids))
        return pa.concat_arrays([ids.filter(is_linked), group.filter(is_linked)])

    def groups_of(self, video_id: pa.Array) -> pa.Array:
        """[N] the group of each video; its own id if it has none."""
        row = self.videos.rows(video_id)
        group = pc.fill_null(self.group.take(pa.array(row, mask=row < 0)), "")
        return pc.if_else(pc.equal(group, ""), video_id, group)

    def keeps(self, videos: PlanVideos) -> NDArray[np.bool_]:
        """[C] which clips the selection keeps."""
        row = self.videos.rows(videos.video_id)
        counts = np.where(row >= 0, np.append(np.diff(self.starts), 0)[row], 0)
        n = runs_of(self.n, self.starts[row], counts)
        return among(codes_of(videos.owners(), videos.n), codes_of(np.repeat(np.arange(len(row)), counts), n))


def read_chosen(store: Store, videos: pa.Array) -> Chosen:
    """Reads selection.parquet: what it says of these videos, and all groups. Raises UserError if it is missing."""
    if not store.exists(SELECTION_NAME):
        raise UserError(f"{store.url}/{SELECTION_NAME}: no such file; run the balance first")
    wanted, columns = np.sort(hash_ids(videos)), ["video_id", "group", "kept", "clips_kept"]
    pieces = [pa.schema([SELECTION.field(name) for name in columns]).empty_table()]
    for rows in selection_runs(store, columns):
        is_alone = (
            pc.equal(rows.column("group"), rows.column("video_id")).to_numpy(zero_copy_only=False).astype(np.bool_)
        )
        pieces.append(rows.filter(pa.array(~is_alone | are_in(wanted, hash_ids(rows.column("video_id"))))))
    rows = pa.concat_tables(pieces).combine_chunks()
    lists = pc.if_else(rows.column("kept"), rows.column("clips_kept"), None).combine_chunks()
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    ids = Ids.of(rows.column("video_id"))
    return Chosen(ids, rows.column("group").combine_chunks(), starts, lists.flatten().to_numpy())


def open_clips(
    left: PlanVideos, chosen: Chosen, tombstones: Tombstones, urls: Urls, but: Collection[str]
) -> PlanVideos:
    """Returns clips that belong in shards, of those that are in none: those that the selection keeps, and those that
    failed. `but`: videos to leave out.
    """
    parts = [_wanted_of(part, chosen, tombstones, urls, but) for part in left.in_parts(CLIPS_AT_A_TIME)]
    left = joined_videos(parts)
    return replace(left, group=chosen.groups_of(left.video_id))


def _wanted_of(
    left: PlanVideos, chosen: Chosen, tombstones: Tombstones, urls: Urls, but: Collection[str]
) -> PlanVideos:
    away = pc.is_in(left.video_id, value_set=pa.array(sorted(but), pa.string())).to_numpy(zero_copy_only=False)
    left = left.take(np.flatnonzero(~away.astype(np.bool_))) if away.any() else left
    left = left.only(~left.is_sample() | chosen.keeps(left))
    if tombstones:
        left = left.take(np.flatnonzero(~_covered(left, tombstones, urls)))
    return left


def _covered(videos: PlanVideos, tombstones: Tombstones, urls: Urls) -> NDArray[np.bool_]:
    """[V] whether a removal keeps a video out."""
    facts = zip(videos.video_id.to_pylist(), videos.channel_id.to_pylist(), urls(videos.video_id), strict=True)
    return np.array([tombstones.cover(*of_one) for of_one in facts], np.bool_)


Urls = Callable[[pa.Array], list[str]]
"""Gives the URL of each of some videos, "" if unknown."""


def urls_of(store: Store, video_ids: pa.Array) -> list[str]:
    """[V] the URL of each video in the table `videos`, "" if unknown."""
    ids = Ids.of(video_ids)
    rows, urls = [np.zeros(0, np.int64)], [pa.array([], pa.string())]
    for table in store.read_runs("videos", ["video_id", "url"]):
        row = ids.rows(table.column("video_id"))
        rows.append(row[row >= 0])
        urls.append(table.column("url").combine_chunks().filter(pa.array(row >= 0)))
    at = np.full(len(ids), -1, np.int64)
    found = np.concatenate(rows)
    at[found] = np.arange(len(found))
    known: list[str] = pc.fill_null(pa.concat_arrays(urls).take(pa.array(at, mask=at < 0)), "").to_pylist()
    return known
