"""Computes the standing of each candidate of a balance: what exists of it, why it is rejected, what is in shards.

In:  `Ranked` candidates; `Outcomes`: the media stage's results, rejects, known repeats
Out: `Standing`, on which `next_batch.py` and `selection.py` decide
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.columns import in_a_file
from manifests.membership import NOWHERE, hash_ids, rows_in
from manifests.reasons import Reason
from pipeline.balance.clip_lists import ClipLists, Numbers, empty_clip_lists, pieces_of_runs, rows_of, runs_of
from pipeline.balance.ranking import Ranked, in_unit
from pipeline.config.balance import Unit
from pipeline.likeness.groups import groups_of

REJECTED_VIDEOS = pa.schema([("video_id", pa.string()), ("reason", pa.string())])

Duplicates = Mapping[Reason, Mapping[str, str]]
"""By reason: {id: the id that it repeats}. Keys and values are video ids, or clip ids `<video_id>.<n>`."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is known of candidates besides the plan.

    `made`: clips that exist. `rejected` (REJECTED_VIDEOS): rejects in force of whole videos; they override `made`.
    Clips in committed shards stay; no more clips of their videos are taken (the packs are gone). `n_kept` [V]: how many
    of the first clips of each video in `made` are there (None: none); `already_kept`: the clips there of other videos.
    `untried`: videos that count as if media had not been made.
    """

    made: ClipLists = field(default_factory=empty_clip_lists)
    rejected: pa.Table = field(default_factory=REJECTED_VIDEOS.empty_table)
    duplicates: Duplicates = field(default_factory=dict)
    already_kept: ClipLists = field(default_factory=empty_clip_lists)
    n_kept: NDArray[np.int64] | None = None
    untried: pa.Array = field(default_factory=lambda: pa.array([], pa.string()))


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of each ranked candidate; columns [N].

    `row`: its row in `lists`, -1 where nothing was made. `clips`, `ms`: what exists and counts, duplicates left out.
    `kept_clips`, `kept_ms`: what is in shards already, the first of its clips in `lists`.
    `reason`: index in CODE_OF of why it is rejected, 0 if it is not.
    `dropped`: {clip_id: (reason, the clip that it repeats)}.
    """

    lists: ClipLists
    row: NDArray[np.int32]
    kept_clips: NDArray[np.int32]
    kept_ms: NDArray[np.int64]
    reason: NDArray[np.int16]
    clips: NDArray[np.int64]
    ms: NDArray[np.int64]
    dropped: Mapping[str, tuple[Reason, str]]

    @property
    def is_open(self) -> NDArray[np.bool_]:
        """[N] neither tried nor rejected: its media can still be fetched."""
        return np.asarray((self.row < 0) & (self.reason == 0))

    def amount(self, unit: Unit) -> NDArray[np.int64]:
        """[N] the amount that exists and counts: clips, milliseconds or videos."""
        return in_unit(unit, self.clips, self.ms)

    def kept_amount(self, unit: Unit) -> NDArray[np.int64]:
        """[N] the amount in shards already."""
        return in_unit(unit, self.kept_clips, self.kept_ms)


CODE_OF = {reason: code for code, reason in enumerate(["", *(reason.value for reason in Reason)])}
"""The numbers of reasons in arrays. Those of other packages are added when they are first seen."""


def all_failed(packs: pa.Table, succeeded: pa.ChunkedArray) -> pa.Table:
    """REJECTED_VIDEOS of rows of PACKS: the videos without a successful clip, with their clips' most common reason."""
    good = packs.filter(succeeded).column("video_id").combine_chunks()
    failed = packs.filter(pc.invert(pc.is_in(packs.column("video_id"), value_set=good)))
    if not failed.num_rows:
        return REJECTED_VIDEOS.empty_table()
    counted = failed.group_by(["video_id", "reason"]).aggregate([("n", "count")])
    counted = counted.sort_by([("video_id", "ascending"), ("n_count", "descending"), ("reason", "ascending")])
    first = np.flatnonzero(_differs_from_previous(counted.column("video_id").combine_chunks()))
    return counted.take(pa.array(first)).select(["video_id", "reason"]).cast(REJECTED_VIDEOS)


def _differs_from_previous(column: pa.Array) -> NDArray[np.bool_]:
    changed = pc.not_equal(column.slice(1), column.slice(0, max(0, len(column) - 1)))
    return np.concatenate(([len(column) > 0][: len(column)], changed.to_numpy(zero_copy_only=False))).astype(np.bool_)


