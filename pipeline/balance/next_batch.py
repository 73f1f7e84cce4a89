"""Plans batches: which videos' media to fetch next, so that the quotas fill with few downloads.

    while batch := next_batch(ranked, outcomes, config):
        run the media stage on those videos; read `outcomes` again
    select(ranked, outcomes, config)

A batch is a pure function of its inputs. While the crawl and other batches are in progress, the inputs are
less than all there is: the first candidates in recorded order, the results of earlier batches, and at most its share of
the total for each category, since more candidates are still to come (`Ahead`).

A batch goes down each category's order and stops where the planned clips, times the share of planned clips that have
survived in that category so far, fill what is missing. Quotas are computed anew each time: a category that runs out of
candidates passes its part on to the others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from manifests.reasons import Reason
from pipeline.balance.clip_lists import rows_of
from pipeline.balance.quotas import Quotas, plan_quotas, supply_of
from pipeline.balance.ranking import Ranked, in_unit
from pipeline.balance.selection import before, category_indices, channel_rooms
from pipeline.balance.standing import CODE_OF, Outcomes, Standing, standing
from pipeline.config.balance import BalanceConfig

MARGIN = 1.05
"""Media asked for, as a multiple of what is expected to fill the quotas: estimates of what survives are often high."""
MOST_TRIES = 200
"""A run stops trying to fill the quotas after this many batches that were smaller than they may be."""
PRIOR_VIDEOS = 20
"""The survival over all categories weighs as much as this many videos of a category's own."""


@dataclass(frozen=True, slots=True)
class Ahead:
    """What a plan made ahead has to allow for.

    `under_way`: ids in batches without a result yet. `shares`: the most that each category may get for now, by id ({}:
    no more candidates come, and each may get what others leave). `reserve`: what will be found beyond the quotas, as a
    share of them: while more candidates come, only the part of each order is fetched that will not be reserve.
    """

    under_way: Sequence[str] = ()
    shares: Mapping[int, int] = field(default_factory=dict)
    reserve: float = 0.0


def next_batch(
    ranked: Ranked, outcomes: Outcomes, config: BalanceConfig, ahead: Ahead | None = None, most_videos: int = 0
) -> list[str]:
    """Returns ids of the videos to fetch next, best ranks first; [] if the quotas are full or nothing is left to try.

    `most_videos`: at most this many, the best ranks of all categories; 0: all that are needed.
    """
    ahead = ahead or Ahead()
    current = standing(ranked, outcomes)
    if not current.is_open.any():
        return []
    under_way = np.zeros(len(ranked), dtype=np.bool_)
    under_way[rows_of(ranked.video_id, sorted(ahead.under_way))] = True
    under_way &= current.is_open
    unit = config.unit
    planned = ranked.planned(unit)
    clips, ms = _that_count(current)
    have = in_unit(unit, clips, ms)
    open_clips = np.where(current.is_open, ranked.n_clips, 0).astype(np.int64)
    open_ms = np.where(current.is_open, ranked.clips_ms, 0)
    quotas = plan_quotas(
        supply_of(ranked, config, clips + open_clips, ms + open_ms, current.kept_amount(unit)), config, ahead.shares
    )
    index, ids = category_indices(ranked, quotas)
    survival = _survival(current, planned, current.amount(unit), index, len(ids))
    likely = planned * survival
    expected = np.where(current.is_open, likely if unit == "videos" else np.maximum(1, np.rint(likely)), 0.0)
    held, expected = np.where(under_way, expected, have), np.where(under_way, 0.0, expected)
    held, expected = _under_channel_limit(ranked, quotas, config, held, expected)
    need = _need(quotas, ids, index, held, ranked.n_clips, planned)
    is_early = _is_of_the_first(planned, index, len(ids), 1 / (1 + ahead.reserve) if ahead.shares else 1.0)
    wanted = _down_the_order(current.is_open & is_early, index, expected, need, MARGIN)
    rows = wanted[np.lexsort((ranked.category_id[wanted], ranked.rank[wanted]))]
    rows = rows[:most_videos] if most_videos else rows
    ids_in_order: list[str] = ranked.video_id.take(rows).to_pylist()
    return ids_in_order


