"""Collects what the plan of shards is made from: clips in packs, clips in closed shards, the selection.

A driver keeps one `ShardBooks` for all its plans, so that each reads only what is new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.clip_status import is_success
from manifests.errors import UserError
from manifests.funnel import CURE_OF_SELECTION, SELECTION_NAME
from manifests.membership import Ids
from manifests.parquet import damage_named, open_parquet
from pipeline.engine.store.follow import Follower
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.clips import PlanVideos, joined_videos
from pipeline.shards.closed import ClosedShards, Held, among, codes_of, not_held

PACK_COLUMNS = ["video_id", "channel_id", "n", "status", "pack_bytes"]


class ShardBooks:
    """See the module. A copy that is sent to a worker is empty: workers plan nothing.

    `feed` reads what is new in `packs` and passes the rows to `add`; without it `update` does that itself.
    """

    def __init__(self, feed: Callable[[], object] | None = None) -> None:
        self.closed = ClosedShards()
        self._feed = feed
        self._follower: Follower | None = None
        self._packs: list[PlanVideos] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return ShardBooks, ()

    def add(self, packs: pa.Table) -> None:
        """Adds rows with the columns PACK_COLUMNS; all rows of a video at once."""
        if packs.num_rows:
            self._packs.append(_condensed(packs))

    def update(self, store: Store) -> None:
        """Reads what was committed since the last update."""
        if self._feed:
            self._feed()
            return
        self._follower = self._follower or Follower(store, "packs", PACK_COLUMNS)
        for rows in self._follower.new():
            self.add(rows)

    def made(self) -> PlanVideos:
        """All clips in packs that were ever made, and those that failed; groups are not known yet."""
        self._packs = [joined_videos(self._packs)]
        return self._packs[0]


def _condensed(packs: pa.Table) -> PlanVideos:
    videos = pc.dictionary_encode(packs.column("video_id").combine_chunks())
    code = videos.indices.to_numpy().astype(np.int64)
    ids = videos.dictionary.cast(pa.string())
    order = np.lexsort((packs.column("n").to_numpy(), code))
    starts = np.concatenate(([0], np.cumsum(np.bincount(code, minlength=len(ids))))).astype(np.int64)
    first = np.unique(code, return_index=True)[1]
    good = is_success(packs.column("status")).to_numpy(zero_copy_only=False).astype(np.bool_)
    size = np.where(good, packs.column("pack_bytes").to_numpy(), 0)
    if size.max(initial=0) <= np.iinfo(np.int32).max:
        size = size.astype(np.int32)
    channel_id = packs.column("channel_id").combine_chunks().take(pa.array(first))
    n = packs.column("n").to_numpy().astype(np.int32)
    return PlanVideos(ids, channel_id, ids, starts, n[order], size[order])


@dataclass(frozen=True, slots=True)
class Chosen:
    """The selection: its videos, their groups of duplicates ("": none), and the numbers of the clips that it keeps."""

    videos: Ids
    group: pa.Array
    starts: NDArray[np.int64]
    n: NDArray[np.int32]

    def groups_of(self, video_id: pa.Array) -> pa.Array:
        """[N] the group of each video; its own id if it has none."""
        row = self.videos.rows(video_id)
        group = pc.fill_null(self.group.take(pa.array(row, mask=row < 0)), "")
        return pc.if_else(pc.equal(group, ""), video_id, group)

    def keeps(self, videos: PlanVideos) -> NDArray[np.bool_]:
        """[C] which clips the selection keeps."""
        ids = Ids.of(videos.video_id)
        row = np.repeat(ids.rows(self.videos.column), np.diff(self.starts))
        return among(codes_of(videos.owners(), videos.n), codes_of(row, self.n)[row >= 0])


def read_chosen(store: Store) -> Chosen:
    """Reads selection.parquet. Raises UserError if it is missing."""
    try:
        data = store.read(SELECTION_NAME)
    except FileNotFoundError:
        raise UserError(f"{store.url}/{SELECTION_NAME}: no such file; run the balance first") from None
    with damage_named(f"{store.url}/{SELECTION_NAME}", CURE_OF_SELECTION):
        rows = open_parquet(data).read(columns=["video_id", "group", "kept", "clips_kept"]).combine_chunks()
    lists = pc.if_else(rows.column("kept"), rows.column("clips_kept"), None).combine_chunks()
    counts = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    starts = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    ids = Ids.of(rows.column("video_id"))
    return Chosen(ids, rows.column("group").combine_chunks(), starts, lists.flatten().to_numpy())


def open_clips(
    made: PlanVideos, chosen: Chosen, held: Sequence[Held], tombstones: Tombstones, urls: Urls, but: Collection[str]
) -> PlanVideos:
    """Returns clips that belong in shards but are in none: those that the selection keeps, and those that failed.

    `but`: videos to leave out.
    """
    left = not_held(made, held)
    away = pc.is_in(left.video_id, value_set=pa.array(sorted(but), pa.string())).to_numpy(zero_copy_only=False)
    left = left.take(np.flatnonzero(~away.astype(np.bool_)))
    left = left.only(~left.is_sample() | chosen.keeps(left))
    left = left.take(np.flatnonzero(~_covered(left, tombstones, urls)))
    return PlanVideos(left.video_id, left.channel_id, chosen.groups_of(left.video_id), left.starts, left.n, left.bytes_)


def _covered(videos: PlanVideos, tombstones: Tombstones, urls: Urls) -> NDArray[np.bool_]:
    """[V] whether a removal keeps a video out."""
    if not (tombstones.videos or tombstones.channels or tombstones.urls):
        return np.zeros(len(videos), np.bool_)
    facts = zip(videos.video_id.to_pylist(), videos.channel_id.to_pylist(), urls.of(videos), strict=True)
    return np.array([tombstones.cover(*of_one) for of_one in facts], np.bool_)


@dataclass(frozen=True, slots=True)
class Urls:
    """The URLs of all videos, by id; built once for the shards of a plan."""

    videos: Ids
    url: pa.Array

    @classmethod
    def read(cls, store: Store) -> Urls:
        """Those of the table `videos`."""
        rows = store.read_table("videos", ["video_id", "url"])
        return cls(Ids.of(rows.column("video_id")), rows.column("url").combine_chunks())

    def of(self, videos: PlanVideos) -> list[str]:
        """[V] the URL of each video, "" if unknown."""
        row = self.videos.rows(videos.video_id)
        urls: list[str] = pc.fill_null(self.url.take(pa.array(row, mask=row < 0)), "").to_pylist()
        return urls
