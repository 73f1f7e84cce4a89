"""Balance, first half: in which order a category's videos are taken, and how much of each category is wanted.

In:  candidates, a row per video (schema CANDIDATES) with the clips that its transcript promises.
Out: `Ranked`, the candidates in a seeded order, and `Quotas`, an amount per category.

Nothing is drawn: a video's place follows from the seed and its id alone, so that neither the order of rows nor more
candidates change who comes before whom. Amounts are integers (clips, or milliseconds where the unit is hours), so
that sums never depend on their order. `selection.py` takes videos down the order until the quotas are full.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.categories import load_categories
from pipeline.config.balance import BalanceConfig, Unit, find_category

MS_PER_HOUR = 3_600_000
HASH_ROWS = 1 << 18

CANDIDATES = pa.schema(
    [
        ("video_id", pa.string()),
        ("category_id", pa.int32()),
        ("channel_id", pa.string()),  # "": not known, then no channel limit applies
        ("n_clips", pa.int32()),  # clips that the plan has
        ("clips_ms", pa.int64()),  # their summed duration
    ]
)

Binding = Literal["share", "supply", "hours_cap", "channel_share", "already_kept", "not_asked"]
"""What keeps a category from more: its share of what was asked, or a limit. README of the balance: docs/balance.md."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Candidates by category, then in seeded order; each id once. Columns have one entry a candidate [N].

    `group` numbers pairs of category and channel, -1 where the channel is not known; `group_category` [G].
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
        """[N] what each candidate promises: clips or milliseconds."""
        return self.n_clips.astype(np.int64) if unit == "clips" else self.clips_ms


def candidates_of(videos: pa.Table, clips: pa.Table) -> pa.Table:
    """CANDIDATES of the tables `videos` and `clips`: every video, also those without a planned clip."""
    length = pc.subtract(clips.column("end_ms"), clips.column("start_ms"))
    per_clip = pa.table({"video_id": clips.column("video_id"), "ms": length})
    planned = per_clip.group_by("video_id").aggregate([("ms", "count"), ("ms", "sum")])
    row = pc.index_in(videos.column("video_id"), value_set=planned.column("video_id").combine_chunks())
    columns = {
        **{name: videos.column(name) for name in ("video_id", "category_id", "channel_id")},
        "n_clips": pc.fill_null(planned.column("ms_count").take(row), 0),
        "clips_ms": pc.fill_null(planned.column("ms_sum").take(row), 0),
    }
    return pa.table(columns).cast(CANDIDATES)


# the order


def rank_candidates(candidates: pa.Table, seed: int) -> Ranked:
    """The candidates in their categories' seeded orders; of rows with the same id one stays."""
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
        rank=_places(category),
        n_clips=_numbers(candidates, "n_clips", np.int32)[order],
        clips_ms=_numbers(candidates, "clips_ms", np.int64)[order],
    )


def _order(candidates: pa.Table, seed: int) -> NDArray[np.int32]:
    """Rows by category, then by hash."""
    hashes = seeded_hash(_flat(candidates.column("video_id")), seed)
    order = _settle_ties(candidates, np.argsort(hashes).astype(np.int32), hashes)
    category = _numbers(candidates, "category_id", np.int16)[order]
    return np.asarray(order[np.argsort(category, kind="stable")])


def seeded_hash(ids: pa.Array, seed: int) -> NDArray[np.uint64]:
    """[N] 64-bit hashes of strings: of the seed and the bytes alone, the same on every machine.

    The bytes are taken as little-endian words, each mixed in with the finaliser of splitmix64
    (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    """
    out = np.empty(len(ids), dtype=np.uint64)
    start = _mix(np.array([seed], dtype=np.uint64))[0]
    for first in range(0, len(ids), HASH_ROWS):
        words, lengths = _words(ids.slice(first, HASH_ROWS))
        state = _mix(start ^ lengths.astype(np.uint64))
        for place in range(words.shape[1]):
            state = np.where(8 * place < lengths, _mix(state ^ words[:, place]), state)
        out[first : first + HASH_ROWS] = state
    return out