def _that_count(current: Standing) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """[N] clips that exist and can still be taken, or are in shards, and their milliseconds: no more are taken from a
    video that is in shards.
    """
    is_closed = current.kept_clips > 0
    return np.where(is_closed, current.kept_clips, current.clips), np.where(is_closed, current.kept_ms, current.ms)


def _survival(
    current: Standing, planned: NDArray[np.int64], have: NDArray[np.int64], index: NDArray[np.int64], n_categories: int
) -> NDArray[np.float64]:
    """[N] the share of planned clips that came to exist, in the candidate's category; 1 before anything was tried.

    Videos that were never fetched because they repeat another don't count.
    """
    repeats = np.isin(current.reason, [CODE_OF[r] for r in (Reason.DUPLICATE_TEXT, Reason.DUPLICATE_VIDEO)])
    tried = np.flatnonzero(~current.is_open & ~(repeats & (current.row < 0)) & (planned > 0))
    whole = int(planned[tried].sum())
    overall = min(1.0, int(have[tried].sum()) / whole) if whole else 1.0
    slots = index[tried] + 1  # slot 0: categories that the policy does not name
    promised = np.bincount(slots, weights=planned[tried], minlength=n_categories + 1)
    came = np.bincount(slots, weights=have[tried], minlength=n_categories + 1)
    prior = PRIOR_VIDEOS * (whole / len(tried) if len(tried) else 1.0)
    return np.clip((came + prior * overall) / (promised + prior), 0.05, 1.0)[index + 1]


def _under_channel_limit(
    ranked: Ranked, quotas: Quotas, config: BalanceConfig, have: NDArray[np.float64], expected: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`have` and `expected` [N], without what a channel gives beyond its share."""
    if config.max_channel_share >= 1:
        return have, expected
    key, room = channel_rooms(ranked, quotas)
    known = np.flatnonzero(key >= 0)
    both = [have[known], expected[known]]  # what exists comes before what is only expected
    seen = before(np.tile(key[known], 2), np.concatenate(both))
    left = np.maximum(0, np.tile(room[key[known]], 2) - seen)
    have, expected = have.copy(), expected.copy()
    have[known] = np.minimum(both[0], left[: len(known)])
    expected[known] = np.minimum(both[1], left[len(known) :])
    return have, expected


def _need(
    quotas: Quotas,
    ids: list[int],
    index: NDArray[np.int64],
    have: NDArray[np.float64],
    n_clips: NDArray[np.int32],
    planned: NDArray[np.int64],
) -> NDArray[np.float64]:
    """[K] the amount that each category lacks; 0 if less than one clip of mean length, which no video could fill."""
    asked = index >= 0
    held = np.bincount(index[asked], weights=have[asked], minlength=len(ids))
    clips = np.bincount(index[asked], weights=n_clips[asked], minlength=len(ids))
    amount = np.bincount(index[asked], weights=planned[asked], minlength=len(ids))
    one_clip = amount / np.maximum(1, clips)
    missing = np.array([quotas.by_category[i].quota for i in ids]) - held
    return np.where(missing >= np.maximum(1, one_clip), missing, 0)


def _is_of_the_first(
    planned: NDArray[np.int64], index: NDArray[np.int64], n_categories: int, share: float
) -> NDArray[np.bool_]:
    """[N] whether a candidate is in the first part of its category's order that has this share of what is planned."""
    slots = index + 1  # slot 0: categories that the policy does not name
    whole = np.bincount(slots, weights=planned, minlength=n_categories + 1)
    return np.asarray((index < 0) | (before(slots, planned) < share * whole[slots]))


def _down_the_order(
    is_open: NDArray[np.bool_],
    index: NDArray[np.int64],
    expected: NDArray[np.float64],
    need: NDArray[np.float64],
    margin: float,
) -> NDArray[np.int64]:
    """Rows of open candidates, down each category's order until its need is filled; all if no policy applies."""
    rows = np.flatnonzero(is_open & (expected > 0))
    ahead = before(index[rows], expected[rows])
    wanted = np.ceil(need * margin)
    return np.asarray(rows[(index[rows] < 0) | (ahead < np.append(wanted, 0)[index[rows]])])
