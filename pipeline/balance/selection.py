"""Balance, second half: selects what is kept of what exists, and the reason for leaving out each other candidate.

In:  `Ranked` candidates; `Outcomes`, the media stage's results for those that it tried
Out: `Selection`: the table selection.parquet, the clips dropped as duplicates, and a result with explanations

Videos are taken in the order of their category. The last of a category (or of a channel that has its share) is
taken in part, its first clips by n, so that a quota is met to the clip. A limit is never exceeded. The same outcomes
give the same selection, whether or not its clips are in shards already.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.reasons import Reason
from manifests.schema import SELECTION
from pipeline.balance.clip_lists import rows_of, runs_of
from pipeline.balance.quotas import MS_PER_HOUR, Quota, Quotas, Supply, plan_quotas, supply_of, to_amount
from pipeline.balance.ranking import Ranked, in_unit
from pipeline.balance.result import BalanceResult, result_of
from pipeline.balance.standing import CODE_OF, Duplicates, Outcomes, Standing, standing
from pipeline.balance.whole_clips import Channels, Room, fill_up
from pipeline.config.balance import BalanceConfig, Unit
from pipeline.likeness.groups import groups_of


@dataclass(frozen=True, slots=True)
class Selection:
    """`pieces` gives the rows of the table (manifests.schema.SELECTION), some at a time: sorted by category and rank.
    `dropped` are clips that are duplicates.
    """

    pieces: Callable[[int], Iterator[pa.Table]]
    dropped: Mapping[str, tuple[Reason, str]]
    quotas: Quotas
    result: BalanceResult

    @property
    def table(self) -> pa.Table:
        """The whole table: 200 bytes a video."""
        return pa.concat_tables(self.pieces(1 << 62))


# taking


@dataclass(slots=True)
class _Taken:
    """How many of its first clips each candidate gives [N], and their duration."""

    standing: Standing
    clips: NDArray[np.int64]
    ms: NDArray[np.int64]

    def limit(self, key: NDArray[np.int64], room: NDArray[np.int64], unit: Unit) -> None:
        """Cuts what is taken, from the end of each key's order, so that no sum exceeds its room (key -1: no limit)."""
        amount = in_unit(unit, self.clips, self.ms)
        rows = np.flatnonzero((amount > 0) & (key >= 0))
        allowed = np.clip(room[key[rows]] - before(key[rows], amount[rows]), 0, amount[rows])
        in_part = (allowed > 0) & (allowed < amount[rows])
        for i, most in zip(rows[in_part].tolist(), allowed[in_part].tolist(), strict=True):
            self._cut(i, most, unit)
        self.clips[rows[allowed == 0]] = 0
        self.ms[rows[allowed == 0]] = 0

    def _cut(self, i: int, most: int, unit: Unit) -> None:
        """Cuts candidate i to the longest run of its first clips that amounts to no more than `most`."""
        lists, row = self.standing.lists, int(self.standing.row[i])
        first = int(lists.starts[row])
        sums = np.cumsum(lists.ms[first : first + int(self.clips[i])], dtype=np.int64)
        count = most if unit == "clips" else int(np.searchsorted(sums, most, side="right"))
        self.clips[i] = count
        self.ms[i] = sums[count - 1] if count else 0


def before(key: NDArray[np.int64], amount: NDArray[Any]) -> NDArray[Any]:
    """[n] the sum of the amounts of earlier entries with the same key."""
    order = np.argsort(key, kind="stable")
    sums = np.cumsum(amount[order]) - amount[order]
    first = np.flatnonzero(np.diff(key[order], prepend=-2))
    starts = np.repeat(sums[first], np.diff(np.append(first, len(key))))
    out = np.empty(len(key), dtype=amount.dtype)
    out[order] = sums - starts
    return out


