"""The rows of videos that plans need, as a planner keeps them: in files, 80 bytes for each video.

An address of the site's usual form follows from the id, so it is null; channels are numbers in a dictionary; what a
transcript promises is filed by the 64-bit hash of its video's id.
"""

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.columns import in_a_file, table_in_a_file
from manifests.hashing import UInt64
from manifests.membership import are_in, hash_ids, rows_in
from manifests.origin import USUAL_ADDRESS, are_site_ids
from manifests.schema import TABLES
from pipeline.balance.ranking import planned_by_video
from pipeline.outdir.tombstones import Tombstones

ROWS_AT_A_TIME = 10_000
"""Rows that are objects of Python at a time."""
VIDEO_COLUMNS = ["video_id", "category_id", "channel_id", "url", "duration_s", "round", "media_hash"]


class CandidateRows:
    """See the module docstring."""

    def __init__(self) -> None:
        self._videos = [_condensed(pa.schema([TABLES["videos"].field(name) for name in VIDEO_COLUMNS]).empty_table())]
        self._planned: UInt64 = np.zeros(0, np.uint64)  # ascending hashes of videos
        self._n_clips: NDArray[np.int32] = np.zeros(0, np.int32)
        self._clips_ms: NDArray[np.int64] = np.zeros(0, np.int64)
        self._waiting: list[tuple[UInt64, NDArray[np.int32], NDArray[np.int64]]] = []

    def add(self, videos: pa.Table) -> None:
        """Adds rows of `videos` (VIDEO_COLUMNS)."""
        self._videos.append(_condensed(videos))

    def add_clips(self, clips: pa.Table) -> None:
        """Adds rows of `clips` (video_id, start_ms, end_ms); those of a video come together."""
        planned = planned_by_video(clips)
        n, ms = (planned.column(name).to_numpy() for name in ("n_clips", "clips_ms"))
        self._waiting.append((hash_ids(planned.column("video_id")), n.astype(np.int32), ms.astype(np.int64)))

    def videos(self) -> pa.Table:
        """VIDEO_COLUMNS, a row per video; `url` is null where it is the usual one. The order of rows with the same id
        does not depend on when they came.
        """
        if len(self._videos) > 1:
            whole = pa.concat_tables(self._videos).unify_dictionaries().combine_chunks()
            self._videos = [table_in_a_file(_with_repeats_in_order(whole))]
        return self._videos[0]

    def candidates(self, videos: pa.Table) -> pa.Table:
        """CANDIDATES of rows of `videos`: with what each transcript promises, 0 where there is none."""
        self._settle()
        row = rows_in(self._planned, hash_ids(videos.column("video_id")))
        columns = {name: videos.column(name) for name in ("video_id", "category_id", "channel_id")}
        n_clips, clips_ms = np.append(self._n_clips, np.int32(0))[row], np.append(self._clips_ms, 0)[row]
        return pa.table({**columns, "n_clips": n_clips, "clips_ms": clips_ms})

    def _settle(self) -> None:
        """Sorts in what transcripts promise; of a video that came twice the first counts."""
        if not self._waiting:
            return
        of_all = [(self._planned, self._n_clips, self._clips_ms), *self._waiting]
        planned, n_clips, clips_ms = (np.concatenate(column) for column in zip(*of_all, strict=True))
        planned, first = np.unique(planned, return_index=True)
        columns = (planned, n_clips[first], clips_ms[first])
        self._planned, self._n_clips, self._clips_ms = (in_a_file([column], column.dtype) for column in columns)
        self._waiting = []


def _condensed(videos: pa.Table) -> pa.Table:
    ids, url = (videos.column(name).combine_chunks() for name in ("video_id", "url"))
    is_usual = pc.and_(are_site_ids(ids), pc.equal(url, pc.binary_join_element_wise(USUAL_ADDRESS, ids, "")))
    given = pc.replace_with_mask(url, is_usual, pa.scalar(None, pa.string()))  # if_else would keep the bytes
    videos = videos.set_column(videos.schema.get_field_index("url"), "url", given)
    at = videos.schema.get_field_index("channel_id")
    return videos.set_column(at, "channel_id", videos.column("channel_id").dictionary_encode())


def _with_repeats_in_order(videos: pa.Table) -> pa.Table:
    hashes = hash_ids(videos.column("video_id"))
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return videos
    is_repeated = are_in(repeated, hashes)
    several = videos.filter(pa.array(is_repeated))
    ids, url = several.column("video_id"), several.column("url")
    texts = several.set_column(2, "channel_id", several.column("channel_id").cast(pa.string()))
    texts = texts.set_column(3, "url", pc.coalesce(url, pc.binary_join_element_wise(USUAL_ADDRESS, ids, "")))
    order = pc.sort_indices(texts, [(name, "ascending") for name in VIDEO_COLUMNS])
    return pa.concat_tables([videos.filter(pa.array(~is_repeated)), several.take(order)]).combine_chunks()


def covered(opt_outs: Tombstones, videos: pa.Table) -> tuple[str, ...]:
    """Ids of those of these videos (as of `CandidateRows.videos`) that are opted out."""
    if not opt_outs:
        return ()
    ids, has_usual = videos.column("video_id"), pc.is_null(videos.column("url"))
    named = pc.or_(_among(ids, opt_outs.videos), pc.and_(has_usual, _among(ids, opt_outs.urls)))
    named = pc.or_(named, _among(videos.column("channel_id").cast(pa.string()), opt_outs.channels))
    named = pc.or_(named, _among(videos.column("media_hash"), opt_outs.contents))
    left = pc.invert(named) if opt_outs.hashed else pc.and_(pc.invert(named), pc.invert(has_usual))
    others = videos.filter(left).select(["video_id", "channel_id", "url", "media_hash"])
    pieces = (zip(*rows.to_pydict().values(), strict=True) for rows in others.to_batches(ROWS_AT_A_TIME))
    found = [facts[0] for piece in pieces for facts in piece if _covers(opt_outs, *facts)]
    return tuple(dict.fromkeys([*ids.filter(named).to_pylist(), *found]))


def _covers(opt_outs: Tombstones, video_id: str, channel_id: str, url: str | None, content: str) -> bool:
    return opt_outs.cover(video_id, channel_id, f"{USUAL_ADDRESS}{video_id}" if url is None else url, content)


def _among(column: pa.ChunkedArray, names: Collection[str]) -> pa.ChunkedArray:
    return pc.is_in(column, value_set=pa.array(sorted(names), pa.string()))
