"""Balance, second half: what is kept of what exists, and why each other candidate is left out.

In:  `Ranked` candidates; `Outcomes`, what the media stage made of those that it tried.
Out: `Selection`: the table selection.parquet, the clips dropped as duplicates, and a result that explains itself.

Videos are taken down their category's order. The last one of a category (or of a channel that has its share) is taken
in part, its first clips by n, so that a quota is met to the clip. A limit is never exceeded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.reasons import Reason
from manifests.schema import SELECTION
from pipeline.balance import MS_PER_HOUR, Quotas, Ranked, Supply, plan_quotas, supply_of, to_amount
from pipeline.balance_result import BalanceResult, explain
from pipeline.clip_lists import ClipLists, clip_lists, empty_clip_lists, gather, rows_of
from pipeline.config.balance import BalanceConfig, Unit
from pipeline.groups import groups_of

TURNED_AWAY = pa.schema([("video_id", pa.string()), ("reason", pa.string())])

Duplicates = Mapping[Reason, Mapping[str, str]]
"""By reason: {id: the id that it repeats}. A key is a video id, or a clip id `<video_id>.<n>`, and so is its value."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is known of candidates besides the plan.

    `made`: clips that exist. `turned_away` (TURNED_AWAY): rejects in force of whole videos; they outweigh `made`.
    `already_kept`: clips in committed shards: they stay, and no more is taken of their videos.
    """

    made: ClipLists = field(default_factory=empty_clip_lists)
    turned_away: pa.Table = field(default_factory=TURNED_AWAY.empty_table)
    duplicates: Duplicates = field(default_factory=dict)
    already_kept: ClipLists = field(default_factory=empty_clip_lists)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where each ranked candidate stands; columns [N].

    `row`: its row in `lists`, -1 where nothing was made. `clips`, `ms`: what exists and counts, duplicates left out.
    `reason`: place in REASONS of what turns it away, 0 for nothing.
    `dropped`: {clip_id: (reason, the clip that it repeats)}.
    """

    lists: ClipLists
    row: NDArray[np.int32]
    is_kept_already: NDArray[np.bool_]
    reason: NDArray[np.int16]
    clips: NDArray[np.int64]
    ms: NDArray[np.int64]
    dropped: Mapping[str, tuple[Reason, str]]

    @property
    def is_open(self) -> NDArray[np.bool_]:
        """[N] neither tried nor turned away: its media can still be asked for."""
        return np.asarray((self.row < 0) & (self.reason == 0))

    def amount(self, unit: Unit) -> NDArray[np.int64]:
        """[N] what exists and counts: clips or milliseconds."""
        return self.clips if unit == "clips" else self.ms


@dataclass(frozen=True, slots=True)
class Selection:
    """`table` (manifests.schema.SELECTION) goes by category and rank; `dropped` are clips left out as duplicates."""

    table: pa.Table
    dropped: Mapping[str, tuple[Reason, str]]
    quotas: Quotas
    result: BalanceResult


REASONS: tuple[str, ...] = ("", *(reason.value for reason in Reason))
_CODE = {reason: code for code, reason in enumerate(REASONS)}


def outcomes_of(
    packs: Iterable[pa.Table],
    rejects: pa.Table,
    duplicates: Duplicates | None = None,
    already_kept: ClipLists | None = None,
) -> Outcomes:
    """Outcomes from tables with columns of PACKS (video_id, n, duration_ms, status, reason), a video in one of them,
    and from rejects in force (manifests.funnel.rejects_in_force). A video whose clips all failed is turned away with
    the reason that most of them have."""
    lists, away = [], [_whole_videos(rejects)]
    for table in packs:
        succeeded = pc.equal(table.column("status"), "success")
        lists.append(table.filter(succeeded).select(["video_id", "n", "duration_ms"]))
        away.append(_all_failed(table, succeeded))
    return Outcomes(clip_lists(lists), pa.concat_tables(away), duplicates or {}, already_kept or empty_clip_lists())