def select(
    ranked: Ranked, outcomes: Outcomes, config: BalanceConfig, shares: Mapping[int, int] | None = None
) -> Selection:
    """Selects from what exists: quotas over the real supply, filled in rank order.

    `shares`: the most of each category while more candidates are still to come; None: the final selection.
    """
    current = standing(ranked, outcomes)
    quotas, taken = _fill(ranked, current, config, shares or {})
    result = result_of(ranked, quotas, current, taken.clips, taken.ms)
    reason = _reasons(ranked, current, taken, quotas)
    groups = _groups_column(ranked, outcomes.duplicates)

    def pieces(n_rows: int) -> Iterator[pa.Table]:
        for first in range(0, max(1, len(ranked)), n_rows):
            yield _rows_of_selection(ranked, current, taken, reason, groups, first, min(n_rows, len(ranked) - first))

    return Selection(pieces, current.dropped, quotas, result)


def _fill(ranked: Ranked, current: Standing, config: BalanceConfig, shares: Mapping[int, int]) -> tuple[Quotas, _Taken]:
    """Computes quotas and what is taken under them.

    Unless the unit is hours, the effect of the cap in hours is known only once clips are taken: then what it cut off
    is no longer counted as available, and channels get their share of what is left.
    """
    unkept = replace(current, kept_clips=np.zeros_like(current.kept_clips), kept_ms=np.zeros_like(current.kept_ms))
    supply = _existing_supply(ranked, unkept, config)
    most = dict(shares)
    while True:  # as if nothing were in shards: shards must not change what the cap in hours leaves
        quotas = plan_quotas(supply, config, most)
        taken, cut = _take(ranked, unkept, quotas, config)
        lower = {i: amount for i, amount in cut.items() if amount < most.get(i, quotas.by_category[i].quota)}
        if not lower:
            break
        most |= lower
    is_final = not shares
    rounded = _in_whole_clips(ranked, unkept, quotas, taken) if is_final else quotas
    if not current.kept_clips.any():
        return rounded, taken
    supply = _existing_supply(ranked, current, config)
    kept = {i: _without_rounding(amount, i, quotas, rounded) for i, amount in supply.already_kept.items()}
    quotas = plan_quotas(replace(supply, already_kept=kept), config, most)
    taken = _take(ranked, current, quotas, config)[0]
    return _in_whole_clips(ranked, current, quotas, taken) if is_final else quotas, taken


def _without_rounding(kept: int, category_id: int, quotas: Quotas, rounded: Quotas) -> int:
    """What shards hold of a category, without the clip that it got beyond its quota because that was left of others."""
    quota, most = quotas.quota(category_id), rounded.quota(category_id)
    return min(kept, quota) if quota is not None and most is not None and kept <= most else kept


def _in_whole_clips(ranked: Ranked, current: Standing, quotas: Quotas, taken: _Taken) -> Quotas:
    """Adds to what is taken, if the unit is hours, what cutting left of the quotas; those that grew are returned so."""
    if quotas.unit != "hours" or quotas.total is None:
        return quotas
    index, ids = category_indices(ranked, quotas)
    sums = _sums(index, taken.ms, len(ids)).tolist()
    asked = [quotas.by_category[i] for i in ids]
    more = (taken.clips < current.clips) & (current.reason == 0)
    rooms = [
        Room(np.flatnonzero(more & (index == k)), quota.weight, sums[k], min(quota.available, quota.cap))
        for k, quota in enumerate(asked)
    ]
    key, room = channel_rooms(ranked, quotas)
    left = sum(max(0, quota.quota - have) for quota, have in zip(asked, sums, strict=True))
    left -= sum(max(0, have - quota.quota) for quota, have in zip(asked, sums, strict=True))
    channels = Channels.of(key, _sums(key, taken.ms, len(room)), room)
    fill_up(current, taken.clips, taken.ms, rooms, channels, left)
    one_clip = _sums(index, current.ms, len(ids)) / np.maximum(1, _sums(index, current.clips, len(ids)))
    total = quotas.total
    met = [_met(quota, room_, total, mean) for quota, room_, mean in zip(asked, rooms, one_clip.tolist(), strict=True)]
    by_category = dict(zip(ids, met, strict=True))
    return replace(quotas, by_category={i: by_category[i] for i in quotas.by_category})