# the standing of each candidate


def standing(ranked: Ranked, outcomes: Outcomes) -> Standing:
    """Computes what exists of each candidate once rejects and duplicates are taken out."""
    lists, n_kept = _kept_first(outcomes)
    row = _row_in(ranked.video_id, lists.video_id)
    row[np.flatnonzero(pc.is_in(ranked.video_id, value_set=outcomes.untried))] = NOWHERE
    kept_clips = np.append(n_kept, 0).astype(np.int32)[row]  # the last entry is for row -1
    reason = _reasons_from_rejects(ranked, outcomes, row, kept_clips)
    _reject_repeated_videos(ranked, outcomes.duplicates, row, kept_clips, reason)
    lists, dropped = _without_repeated_clips(ranked, outcomes.duplicates, lists, row, kept_clips, reason)
    counts, ms = np.append(lists.counts(), 0)[row], np.append(lists.total_ms(), 0)[row]
    _name_emptied(ranked, row, counts, dropped, reason)
    gone = reason != 0
    return Standing(
        lists=lists,
        row=row,
        kept_clips=kept_clips,
        kept_ms=np.append(lists.ms_of_first(n_kept), 0)[row],
        reason=reason,
        clips=np.where(gone, 0, counts),
        ms=np.where(gone, 0, ms),
        dropped=dropped,
    )


def _reasons_from_rejects(
    ranked: Ranked, outcomes: Outcomes, row: NDArray[np.int32], kept_clips: NDArray[np.int32]
) -> NDArray[np.int16]:
    """[N] index in CODE_OF; videos that are in shards are no longer rejected."""
    reason = np.zeros(len(ranked), dtype=np.int16)
    if outcomes.rejected.num_rows:
        at = _row_in(ranked.video_id, outcomes.rejected.column("video_id").combine_chunks())
        reasons = outcomes.rejected.column("reason").to_pylist()
        codes = np.array([CODE_OF.setdefault(r, len(CODE_OF)) for r in reasons], dtype=np.int16)
        reason = np.where((at >= 0) & (kept_clips == 0), codes[at], reason)
    reason[(ranked.n_clips == 0) & (row < 0) & (reason == 0)] = CODE_OF[Reason.NO_CLIPS]
    return reason


def _kept_first(outcomes: Outcomes) -> tuple[ClipLists, NDArray[np.int64]]:
    """Reorders the clips that exist so that each video's clips in shards come first; also returns their number [V]."""
    made, kept = outcomes.made, outcomes.already_kept
    n_kept = np.zeros(len(made.video_id), dtype=np.int64) if outcomes.n_kept is None else outcomes.n_kept.copy()
    if not len(kept.video_id):
        return made, n_kept
    row, counts = _row_in(kept.video_id, made.video_id), kept.counts()
    fits = (row >= 0) & (counts <= np.append(made.counts(), 0)[row])
    first = runs_of(made.n, made.starts[row[fits]], counts[fits])
    differs = np.flatnonzero(first != runs_of(kept.n, kept.starts[:-1][fits], counts[fits]))
    owners = np.searchsorted(np.cumsum(counts[fits]), differs, side="right")
    fits[np.flatnonzero(fits)[np.unique(owners)]] = False
    n_kept[row[fits]] = counts[fits]
    odd = np.flatnonzero(~fits)
    return (made, n_kept) if not len(odd) else _rebuilt(made, kept, row, odd, n_kept)


def _rebuilt(
    made: ClipLists, kept: ClipLists, row: NDArray[np.int32], odd: NDArray[np.int64], n_kept: NDArray[np.int64]
) -> tuple[ClipLists, NDArray[np.int64]]:
    """Rebuilds the lists with the `odd` kept videos, whose kept clips are not simply the first ones, at the end."""
    stays = np.ones(len(made.video_id), dtype=np.bool_)
    stays[row[odd][row[odd] >= 0]] = False
    left = np.flatnonzero(stays)
    counts = made.counts()[left]
    columns: list[list[Numbers]] = [[], []]
    sizes = [counts]
    for k in odd.tolist():
        n, ms = _clips_at(kept, k)
        if row[k] >= 0:
            made_n, made_ms = _clips_at(made, int(row[k]))
            more = ~np.isin(made_n, n)
            n, ms = np.concatenate((n, made_n[more])), np.concatenate((ms, made_ms[more]))
        columns[0].append(n)
        columns[1].append(ms)
        sizes.append(np.array([len(n)]))
    starts = np.concatenate(([0], np.cumsum(np.concatenate(sizes)))).astype(np.int64)
    ids = pa.concat_arrays([made.video_id.take(pa.array(left)), kept.video_id.take(pa.array(odd))])
    of_left = (pieces_of_runs(column, made.starts[left], counts) for column in (made.n, made.ms))
    n, ms = (in_a_file(chain(*both), np.int32) for both in zip(of_left, columns, strict=True))
    return ClipLists(ids, starts, n, ms), np.concatenate((n_kept[left], kept.counts()[odd]))