def _whole_videos(rejects: pa.Table) -> pa.Table:
    return rejects.filter(pc.equal(rejects.column("clip_id"), "")).select(["video_id", "reason"]).cast(TURNED_AWAY)


def _all_failed(packs: pa.Table, succeeded: pa.ChunkedArray) -> pa.Table:
    good = packs.filter(succeeded).column("video_id").combine_chunks()
    failed = packs.filter(pc.invert(pc.is_in(packs.column("video_id"), value_set=good)))
    if not failed.num_rows:
        return TURNED_AWAY.empty_table()
    counted = failed.group_by(["video_id", "reason"]).aggregate([("n", "count")])
    counted = counted.sort_by([("video_id", "ascending"), ("n_count", "descending"), ("reason", "ascending")])
    first = np.flatnonzero(_differs_from_previous(counted.column("video_id").combine_chunks()))
    return counted.take(pa.array(first)).select(["video_id", "reason"]).cast(TURNED_AWAY)


def _differs_from_previous(column: pa.Array) -> NDArray[np.bool_]:
    changed = pc.not_equal(column.slice(1), column.slice(0, max(0, len(column) - 1)))
    return np.concatenate(([len(column) > 0][: len(column)], changed.to_numpy(zero_copy_only=False))).astype(np.bool_)


# where each candidate stands


def standing(ranked: Ranked, outcomes: Outcomes) -> Standing:
    """What exists of each candidate once rejects and duplicates are taken out."""
    lists, kept_rows = _with_already_kept(outcomes)
    row = _row_in(ranked.video_id, lists.video_id)
    is_kept = (row >= kept_rows) if kept_rows is not None else np.zeros(len(row), dtype=np.bool_)
    reason = np.zeros(len(ranked), dtype=np.int16)
    away = _row_in(ranked.video_id, outcomes.turned_away.column("video_id").combine_chunks())
    if outcomes.turned_away.num_rows:
        codes = np.array([_CODE[r] for r in outcomes.turned_away.column("reason").to_pylist()], dtype=np.int16)
        reason = np.where((away >= 0) & ~is_kept, codes[away], reason)
    reason[(ranked.n_clips == 0) & (row < 0) & (reason == 0)] = _CODE[Reason.NO_CLIPS]
    _turn_away_repeated_videos(ranked, outcomes.duplicates, row, is_kept, reason)
    lists, dropped = _without_repeated_clips(ranked, outcomes.duplicates, lists, row, is_kept, reason)
    counts, ms = np.append(lists.counts(), 0), np.append(lists.total_ms(), 0)  # the last entry serves row -1
    counts, ms = counts[row], ms[row]
    _name_emptied(ranked, row, counts, dropped, reason)
    gone = reason != 0
    return Standing(lists, row, is_kept, reason, np.where(gone, 0, counts), np.where(gone, 0, ms), dropped)


def _with_already_kept(outcomes: Outcomes) -> tuple[ClipLists, int | None]:
    """Made clips, then those already kept in place of their videos' made ones; the first row of the latter."""
    made, kept = outcomes.made, outcomes.already_kept
    if not len(kept.video_id):
        return made, None
    fresh = np.flatnonzero(~pc.is_in(made.video_id, value_set=kept.video_id).to_numpy(zero_copy_only=False))
    counts = made.counts()[fresh]
    first = made.starts[:-1][fresh]
    starts = np.concatenate(([0], np.cumsum(np.concatenate((counts, kept.counts())))))
    return ClipLists(
        pa.concat_arrays([made.video_id.take(pa.array(fresh)), kept.video_id]),
        starts.astype(np.int64),
        np.concatenate((gather(made.n, first, counts), kept.n)),
        np.concatenate((gather(made.ms, first, counts), kept.ms)),
    ), len(fresh)


def _row_in(ids: pa.Array, value_set: pa.Array) -> NDArray[np.int32]:
    """[N] row of each id in a smaller column, -1 where it is not there."""
    found = pc.fill_null(pc.index_in(ids, value_set=value_set), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int32)