def _met(quota: Quota, room: Room, total: int, one_clip: float) -> Quota:
    """A quota as it was met, which may be more by a clip. It has its share where less than a clip of it is missing, or
    only the length of the next clip keeps it from more.
    """
    grown = replace(quota, quota=max(quota.quota, room.taken))
    exact = quota.weight * total
    is_near = room.is_rounded or exact - one_clip < room.taken < exact
    return replace(grown, binding="share", has_share=True) if is_near and quota.binding == "channel_share" else grown


def _existing_supply(ranked: Ranked, current: Standing, config: BalanceConfig) -> Supply:
    return supply_of(ranked, config, current.clips, current.ms, current.kept_amount(config.unit))


def _take(ranked: Ranked, current: Standing, quotas: Quotas, config: BalanceConfig) -> tuple[_Taken, dict[int, int]]:
    """Takes what is in shards and, beyond it, what channels, quotas and the cap in hours have room for.

    Also returns the amounts left in each category that the cap in hours cut, if the unit is not hours.
    """
    cut: dict[int, int] = {}
    unit = quotas.unit
    free = current.kept_clips == 0
    taken = _Taken(current, np.where(free, current.clips, 0), np.where(free, current.ms, 0))
    index, ids = category_indices(ranked, quotas)
    if config.max_channel_share < 1:
        key, room = channel_rooms(ranked, quotas)
        taken.limit(key, _beyond_kept(current, key, room, unit), unit)
    quota = np.array([quotas.by_category[i].quota for i in ids], dtype=np.int64)
    taken.limit(index, _beyond_kept(current, index, quota, unit), unit)
    if unit != "hours":
        cap = np.full(len(ids), to_amount(config.max_hours_per_category, "hours"), dtype=np.int64)
        before_cap = _sums(index, in_unit(unit, taken.clips, taken.ms), len(ids))
        taken.limit(index, _beyond_kept(current, index, cap, "hours"), "hours")
        amounts = in_unit(unit, taken.clips, taken.ms), current.kept_amount(unit)
        left, kept = (_sums(index, amount, len(ids)) for amount in amounts)
        cut = {ids[k]: int(left[k] + kept[k]) for k in np.flatnonzero(left < before_cap).tolist()}
    taken.clips += current.kept_clips
    taken.ms += current.kept_ms
    return taken, cut


def _beyond_kept(current: Standing, key: NDArray[np.int64], room: NDArray[np.int64], unit: Unit) -> NDArray[np.int64]:
    """The room [K] that clips in shards leave for each key.

    Room for less than the next clip of a partly taken video does not count: it was left over when that video was cut,
    and nothing may fill it now.
    """
    left = room - _sums(key, current.kept_amount(unit), len(room))
    for i in np.flatnonzero((current.kept_clips > 0) & (current.kept_clips < current.clips) & (key >= 0)).tolist():
        next_clip = int(current.lists.starts[current.row[i]] + current.kept_clips[i])
        if left[key[i]] < (current.lists.ms[next_clip] if unit == "hours" else 1):
            left[key[i]] = 0
    return np.asarray(np.maximum(0, left))


def category_indices(ranked: Ranked, quotas: Quotas) -> tuple[NDArray[np.int64], list[int]]:
    """[N] index of each candidate's category among the quotas' ids, -1 if the policy does not name it; and the ids."""
    ids = sorted(quotas.by_category)
    index = np.minimum(np.searchsorted(ids, ranked.category_id), len(ids) - 1)
    return np.where(np.array(ids)[index] == ranked.category_id, index, -1), ids