def _clips_at(lists: ClipLists, row: int) -> tuple[Numbers, Numbers]:
    span = slice(int(lists.starts[row]), int(lists.starts[row + 1]))
    return lists.n[span], lists.ms[span]


def _row_in(ids: pa.Array, others: pa.Array) -> NDArray[np.int32]:
    """[N] the first row of each id in another column, -1 if it is not there. By 64-bit hashes: a table of the texts
    would take ten times their bytes.
    """
    hashes = hash_ids(others)
    order = np.argsort(hashes, kind="stable").astype(np.int32)
    return np.append(order, np.int32(-1))[rows_in(hashes[order], hash_ids(ids))]


def _reject_repeated_videos(
    ranked: Ranked,
    duplicates: Duplicates,
    row: NDArray[np.int32],
    kept_clips: NDArray[np.int32],
    reason: NDArray[np.int16],
) -> None:
    """Keeps the first available of each group of videos that repeat each other; sets `reason` of the others."""
    for why, pairs in sorted(duplicates.items()):
        pairs = {a: b for a, b in pairs.items() if "." not in a}
        rows = _rows_by_id(ranked, pairs)
        for members in groups_of(pairs.items()):
            at = [rows[m] for m in members if m in rows and not reason[rows[m]]]
            at.sort(key=lambda i: (kept_clips[i] == 0, row[i] < 0, int(ranked.rank[i]), i))
            for i in at[1:]:
                if not kept_clips[i]:
                    reason[i] = CODE_OF[why]


def _without_repeated_clips(
    ranked: Ranked,
    duplicates: Duplicates,
    lists: ClipLists,
    row: NDArray[np.int32],
    kept_clips: NDArray[np.int32],
    reason: NDArray[np.int16],
) -> tuple[ClipLists, dict[str, tuple[Reason, str]]]:
    """Of each group of clips that repeat each other, keeps the clip in the video that comes first."""
    gone: set[int] = set()
    dropped: dict[str, tuple[Reason, str]] = {}
    for why, pairs in sorted(duplicates.items()):
        pairs = {a: b for a, b in pairs.items() if "." in a}
        places = lists.indices({*pairs, *pairs.values()})
        where = _rows_by_id(ranked, {clip.rpartition(".")[0]: "" for clip in places})
        where = {video: i for video, i in where.items() if row[i] >= 0}
        for members in groups_of(pairs.items()):
            here = [m for m in members if m in places and places[m][1] not in gone]
            at = {m: i for m in here if (i := where.get(m.rpartition(".")[0], NOWHERE)) >= 0 and not reason[i]}
            in_shards = {m for m in at if places[m][1] - lists.starts[places[m][0]] < kept_clips[at[m]]}
            order = sorted(at, key=lambda m: (m not in in_shards, int(ranked.rank[at[m]]), at[m], places[m][1]))
            for clip in order[1:]:
                if clip not in in_shards:
                    gone.add(places[clip][1])
                    dropped[clip] = (why, order[0])
    return lists.without(np.array(sorted(gone), np.int64)), dropped


def _name_emptied(
    ranked: Ranked,
    row: NDArray[np.int32],
    counts: NDArray[np.int64],
    dropped: Mapping[str, tuple[Reason, str]],
    reason: NDArray[np.int16],
) -> None:
    """Gives a video whose clips are all duplicates that reason itself."""
    whys = {clip.rpartition(".")[0]: why for clip, (why, _) in sorted(dropped.items())}
    for i in np.flatnonzero((row >= 0) & (counts == 0) & (reason == 0)).tolist():
        reason[i] = CODE_OF[whys.get(ranked.video_id[i].as_py(), Reason.NO_CLIPS)]


def _rows_by_id(ranked: Ranked, pairs: Mapping[str, str]) -> dict[str, int]:
    rows = rows_of(ranked.video_id, sorted({*pairs, *pairs.values()} - {""}))
    return dict(zip(ranked.video_id.take(pa.array(rows)).to_pylist(), rows.tolist(), strict=True))