def _turn_away_repeated_videos(
    ranked: Ranked,
    duplicates: Duplicates,
    row: NDArray[np.int32],
    is_kept: NDArray[np.bool_],
    reason: NDArray[np.int16],
) -> None:
    """Of each group of videos that repeat each other, the first that can be had stays; sets `reason` of the others."""
    for why, pairs in sorted(duplicates.items()):
        pairs = {a: b for a, b in pairs.items() if "." not in a}
        places = _places_of(ranked, pairs)
        for members in groups_of(pairs.items()):
            at = [places[m] for m in members if m in places and not reason[places[m]]]
            at.sort(key=lambda i: (not is_kept[i], row[i] < 0, int(ranked.rank[i]), i))
            for i in at[1:]:
                if not is_kept[i]:
                    reason[i] = _CODE[why]


def _without_repeated_clips(
    ranked: Ranked,
    duplicates: Duplicates,
    lists: ClipLists,
    row: NDArray[np.int32],
    is_kept: NDArray[np.bool_],
    reason: NDArray[np.int16],
) -> tuple[ClipLists, dict[str, tuple[Reason, str]]]:
    """Of each group of clips that repeat each other, the one in the video that comes first stays."""
    gone = np.zeros(len(lists.n), dtype=np.bool_)
    dropped: dict[str, tuple[Reason, str]] = {}
    for why, pairs in sorted(duplicates.items()):
        pairs = {a: b for a, b in pairs.items() if "." in a}
        found = lists.places({*pairs, *pairs.values()})
        where = _places_of(ranked, {clip.rpartition(".")[0]: "" for clip in found})
        for members in groups_of(pairs.items()):
            here = [m for m in members if m in found and not gone[found[m][1]]]
            at = {m: where[v] for m in here if (v := m.rpartition(".")[0]) in where and not reason[where[v]]}
            order = sorted(at, key=lambda m: (not is_kept[at[m]], int(ranked.rank[at[m]]), at[m], found[m][1]))
            for clip in order[1:]:
                if not is_kept[at[clip]]:
                    gone[found[clip][1]] = True
                    dropped[clip] = (why, order[0])
    return lists.without(gone), dropped


def _name_emptied(
    ranked: Ranked,
    row: NDArray[np.int32],
    counts: NDArray[np.int64],
    dropped: Mapping[str, tuple[Reason, str]],
    reason: NDArray[np.int16],
) -> None:
    """A video all of whose clips are duplicates is one itself."""
    whys = {clip.rpartition(".")[0]: why for clip, (why, _) in sorted(dropped.items())}
    for i in np.flatnonzero((row >= 0) & (counts == 0) & (reason == 0)).tolist():
        reason[i] = _CODE[whys.get(ranked.video_id[i].as_py(), Reason.NO_CLIPS)]


def _places_of(ranked: Ranked, pairs: Mapping[str, str]) -> dict[str, int]:
    rows = rows_of(ranked.video_id, sorted({*pairs, *pairs.values()} - {""}))
    return dict(zip(ranked.video_id.take(pa.array(rows)).to_pylist(), rows.tolist(), strict=True))


# taking


