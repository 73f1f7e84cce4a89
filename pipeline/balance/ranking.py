"""Ranks each category's videos: the order in which they are taken.

In:  candidates, a row per video (schema CANDIDATES) with the clips that its transcript promises
Out: `Ranked`, the candidates by category in a seeded order

There are no random draws: the order of two videos follows from the seed and their ids alone, so neither the order of
rows nor additional candidates change it.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.hashing import hash_texts
from pipeline.config.balance import Unit

CANDIDATES = pa.schema(
    [
        ("video_id", pa.string()),
        ("category_id", pa.int32()),
        ("channel_id", pa.string()),  # "": unknown, so no channel limit applies
        ("n_clips", pa.int32()),  # clips in the plan
        ("clips_ms", pa.int64()),  # their total duration
    ]
)


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates by category, then in seeded order; each id once. Columns have one entry per candidate [N].

    `group` numbers the pairs of category and channel, -1 for an unknown channel; `group_category` [G].
    """

    video_id: pa.Array
    category_id: NDArray[np.int32]
    channel_id: pa.DictionaryArray
    group: NDArray[np.int32]
    group_category: NDArray[np.int32]
    rank: NDArray[np.int32]
    n_clips: NDArray[np.int32]
    clips_ms: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rank)

    def planned(self, unit: Unit) -> NDArray[np.int64]:
        """[N] the amount that each candidate promises: clips, milliseconds, or whether it gives any."""
        return in_unit(unit, self.n_clips, self.clips_ms)


def in_unit(unit: Unit, clips: NDArray[Any], ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """[N] what videos with so many clips of such length amount to: clips, milliseconds, or 1 where there are clips."""
    if unit == "hours":
        return ms
    return (clips if unit == "clips" else clips > 0).astype(np.int64)


def planned_by_video(clips: pa.Table) -> pa.Table:
    """Columns video_id, n_clips, clips_ms for rows of the table `clips`."""
    length = pc.subtract(clips.column("end_ms"), clips.column("start_ms"))
    per_clip = pa.table({"video_id": clips.column("video_id"), "ms": length})
    planned = per_clip.group_by("video_id").aggregate([("ms", "count"), ("ms", "sum")])
    return planned.select(["video_id", "ms_count", "ms_sum"]).rename_columns(["video_id", "n_clips", "clips_ms"])


def candidates_of(videos: pa.Table, clips: pa.Table) -> pa.Table:
    """CANDIDATES from the tables `videos` and `clips`: every video, including those without a planned clip."""
    planned = planned_by_video(clips)
    row = pc.index_in(videos.column("video_id"), value_set=planned.column("video_id").combine_chunks())
    columns = {
        **{name: videos.column(name) for name in ("video_id", "category_id", "channel_id")},
        "n_clips": pc.fill_null(planned.column("n_clips").take(row), 0),
        "clips_ms": pc.fill_null(planned.column("clips_ms").take(row), 0),
    }
    return pa.table(columns).cast(CANDIDATES)


def rank_candidates(candidates: pa.Table, seed: int) -> Ranked:
    """Ranks the candidates in their categories' seeded orders; of rows with the same id a single row is kept."""
    order = _order(candidates, seed)
    category = _numbers(candidates, "category_id", np.int32)[order]
    channel = _flat(candidates.column("channel_id"))
    channel = (channel if isinstance(channel, pa.DictionaryArray) else pc.dictionary_encode(channel)).take(order)
    group, group_category = _groups(category, channel)
    return Ranked(
        video_id=_flat(candidates.column("video_id")).take(order),
        category_id=category,
        channel_id=channel,
        group=group,
        group_category=group_category,
        rank=_ranks(category),
        n_clips=_numbers(candidates, "n_clips", np.int32)[order],
        clips_ms=_numbers(candidates, "clips_ms", np.int64)[order],
    )


def _order(candidates: pa.Table, seed: int) -> NDArray[np.int32]:
    """Rows by category, then by hash."""
    hashes = hash_texts(_flat(candidates.column("video_id")), seed)
    order = _settle_ties(candidates, np.argsort(hashes).astype(np.int32), hashes)
    category = _numbers(candidates, "category_id", np.int16)[order]
    return np.asarray(order[np.argsort(category, kind="stable")])


def _settle_ties(candidates: pa.Table, order: NDArray[np.int32], hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Orders rows of equal hash by content and drops repeated ids, so that the order of rows has no effect."""
    hashes = hashes[order]
    same = hashes[1:] == hashes[:-1]
    if not same.any():
        return order
    tied = np.concatenate(([False], same)) | np.concatenate((same, [False]))
    rows = candidates.select(CANDIDATES.names).take(order[tied]).cast(CANDIDATES)
    rows = rows.append_column("row", pa.array(order[tied])).append_column("hash", pa.array(hashes[tied]))
    keys = ["hash", "video_id", "category_id", "channel_id", "n_clips", "clips_ms"]
    rows = rows.sort_by([(key, "ascending") for key in keys])
    order = order.copy()
    order[tied] = rows.column("row").to_numpy()
    ids = _flat(rows.column("video_id"))
    repeat = np.zeros(len(order), dtype=np.bool_)
    repeat[np.flatnonzero(tied)[1:]] = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).to_numpy(zero_copy_only=False)
    return np.asarray(order[~repeat])


def _groups(category: NDArray[np.int32], channel: pa.DictionaryArray) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Numbers [N] for pairs of (sorted) category and channel, -1 for unknown channels; and each pair's category [G]."""
    code = channel.indices.to_numpy(zero_copy_only=False)
    known = ~pc.equal(channel.dictionary.cast(pa.string()), "").to_numpy(zero_copy_only=False).astype(np.bool_)
    group = np.empty(len(category), dtype=np.int32)
    owners: list[NDArray[np.int32]] = [np.zeros(0, dtype=np.int32)]
    n_groups = 0
    for category_id, span in spans_of(category):
        here = np.zeros(len(known), dtype=np.bool_)
        here[code[span]] = True
        here &= known
        number = np.where(here, n_groups + np.cumsum(here) - 1, -1).astype(np.int32)
        group[span] = number[code[span]]
        owners.append(np.full(int(here.sum()), category_id, dtype=np.int32))
        n_groups += len(owners[-1])
    return group, np.concatenate(owners)


def spans_of(category: NDArray[np.int32]) -> list[tuple[int, slice]]:
    """(category, slice of its rows) of a sorted column, ascending."""
    edges = [*np.flatnonzero(np.diff(category, prepend=np.iinfo(np.int32).min)).tolist(), len(category)]
    return [(int(category[a]), slice(a, b)) for a, b in pairwise(edges)]


def _ranks(category: NDArray[np.int32]) -> NDArray[np.int32]:
    """[N] rank within the category, given sorted categories."""
    rank = np.empty(len(category), dtype=np.int32)
    for _, span in spans_of(category):
        rank[span] = np.arange(span.stop - span.start)
    return rank


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _numbers(table: pa.Table, name: str, dtype: Any) -> NDArray[Any]:
    return np.asarray(table.column(name).to_numpy(), dtype=dtype)