def _words(ids: pa.Array) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """[n, w] little-endian words of strings padded with zeros, and their lengths in bytes [n]."""
    _, ends, data = ids.buffers()
    offsets = np.frombuffer(ends, dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)
    lengths = np.diff(offsets)
    width = max(8, -(-int(lengths.max(initial=0)) // 8) * 8)
    raw = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(1, dtype=np.uint8)
    column = np.arange(width)
    padded = raw[np.minimum(offsets[:-1, None] + column, len(raw) - 1)]
    padded[column >= lengths[:, None]] = 0
    return padded.view("<u8").astype(np.uint64), lengths


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))


def _settle_ties(candidates: pa.Table, order: NDArray[np.int32], hashes: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Rows of equal hash in the order of their content, repeated ids dropped: row order decides nothing."""
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
    """Numbers [N] for the pairs of (sorted) category and channel, -1 for unknown channels; each pair's category [G]."""
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
    """(category, its rows) of a sorted column, ascending."""
    edges = [*np.flatnonzero(np.diff(category, prepend=np.iinfo(np.int32).min)).tolist(), len(category)]
    return [(int(category[a]), slice(a, b)) for a, b in pairwise(edges)]


def _places(category: NDArray[np.int32]) -> NDArray[np.int32]:
    """[N] place in its category, of sorted categories."""
    rank = np.empty(len(category), dtype=np.int32)
    for _, span in spans_of(category):
        rank[span] = np.arange(span.stop - span.start)
    return rank


def _flat(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _numbers(table: pa.Table, name: str, dtype: Any) -> NDArray[Any]:
    return np.asarray(table.column(name).to_numpy(), dtype=dtype)


# the quotas


@dataclass(frozen=True, slots=True)
class Supply:
    """What there is to choose from. Clips and milliseconds by category id; amounts are in the configured unit.

    `channels`: by category, the amounts of each known channel, in any order; `no_channel`: those of unknown channels.
    `already_kept`: amounts that an earlier generation holds; they are part of the supply. `within_hours`: the part that
    comes, in rank order, before the cap in hours (the clip that crosses it and its video included).
    """

    clips: Mapping[int, int]
    ms: Mapping[int, int]
    channels: Mapping[int, NDArray[np.int64]]
    no_channel: Mapping[int, int]
    already_kept: Mapping[int, int]
    within_hours: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Quota:
    """One category's share of the balance. Amounts are clips or milliseconds.

    `asked` is the policy's share of the total (None: as much as there is), `quota` what water-filling gives.
    """

    category_id: int
    weight: float
    asked: int | None
    available: int
    cap: int
    channel_cap: int | None
    quota: int
    binding: Binding


@dataclass(frozen=True, slots=True)
class Quotas:
    """The amounts wanted of every category that the policy names."""

    unit: Unit
    total: int | None
    by_category: Mapping[int, Quota]

    def quota(self, category_id: int) -> int | None:
        """The amount wanted; None for a category that policies leave alone."""
        found = self.by_category.get(category_id)
        return found.quota if found else None


def plan_quotas(supply: Supply, config: BalanceConfig) -> Quotas:
    """Quotas whose total is as large as asked and as even (by weight) as supply, caps and channel limit allow."""
    weights = category_weights(config)
    ids = list(weights)
    available = [amount_of(supply, config, i) for i in ids]
    caps = [supply.within_hours.get(i, 0) for i in ids]
    floors = [min(supply.already_kept.get(i, 0), have) for i, have in zip(ids, available, strict=True)]
    limits = [
        max(floor, _reachable(supply, config, i, min(have, cap)))
        for i, have, cap, floor in zip(ids, available, caps, floors, strict=True)
    ]
    total = total_amount(config)
    shares = [Fraction(str(weights[i])) for i in ids]
    amounts = _fill_under_channel_limit(supply, config, ids, shares, floors, limits, total)
    natural = water_fill(shares, [0] * len(ids), limits, total)
    whole = sum(shares)
    by_category = {}
    for k, category_id in enumerate(ids):
        by_category[category_id] = Quota(
            category_id=category_id,
            weight=float(shares[k] / whole),
            asked=None if total is None and shares[k] else round((total or 0) * shares[k] / whole),
            available=available[k],
            cap=caps[k],
            channel_cap=_channel_cap(supply, config, category_id, amounts[k]),
            quota=amounts[k],
            binding=_binding(amounts[k], natural[k], limits[k], available[k], caps[k], bool(shares[k])),
        )
    return Quotas(config.unit, total, by_category)


def category_weights(config: BalanceConfig) -> dict[int, float]:
    """Weight by category id, for all 15; 0 where own weights leave a category out."""
    if config.policy == "equal":
        return {c.id: 1.0 for c in load_categories()}
    if config.policy == "hd-vila":
        return {c.id: c.hd_vila_clips for c in load_categories()}
    own = {c.id: 0.0 for c in load_categories()}
    for name, weight in config.weights.items():
        found = find_category(name)
        assert found is not None  # the configuration has checked it
        own[found.id] += weight
    return own


def total_amount(config: BalanceConfig) -> int | None:
    """What is wanted in all, as clips or milliseconds; None: as much as there is."""
    return None if config.total is None else to_amount(config.total, config.unit)


def to_amount(value: float, unit: Unit) -> int:
    """Clips or hours as the integers that the balance counts with: clips, milliseconds."""
    return round(value) if unit == "clips" else round(value * MS_PER_HOUR)


def from_amount(amount: int, unit: Unit) -> float:
    """Clips or milliseconds as clips or hours."""
    return float(amount) if unit == "clips" else amount / MS_PER_HOUR


def amount_of(supply: Supply, config: BalanceConfig, category_id: int) -> int:
    """A category's supply in the configured unit."""
    return (supply.clips if config.unit == "clips" else supply.ms).get(category_id, 0)


def water_fill(
    weights: Sequence[Fraction], floors: Sequence[int], limits: Sequence[int], total: int | None
) -> list[int]:
    """Integers x with floors <= x <= limits, x proportional to the weights where neither binds, summing to `total`.

    The sum is below `total` only where all limits bind, above it only where all floors do. Weight 0 gives the floor.
    """
    tops = [limit if weight else floor for weight, floor, limit in zip(weights, floors, limits, strict=True)]
    if total is None or sum(tops) <= total:
        return list(tops)
    level = _level(weights, floors, tops, total)
    exact = [
        min(max(w * level, Fraction(low)), Fraction(top)) for w, low, top in zip(weights, floors, tops, strict=True)
    ]
    filled = [int(x) for x in exact]  # rounds down
    missing = total - sum(filled)
    by_fraction = sorted(range(len(exact)), key=lambda i: (filled[i] - exact[i], i))
    for i in by_fraction[: max(0, missing)]:
        filled[i] += filled[i] < tops[i]
    return filled


def _level(weights: Sequence[Fraction], floors: Sequence[int], tops: Sequence[int], total: int) -> Fraction:
    """The water level at which clip(weight * level, floor, top) sums to `total`, or 0 where the floors exceed it."""

    def volume(level: Fraction) -> Fraction:
        parts = zip(weights, floors, tops, strict=True)
        return sum((min(max(w * level, Fraction(low)), Fraction(top)) for w, low, top in parts), Fraction(0))

    bends = sorted({Fraction(x) / w for w, *xs in zip(weights, floors, tops, strict=True) if w for x in xs})
    below = Fraction(0)
    for bend in bends:
        if volume(bend) >= total:
            low, high = volume(below), volume(bend)
            if high == low:
                return below
            return below + (bend - below) * max(Fraction(0), total - low) / (high - low)
        below = bend
    return below


def supply_of(
    ranked: Ranked,
    config: BalanceConfig,
    clips: NDArray[np.int64],
    ms: NDArray[np.int64],
    kept: NDArray[np.int64] | None = None,
) -> Supply:
    """Supply of what each ranked candidate gives [N]; `kept`: the amounts that are in the data set already."""
    amount = clips if config.unit == "clips" else ms
    spans = spans_of(ranked.category_id)
    known = ranked.group >= 0
    by_group = np.bincount(ranked.group[known], weights=amount[known], minlength=len(ranked.group_category))
    by_group = by_group.astype(np.int64)  # exact: sums stay far below 2 ** 53

    def by_category(values: NDArray[np.int64]) -> dict[int, int]:
        return {category_id: int(values[span].sum()) for category_id, span in spans}

    return Supply(
        clips=by_category(clips),
        ms=by_category(ms),
        channels={i: by_group[(ranked.group_category == i) & (by_group > 0)] for i, _ in spans},
        no_channel=by_category(np.where(known, 0, amount)),
        already_kept=by_category(kept) if kept is not None else {},
        within_hours={i: _within_hours(ms[span], amount[span], config) for i, span in spans},
    )


def _within_hours(ms: NDArray[np.int64], amount: NDArray[np.int64], config: BalanceConfig) -> int:
    """The part of one category's amounts, in rank order, that comes before the cap in hours."""
    cap_ms = to_amount(config.max_hours_per_category, "hours")
    if config.unit == "hours":
        return min(cap_ms, int(ms.sum()))
    earlier = np.cumsum(ms) - ms
    return int(amount[earlier < cap_ms].sum())


def planned_supply(ranked: Ranked, config: BalanceConfig) -> Supply:
    """What the candidates promise, before any media."""
    return supply_of(ranked, config, ranked.planned("clips"), ranked.clips_ms)


# the channel limit


def _channel_cap(supply: Supply, config: BalanceConfig, category_id: int, amount: int) -> int | None:
    """What one channel may hold of a category's `amount`: its share, at least one clip of mean length."""
    if config.max_channel_share >= 1:
        return None
    return max(_one_clip(supply, config, category_id), int(Fraction(str(config.max_channel_share)) * amount))


def _one_clip(supply: Supply, config: BalanceConfig, category_id: int) -> int:
    clips, ms = supply.clips.get(category_id, 0), supply.ms.get(category_id, 0)
    return 1 if config.unit == "clips" or not clips else -(-ms // clips)


def _reachable(supply: Supply, config: BalanceConfig, category_id: int, amount: int) -> int:
    """The largest x <= amount that can be filled with no channel above its share of x.

    Walks down from above: a supply that is cut to shares of x gives less than x, which is the next x to try.
    """
    if config.max_channel_share >= 1:
        return amount
    sizes = np.sort(supply.channels.get(category_id, np.zeros(0, dtype=np.int64)))
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
    """Water-filling, again where rounding a channel's share to whole clips made an amount unreachable."""
    while True:
        amounts = water_fill(weights, floors, limits, total)
        reach = [max(f, _reachable(supply, config, i, x)) for i, f, x in zip(ids, floors, amounts, strict=True)]
        if reach == amounts:
            return amounts
        limits = [min(limit, r) if r < x else limit for limit, r, x in zip(limits, reach, amounts, strict=True)]


def _binding(amount: int, natural: int, limit: int, available: int, cap: int, is_asked: bool) -> Binding:
    if not is_asked and amount == 0:
        return "not_asked"
    if natural < amount:
        return "already_kept"
    if amount < limit:
        return "share"
    if amount >= available:
        return "supply"
    return "hours_cap" if amount >= cap else "channel_share"