def channel_rooms(ranked: Ranked, quotas: Quotas) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys [N] (channel within category, -1 for none), and the most that each [G] may have."""
    free = np.iinfo(np.int64).max // 4
    caps = {i: q.channel_cap if q.channel_cap is not None else free for i, q in quotas.by_category.items()}
    room = np.array([caps.get(i, free) for i in ranked.group_category.tolist()], dtype=np.int64)
    return ranked.group.astype(np.int64), room


def _sums(key: NDArray[np.int64], amount: NDArray[np.int64], n_keys: int) -> NDArray[np.int64]:
    sums = np.zeros(n_keys, dtype=np.int64)
    rows = np.flatnonzero((amount > 0) & (key >= 0))
    np.add.at(sums, key[rows], amount[rows])
    return sums


# the table


def _reasons(ranked: Ranked, current: Standing, taken: _Taken, quotas: Quotas) -> NDArray[np.int16]:
    """[N] the reason why a candidate gives nothing, 0 for those that give something."""
    reason = np.where(current.is_open, CODE_OF[Reason.NOT_NEEDED], CODE_OF[Reason.OVER_QUOTA])
    reason = np.where(current.reason != 0, current.reason, reason).astype(np.int16)
    reason[taken.clips > 0] = 0
    if any(q.channel_cap is not None for q in quotas.by_category.values()):
        reason[_of_full_channels(ranked, current, taken, quotas)] = CODE_OF[Reason.OVER_CHANNEL_CAP]
    return reason


def _of_full_channels(ranked: Ranked, current: Standing, taken: _Taken, quotas: Quotas) -> NDArray[np.int64]:
    """Rows of left-out candidates whose channel, in the final result, has no room for one clip of them."""
    key, room = channel_rooms(ranked, quotas)
    left = room - _sums(key, in_unit(quotas.unit, taken.clips, taken.ms), len(room))
    rows = np.flatnonzero((key >= 0) & (taken.clips == 0) & (current.reason == 0))
    if quotas.unit != "hours":
        return rows[left[key[rows]] < 1]
    one_clip = ranked.clips_ms[rows] // np.maximum(1, ranked.n_clips[rows])
    made = current.row[rows] >= 0
    one_clip[made] = current.lists.ms[current.lists.starts[current.row[rows][made]]]
    return rows[left[key[rows]] < one_clip]


def _rows_of_selection(
    ranked: Ranked,
    current: Standing,
    taken: _Taken,
    reason: NDArray[np.int16],
    groups: pa.Array,
    first: int,
    n_rows: int,
) -> pa.Table:
    span = slice(first, first + n_rows)
    clips, row = taken.clips[span], current.row[span]
    starts = np.concatenate(([0], np.cumsum(clips))).astype(np.int32)
    has_some = np.flatnonzero(clips)
    kept_n = runs_of(current.lists.n, current.lists.starts[row[has_some]], clips[has_some])
    reasons = pa.DictionaryArray.from_arrays(pa.array(reason[span]), pa.array(list(CODE_OF)))
    counts = np.diff(np.stack([current.lists.starts[row], current.lists.starts[row + 1]]), axis=0)[0]
    return pa.table(
        {
            "video_id": ranked.video_id.slice(first, n_rows),
            "category_id": ranked.category_id[span],
            "channel_id": ranked.channel_id.slice(first, n_rows).cast(pa.string()),
            "group": groups.slice(first, n_rows),
            "rank": ranked.rank[span].astype(np.int64),
            "kept": clips > 0,
            "reason": reasons.cast(pa.string()),
            "n_clips": np.where(row >= 0, counts, ranked.n_clips[span]).astype(np.int32),
            "clips_kept": pa.ListArray.from_arrays(pa.array(starts), pa.array(kept_n.astype(np.int32))),
            "hours_kept": taken.ms[span] / MS_PER_HOUR,
        },
        schema=SELECTION,
    )


def _groups_column(ranked: Ranked, duplicates: Duplicates) -> pa.Array:
    """[N] the first, by id, of the videos that share pictures or words with this one; its own id if there are none."""
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