@dataclass(slots=True)
class _Taken:
    """How many of its first clips each candidate gives [N], and how long they are."""

    standing: Standing
    clips: NDArray[np.int64]
    ms: NDArray[np.int64]

    def limit(self, key: NDArray[np.int64], room: NDArray[np.int64], unit: Unit) -> NDArray[np.bool_]:
        """Cuts what is taken so that no key's sum exceeds its room (key -1: free). Returns who is left with nothing."""
        amount = self.clips if unit == "clips" else self.ms
        rows = np.flatnonzero((amount > 0) & (key >= 0))
        allowed = np.clip(room[key[rows]] - before(key[rows], amount[rows]), 0, amount[rows])
        for i, most in zip(
            rows[allowed < amount[rows]].tolist(), allowed[allowed < amount[rows]].tolist(), strict=True
        ):
            self._cut(i, most, unit)
        emptied = np.zeros(len(key), dtype=np.bool_)
        emptied[rows] = self.clips[rows] == 0
        return emptied

    def _cut(self, i: int, most: int, unit: Unit) -> None:
        """Leaves candidate i the longest run of its first clips that amounts to no more than `most`."""
        if most <= 0:
            self.clips[i] = self.ms[i] = 0
            return
        lists, row = self.standing.lists, int(self.standing.row[i])
        first = int(lists.starts[row])
        sums = np.cumsum(lists.ms[first : first + int(self.clips[i])], dtype=np.int64)
        count = most if unit == "clips" else int(np.searchsorted(sums, most, side="right"))
        self.clips[i] = count
        self.ms[i] = sums[count - 1] if count else 0


def before(key: NDArray[np.int64], amount: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n] sum of the amounts of earlier entries with the same key."""
    order = np.argsort(key, kind="stable")
    sums = np.cumsum(amount[order]) - amount[order]
    first = np.flatnonzero(np.diff(key[order], prepend=-2))
    starts = np.repeat(sums[first], np.diff(np.append(first, len(key))))
    out = np.empty(len(key), dtype=np.int64)
    out[order] = sums - starts
    return out


def select(ranked: Ranked, outcomes: Outcomes, config: BalanceConfig) -> Selection:
    """The selection from what exists: quotas over the real supply, filled in rank order."""
    now = standing(ranked, outcomes)
    quotas = plan_quotas(_existing_supply(ranked, now, config), config)
    taken, over_channel = _take(ranked, now, quotas, config)
    result = explain(ranked, quotas, now, taken.clips, taken.ms)
    reason = _reasons(ranked, now, taken, over_channel, quotas)
    table = _selection_table(ranked, now, taken, reason, outcomes.duplicates)
    return Selection(table, now.dropped, quotas, result)


def _existing_supply(ranked: Ranked, now: Standing, config: BalanceConfig) -> Supply:
    kept = np.where(now.is_kept_already, now.amount(config.unit), 0)
    return supply_of(ranked, config, now.clips, now.ms, kept)


def _take(ranked: Ranked, now: Standing, quotas: Quotas, config: BalanceConfig) -> tuple[_Taken, NDArray[np.bool_]]:
    """What is taken, and the mask of those that their channel's limit left with nothing."""
    unit = quotas.unit
    free = ~now.is_kept_already
    taken = _Taken(now, np.where(free, now.clips, 0), np.where(free, now.ms, 0))
    place, ids = category_places(ranked, quotas)
    over_channel = np.zeros(len(ranked), dtype=np.bool_)
    kept = np.where(free, 0, now.amount(unit))
    if config.max_channel_share < 1:
        over_channel = taken.limit(*channel_rooms(ranked, quotas, kept), unit)
    quota = np.array([quotas.by_category[i].quota for i in ids], dtype=np.int64)
    taken.limit(place, quota - _sums(place, kept, len(ids)), unit)
    if unit == "clips":
        cap = np.full(len(ids), to_amount(config.max_hours_per_category, "hours"), dtype=np.int64)
        taken.limit(place, cap - _sums(place, np.where(free, 0, now.ms), len(ids)), "hours")
    taken.clips += np.where(free, 0, now.clips)
    taken.ms += np.where(free, 0, now.ms)
    return taken, over_channel


def category_places(ranked: Ranked, quotas: Quotas) -> tuple[NDArray[np.int64], list[int]]:
    """[N] place of each candidate's category among the quotas' ids, -1 where policies leave it alone; the ids."""
    ids = sorted(quotas.by_category)
    place = np.minimum(np.searchsorted(ids, ranked.category_id), len(ids) - 1)
    return np.where(np.array(ids)[place] == ranked.category_id, place, -1), ids


