"""Computes how much of each category is wanted: water-filling over the supply.

In:  `Supply`, the amounts that candidates promise or that exist of them
Out: `Quotas`, an amount per category, and what limits it

Amounts are integers (clips, videos, or milliseconds where the unit is hours), so that sums never depend on their order.
`ranking.py` decides the order of a category's videos, `next_batch.py` what to fetch, `selection.py` what to keep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from manifests.categories import UNCATEGORISED_ID, load_categories
from pipeline.balance.ranking import Ranked, in_unit, spans_of
from pipeline.balance.water_fill import water_fill
from pipeline.config import RunConfig
from pipeline.config.balance import BalanceConfig, Unit, find_category

MS_PER_HOUR = 3_600_000
Binding = Literal["share", "supply", "hours_cap", "channel_share", "already_kept", "not_asked", "left_over", "none"]
"""What keeps a category from more: its share of the total asked for, or a limit. See docs/balance.md."""


@dataclass(frozen=True, slots=True)
class Supply:
    """The supply: amounts in the configured unit, by category id.

    `amount`: all there is. `one_clip`: a clip of mean length (1 where it is not given). `channels`: the amounts of each
    known channel, ascending; `no_channel`: those of unknown channels. `already_kept`: amounts in earlier
    generations; they are part of the supply. `within_hours`: the part before the cap in hours, in rank order (including
    the video that crosses the cap).
    """

    amount: Mapping[int, int]
    one_clip: Mapping[int, int]
    channels: Mapping[int, NDArray[np.int64]]
    no_channel: Mapping[int, int]
    already_kept: Mapping[int, int]
    within_hours: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Quota:
    """A category's quota. Amounts are integers.

    `asked` is the policy's share of the total (None: as much as there is), `quota` the result of water-filling;
    `has_share`: it misses less than a clip of the exact share.
    """

    category_id: int
    weight: float
    asked: int | None
    available: int
    cap: int
    channel_cap: int | None
    quota: int
    has_share: bool
    binding: Binding


@dataclass(frozen=True, slots=True)
class Quotas:
    """The amounts wanted of every category that the policy names and, if there is a total, of what has no category."""

    unit: Unit
    total: int | None
    by_category: Mapping[int, Quota]

    def quota(self, category_id: int) -> int | None:
        """The amount wanted; None for a category that the policy does not name."""
        category = self.by_category.get(category_id)
        return category.quota if category else None


def plan_quotas(supply: Supply, config: BalanceConfig, most: Mapping[int, int] | None = None) -> Quotas:
    """Quotas whose total is as large as asked and as even (by weight) as supply, caps and channel limit allow.

    `most`: the amount that the cap in hours actually left of a category, where known.
    """
    most = most or {}
    weights = category_weights(config)
    ids = list(weights)
    available = [supply.amount.get(i, 0) for i in ids]
    caps = [min(supply.within_hours.get(i, 0), most.get(i, available[k])) for k, i in enumerate(ids)]
    floors = [min(supply.already_kept.get(i, 0), have) for i, have in zip(ids, available, strict=True)]
    limits = [
        max(floor, _reachable(supply, config, i, min(have, cap)))
        for i, have, cap, floor in zip(ids, available, caps, floors, strict=True)
    ]
    total = total_amount(config)
    floor = 0 if total is None else min(supply.already_kept.get(UNCATEGORISED_ID, 0), total)
    of_these = None if total is None else total - floor  # what shards hold without a category counts
    shares = [Fraction(str(weights[i])) for i in ids]
    nothing = [0] * len(ids)
    # as if nothing were in shards: the binding limits follow from that, so that shards don't change the answer
    natural = _fill_under_channel_limit(supply, config, ids, shares, nothing, limits, total)
    amounts = _fill_under_channel_limit(supply, config, ids, shares, floors, limits, of_these)
    asked = water_fill(shares, [0] * len(ids), [total or 0] * len(ids), total)  # their sum is the total
    whole = sum(shares)
    is_short = total is not None and sum(natural) < total
    by_category = {}
    for k, category_id in enumerate(ids):
        exact = None if total is None else shares[k] / whole * total
        has_share = exact is not None and amounts[k] > exact - supply.one_clip.get(category_id, 1)
        # a category that has more than its share and could take what others leave is limited; with less, it is rounded
        fills = exact is not None and has_share and (amounts[k] < exact or not is_short)
        by_category[category_id] = Quota(
            category_id=category_id,
            weight=float(shares[k] / whole),
            asked=None if total is None and shares[k] else asked[k],
            available=available[k],
            cap=caps[k],
            channel_cap=_channel_cap(supply, config, category_id, amounts[k]),
            quota=amounts[k],
            has_share=has_share,
            binding=_binding(amounts[k], natural[k], limits[k], available[k], caps[k], bool(shares[k]), fills),
        )
    if total is not None:
        left = max(floor, total - sum(amounts))
        by_category[UNCATEGORISED_ID] = _uncategorised(supply, left, most.get(UNCATEGORISED_ID))
    return Quotas(config.unit, total, by_category)


def _uncategorised(supply: Supply, left: int, most: int | None) -> Quota:
    """The quota of videos without a category: what the categories leave of the total."""
    available = supply.amount.get(UNCATEGORISED_ID, 0)
    cap = min(supply.within_hours.get(UNCATEGORISED_ID, 0), available if most is None else most)
    quota = max(min(left, cap), min(supply.already_kept.get(UNCATEGORISED_ID, 0), available))
    if quota == available:
        binding: Binding = "none"
    else:
        binding = "hours_cap" if quota == cap else "left_over"
    return Quota(UNCATEGORISED_ID, 0.0, 0, available, cap, None, quota, False, binding)


def balance_of(config: RunConfig) -> BalanceConfig:
    """The balance of a run: as configured, but categories that are not crawled weigh nothing."""
    crawled = config.crawled_categories()
    if crawled is None:
        return config.balance
    weights = {str(i): weight for i, weight in category_weights(config.balance).items() if i in crawled}
    return config.balance.model_copy(update={"policy": "weights", "weights": weights})


def category_weights(config: BalanceConfig) -> dict[int, float]:
    """Weight by category id, for all 15; 0 if custom weights omit a category."""
    if config.policy == "equal":
        return {c.id: 1.0 for c in load_categories()}
    if config.policy == "hd-vila":
        return {c.id: c.hd_vila_clips for c in load_categories()}
    own = {c.id: 0.0 for c in load_categories()}
    for name, weight in config.weights.items():
        category = find_category(name)
        assert category is not None  # the configuration has checked it
        own[category.id] += weight
    return own


def total_amount(config: BalanceConfig) -> int | None:
    """The total wanted, as an integer amount; None: as much as there is."""
    return None if config.total is None else to_amount(config.total, config.unit)


def to_amount(value: float, unit: Unit) -> int:
    """Converts clips, hours or videos to the integers that the balance counts with: hours to milliseconds."""
    return round(value * MS_PER_HOUR) if unit == "hours" else round(value)


def from_amount(amount: int, unit: Unit) -> float:
    """Converts them back."""
    return amount / MS_PER_HOUR if unit == "hours" else float(amount)


def supply_of(
    ranked: Ranked,
    config: BalanceConfig,
    clips: NDArray[np.int64],
    ms: NDArray[np.int64],
    kept: NDArray[np.int64] | None = None,
) -> Supply:
    """Makes the supply from what each ranked candidate gives [N]; `kept`: the amounts already in the data set."""
    amount = in_unit(config.unit, clips, ms)
    spans = spans_of(ranked.category_id)
    known = ranked.group >= 0
    by_group = np.bincount(ranked.group[known], weights=amount[known], minlength=len(ranked.group_category))
    by_group = by_group.astype(np.int64)  # exact: sums stay far below 2 ** 53

    def by_category(values: NDArray[np.int64]) -> dict[int, int]:
        return {category_id: int(values[span].sum()) for category_id, span in spans}

    return Supply(
        amount=by_category(amount),
        one_clip=_mean_clips(by_category(clips), by_category(ms)) if config.unit == "hours" else {},
        channels={i: np.sort(by_group[(ranked.group_category == i) & (by_group > 0)]) for i, _ in spans},
        no_channel=by_category(np.where(known, 0, amount)),
        already_kept=by_category(kept) if kept is not None else {},
        within_hours={i: _within_hours(ms[span], amount[span], config) for i, span in spans},
    )


def _within_hours(ms: NDArray[np.int64], amount: NDArray[np.int64], config: BalanceConfig) -> int:
    """The part of a category's amounts, in rank order, that comes before the cap in hours."""
    cap_ms = to_amount(config.max_hours_per_category, "hours")
    if config.unit == "hours":
        return min(cap_ms, int(ms.sum()))
    earlier = np.cumsum(ms) - ms
    return int(amount[earlier < cap_ms].sum())


# the channel limit


def _channel_cap(supply: Supply, config: BalanceConfig, category_id: int, amount: int) -> int | None:
    """The most of a category's `amount` that a channel may have: its share, but at least one clip of mean length."""
    if config.max_channel_share >= 1:
        return None
    return max(supply.one_clip.get(category_id, 1), int(Fraction(str(config.max_channel_share)) * amount))


def _mean_clips(clips: Mapping[int, int], ms: Mapping[int, int]) -> dict[int, int]:
    """Milliseconds of a clip of mean length by category, rounded up."""
    return {category_id: -(-ms[category_id] // n) for category_id, n in clips.items() if n}


def _reachable(supply: Supply, config: BalanceConfig, category_id: int, amount: int) -> int:
    """The largest x <= amount that can be filled without any channel above its share of x.

    Walks down from above: if the supply, with channels cut to their shares of x, gives less than x, that is the next x.
    """
    if config.max_channel_share >= 1:
        return amount
    sizes = supply.channels.get(category_id, np.zeros(0, dtype=np.int64))
    sums = np.concatenate(([0], np.cumsum(sizes)))
    free = supply.no_channel.get(category_id, 0)
    while True:
        cap = _channel_cap(supply, config, category_id, amount)
        assert cap is not None
        n_below = int(np.searchsorted(sizes, cap))
        filled = free + int(sums[n_below]) + (len(sizes) - n_below) * cap
        if filled >= amount:
            return amount
        amount = filled


def _fill_under_channel_limit(
    supply: Supply,
    config: BalanceConfig,
    ids: Sequence[int],
    weights: Sequence[Fraction],
    floors: Sequence[int],
    limits: list[int],
    total: int | None,
) -> list[int]:
    """Water-fills, repeatedly if rounding a channel's share to whole clips made an amount unreachable.

    With two channels that may hold half each, 3 clips can't be reached, but 2 and 4 can: what rounding down leaves of
    the total then goes to the emptiest categories that reach a larger amount with it.
    """
    lowered = limits
    while True:
        amounts = water_fill(weights, floors, lowered, total)
        reach = [max(f, _reachable(supply, config, i, x)) for i, f, x in zip(ids, floors, amounts, strict=True)]
        if reach == amounts:
            break
        lowered = [min(limit, r) if r < x else limit for limit, r, x in zip(lowered, reach, amounts, strict=True)]
    left = 0 if total is None or lowered == limits or config.unit == "hours" else total - sum(amounts)
    while left > 0:
        steps = []
        for k, category_id in enumerate(ids):
            larger = range(amounts[k] + 1, min(amounts[k] + left, limits[k]) + 1) if weights[k] else ()
            step = next((x for x in larger if _reachable(supply, config, category_id, x) == x), 0)
            steps += [(step / weights[k], k, step)] if step else []
        if not steps:
            break
        _, k, step = min(steps)
        left -= step - amounts[k]
        amounts[k] = step
    return amounts


def _binding(
    amount: int, natural: int, limit: int, available: int, cap: int, is_asked: bool, is_enough: bool
) -> Binding:
    if not is_asked and amount == 0:
        return "not_asked"
    if natural < amount:
        return "already_kept"
    if amount < limit or (is_enough and amount < available):
        return "share"
    if amount >= available:
        return "supply"
    return "hours_cap" if amount >= cap else "channel_share"