def channel_rooms(
    ranked: Ranked, quotas: Quotas, held: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys [N] (channel within category, -1 for none) and the room [G] that `held` amounts [N] leave each channel."""
    free = np.iinfo(np.int64).max // 4
    caps = {i: q.channel_cap if q.channel_cap is not None else free for i, q in quotas.by_category.items()}
    room = np.array([caps.get(i, free) for i in ranked.group_category.tolist()], dtype=np.int64)
    key = ranked.group.astype(np.int64)
    return key, room - _sums(key, held, len(room))


def _sums(key: NDArray[np.int64], amount: NDArray[np.int64], n_keys: int) -> NDArray[np.int64]:
    sums = np.zeros(n_keys, dtype=np.int64)
    rows = np.flatnonzero((amount > 0) & (key >= 0))
    np.add.at(sums, key[rows], amount[rows])
    return sums


# the table


def _reasons(
    ranked: Ranked, now: Standing, taken: _Taken, over_channel: NDArray[np.bool_], quotas: Quotas
) -> NDArray[np.int16]:
    """[N] why a candidate gives nothing, 0 for those that give something."""
    reason = np.full(len(ranked), _CODE[Reason.OVER_QUOTA], dtype=np.int16)
    reason[over_channel] = _CODE[Reason.OVER_CHANNEL_CAP]
    untried = now.is_open
    reason[untried] = _CODE[Reason.NOT_NEEDED]
    if any(q.channel_cap is not None for q in quotas.by_category.values()):
        key, room = channel_rooms(ranked, quotas, taken.clips if quotas.unit == "clips" else taken.ms)
        full = np.append(room, 1)[key] <= 0  # key -1, a channel that is not known, always has room
        reason[untried & full] = _CODE[Reason.OVER_CHANNEL_CAP]
    reason = np.where(now.reason != 0, now.reason, reason)
    reason[taken.clips > 0] = 0
    return reason.astype(np.int16)


def _selection_table(
    ranked: Ranked, now: Standing, taken: _Taken, reason: NDArray[np.int16], duplicates: Duplicates
) -> pa.Table:
    starts = np.concatenate(([0], np.cumsum(taken.clips))).astype(np.int32)
    has_some = np.flatnonzero(taken.clips)
    kept_n = gather(now.lists.n, now.lists.starts[now.row[has_some]], taken.clips[has_some])
    reasons = pa.DictionaryArray.from_arrays(pa.array(reason), pa.array(REASONS))
    counts = np.append(now.lists.counts(), 0).astype(np.int32)
    exists = np.where(now.row >= 0, counts[now.row], ranked.n_clips)
    return pa.table(
        {
            "video_id": ranked.video_id,
            "category_id": ranked.category_id,
            "channel_id": ranked.channel_id.cast(pa.string()),
            "group": _groups_column(ranked, duplicates),
            "rank": ranked.rank.astype(np.int64),
            "kept": taken.clips > 0,
            "reason": reasons.cast(pa.string()),
            "n_clips": exists,
            "clips_kept": pa.ListArray.from_arrays(pa.array(starts), pa.array(kept_n)),
            "hours_kept": taken.ms / MS_PER_HOUR,
        },
        schema=SELECTION,
    )


def _groups_column(ranked: Ranked, duplicates: Duplicates) -> pa.Array:
    """[N] the first, by id, of the videos that share pictures or words with this one; its own id where alone."""
    links = {(_video_of(a), _video_of(b)) for same in duplicates.values() for a, b in same.items()}
    first = {video: members[0] for members in groups_of(links) for video in members if video != members[0]}
    rows = rows_of(ranked.video_id, sorted(first))
    if not len(rows):
        return ranked.video_id
    mask = np.zeros(len(ranked), dtype=np.bool_)
    mask[rows] = True
    names = [first[video] for video in ranked.video_id.take(pa.array(rows)).to_pylist()]
    return pc.replace_with_mask(ranked.video_id, pa.array(mask), pa.array(names, pa.string()))


def _video_of(video_or_clip: str) -> str:
    return video_or_clip.partition(".")[0]
