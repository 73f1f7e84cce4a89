"""The order in which a run reads its samples: two pure functions, `plan` and `rank_slice`.

`plan(index, seed, epoch)` puts the samples of an epoch into one global order. `rank_slice(order, step, rank, world)`
distributes the positions of step `step` over the ranks. Neither depends on files, workers or the clock, so the same
manifest and seed give the same batches on one process or a thousand, before and after a stop.

How an order is made:

1. Each category c contributes `round(weight_c * n_c)` samples to an epoch, taken in turn from a seeded permutation of
   the category that continues from each epoch to the next. With weight 1 (the default), each sample comes exactly once
   per epoch; with weight 0.5, once in two epochs; with 1.5, three times in two. With weights of single samples (an
   index's `weight`) a category contributes their sum, times its own: each sample comes as often as its weight says, up
   or down to a whole number, and on average over the epochs exactly so.
2. The shards are shuffled and cut into windows of `window_shards`. Samples are shuffled only within their window, so
   that reads stay close together (page cache, or a node's slice of a store) while a batch still mixes the categories:
   videos are assigned to shards by hash, and a window holds many shards.

Randomness is splitmix64 over (seed, epoch, purpose, number) rather than a library's generator, whose streams may change
with its version: a run must be reproducible years later. If all weights are 1, no array as long as an epoch is ever
made: `WindowedOrder` sorts a window when a position in it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from manifests.hashing import UInt64, splitmix64

Int64 = npt.NDArray[np.int64]

#: Samples per step, over all ranks, when neither the caller nor the order gives a number.
DEFAULT_BATCH = 64

#: Windows whose order is cached: the window being read, that of its spares (half an epoch on), and a neighbour of each.
_WINDOWS_KEPT = 4

_NOTHING = np.zeros(0, np.int64)
_GOLDEN = 0.6180339887498949  # steps of this length are spread evenly over 0 to 1, however many there are
_TAKE, _SHARD, _SAMPLE = 1, 2, 3  # the purpose of a random number, so that no two purposes share a stream


class PlanIndex(Protocol):
    """The part of an index that an order depends on (`train.data.index.Index` implements it)."""

    @property
    def shard(self) -> npt.NDArray[np.integer]:
        """The shard of each sample, as a number, `[n]`."""

    @property
    def category(self) -> npt.NDArray[np.integer]:
        """The category id of each sample, `[n]`."""


@dataclass(frozen=True, slots=True)
class Mixing:
    """How an order mixes samples: shards per window, and the weight of each category id (1 if not named)."""

    window_shards: int = 16
    weights: Mapping[int, float] | None = None


def mix(*parts: int | UInt64) -> UInt64:
    """Hashes the parts to uint64 (SplitMix64 after each part); arrays broadcast."""
    state = np.zeros((), np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            state = splitmix64(state ^ np.asarray(part).astype(np.uint64))
    return state


def plan(index: PlanIndex, seed: int, epoch: int, mixing: Mixing | None = None) -> Int64:
    """The samples of an epoch in reading order, as row numbers of `index`: int64 `[n]`.

    Raises:
        ValueError: a weight is negative, or the weights leave no sample.
    """
    mixing = mixing or Mixing()
    samples, turn = _taken(index, seed, epoch, mixing.weights or {})
    if not len(samples):
        raise ValueError("the index holds no sample that the mixing weights keep")
    # A sample that comes twice in an epoch belongs to two visits of its shard, so that its copies are far apart.
    visits, visit = np.unique(np.stack([turn, index.shard[samples]]), axis=1, return_inverse=True)
    visit_rank = _ranks(mix(seed, epoch, _SHARD, visits[0].astype(np.uint64), visits[1].astype(np.uint64)))
    window = visit_rank[visit.ravel()] // max(mixing.window_shards, 1)
    tie = mix(seed, epoch, _SAMPLE, turn.astype(np.uint64), samples.astype(np.uint64))
    return np.asarray(samples[np.lexsort((samples, tie, window))], dtype=np.int64)


def _taken(index: PlanIndex, seed: int, epoch: int, weights: Mapping[int, float]) -> tuple[Int64, Int64]:
    """The samples that an epoch takes, and for each its copy number within this epoch (0 for the first)."""
    samples, turns = [], []
    of_samples = getattr(index, "weight", None)
    for category_id in np.unique(index.category):
        members = np.flatnonzero(index.category == category_id).astype(np.int64)
        weight = float(weights.get(int(category_id), 1.0))
        if weight < 0:
            raise ValueError(f"mixing weight of category {int(category_id)} is {weight}; weights are 0 or more")
        members = members[np.argsort(mix(seed, _TAKE, members.astype(np.uint64)), kind="stable")]
        if of_samples is None:
            numbers, copies = _in_turn(len(members), weight, epoch)
        else:
            numbers, copies = _by_weight(of_samples[members], weight, seed, epoch)
        samples.append(members[numbers])
        turns.append(copies)
    return np.concatenate([_NOTHING, *samples]), np.concatenate([_NOTHING, *turns])


def _in_turn(n: int, weight: float, epoch: int) -> tuple[Int64, Int64]:
    """The next `weight * n` of n numbers, which come round and round; (numbers, the copy number of each)."""
    count = round(weight * n)
    at = np.arange(epoch * count, (epoch + 1) * count, dtype=np.int64)
    return at % n, (at - epoch * count) // n


def _by_weight(own: npt.NDArray[np.float64], weight: float, seed: int, epoch: int) -> tuple[Int64, Int64]:
    """Systematic sampling: marks at equal distances along the weights laid end to end, the first of them by the epoch;
    (numbers of the weights that marks fall on, once for each; the copy number of each).
    """
    ends = np.cumsum(own)
    count = round(weight * float(ends[-1]))
    if not count:
        return _NOTHING, _NOTHING
    first = (int(mix(seed, _TAKE)) / 2**64 + epoch * _GOLDEN) % 1.0
    marks = np.floor(ends * (count / ends[-1]) + first)
    marks[-1] = count
    n_times = np.diff(marks, prepend=0).astype(np.int64)
    numbers = np.repeat(np.arange(len(own), dtype=np.int64), n_times)
    return numbers, np.arange(count, dtype=np.int64) - np.repeat(np.cumsum(n_times) - n_times, n_times)


def _ranks(keys: UInt64) -> Int64:
    """The rank of each key when the keys are sorted."""
    ranks = np.empty(len(keys), np.int64)
    ranks[np.argsort(keys, kind="stable")] = np.arange(len(keys))
    return ranks


def rank_slice(
    order: Sequence[int] | Int64 | Order | Stream, step: int, rank: int, world: int, batch: int | None = None
) -> Int64:
    """The samples that `rank` of `world` reads at `step`: its share of positions `step*B … (step+1)*B-1`.

    B is `batch`, else the order's own `batch`, else `DEFAULT_BATCH`. The ranks' shares in rank order are the global
    batch; if the world size doesn't divide it, the first ranks get one sample more. The last step of a single epoch may
    be short; a `Stream` continues with the next epoch, so its steps never are.
    """
    if not 0 <= rank < world:
        raise ValueError(f"rank {rank} is not one of {world}")
    size = batch or getattr(order, "batch", None) or DEFAULT_BATCH
    positions = np.asarray(order[step * size : (step + 1) * size], dtype=np.int64)
    each, over = divmod(len(positions), world)
    start = rank * each + min(rank, over)
    return positions[start : start + each + (rank < over)]


class WindowedOrder:
    """`plan` for an index whose categories all have weight 1, made one window at a time: no array is an epoch long.

    The samples of a shard are contiguous in the index, so a window's samples follow from its shards' bounds; they are
    sorted when they are asked for. A hundred million samples in 250,000 shards take some megabytes and a fraction of a
    second, and any position of the epoch is reached as fast as the first.
    """

    def __init__(self, index: PlanIndex, seed: int, epoch: int, window_shards: int) -> None:
        self._seed, self._epoch = seed, epoch
        bounds = _shard_bounds(index.shard)
        held = np.flatnonzero(np.diff(bounds))
        if not len(held):
            raise ValueError("the index holds no sample that the mixing weights keep")
        first_turn = np.zeros(len(held), np.uint64)
        ranks = _ranks(mix(seed, epoch, _SHARD, first_turn, held.astype(np.uint64)))
        self._visited = held[np.argsort(ranks)]
        self._bounds, self._window_shards = bounds, max(window_shards, 1)
        sizes = np.diff(bounds)[self._visited]
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self._starts = np.append(ends[: len(sizes) : self._window_shards], ends[-1])
        self._kept: dict[int, Int64] = {}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, positions: slice) -> Int64:
        """The samples at positions `start … stop-1` of the epoch: the same as `plan(…)[start:stop]`."""
        start, stop, _ = positions.indices(len(self))
        parts = []
        while start < stop:
            window = int(np.searchsorted(self._starts, start, side="right")) - 1
            first = start - int(self._starts[window])
            parts.append(self._window(window)[first : first + stop - start])
            start += len(parts[-1])
        return np.concatenate([_NOTHING, *parts])

    def at(self, position: int) -> int:
        """The sample at a position."""
        return int(self[position : position + 1][0])

    def _window(self, window: int) -> Int64:
        """The samples of a window in order; the last few windows are cached, since readers come back for spares."""
        if window not in self._kept:
            shards = self._visited[window * self._window_shards : (window + 1) * self._window_shards]
            samples = np.concatenate([np.arange(self._bounds[s], self._bounds[s + 1], dtype=np.int64) for s in shards])
            tie = mix(self._seed, self._epoch, _SAMPLE, np.zeros(len(samples), np.uint64), samples.astype(np.uint64))
            while len(self._kept) >= _WINDOWS_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[window] = samples[np.lexsort((samples, tie))]
        return self._kept[window]


def _shard_bounds(shard: npt.NDArray[np.integer]) -> Int64:
    """The row of the index where each shard's samples begin, and where the last's end: `[shards + 1]`.

    Found by bisection, which touches only a few pages of a memory-mapped column of a hundred million rows.
    """
    if not len(shard):
        return np.zeros(1, np.int64)
    return np.searchsorted(shard, np.arange(int(shard[-1]) + 2, dtype=shard.dtype)).astype(np.int64)


class PlannedOrder:
    """The result of `plan` itself, an array as long as the epoch: for weighted categories."""

    def __init__(self, order: Int64) -> None:
        self._order = order

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, positions: slice) -> Int64:
        return self._order[positions]

    def at(self, position: int) -> int:
        """The sample at a position."""
        return int(self._order[position])


Order = WindowedOrder | PlannedOrder


def order_of(index: PlanIndex, seed: int, epoch: int, mixing: Mixing) -> Order:
    """The order of an epoch as `plan` gives it, in the cheapest form possible."""
    plain = set((mixing.weights or {}).values()) <= {1.0} and getattr(index, "weight", None) is None
    if plain and _in_order(index):
        return WindowedOrder(index, seed, epoch, mixing.window_shards)
    return PlannedOrder(plan(index, seed, epoch, mixing))


def _in_order(index: PlanIndex) -> bool:
    """Whether samples of a shard are contiguous, and shards in ascending order: an `Index` knows this (`by_shard`)."""
    known = getattr(index, "by_shard", None)
    return bool((np.diff(index.shard) >= 0).all()) if known is None else bool(known)


@dataclass(slots=True)
class Stream:
    """All epochs of `plan`, in sequence, as one endless order that is sliced by position: what a run reads.

    Every sample is read once per epoch even if the batch doesn't divide the epoch: a batch may hold the last positions
    of an epoch and the first of the next. The orders of the epoch being read and of its neighbours are cached.
    """

    index: PlanIndex
    seed: int
    mixing: Mixing
    batch: int
    _orders: dict[int, Order] | None = None
    _length: int = 0

    def epoch_length(self) -> int:
        """The number of positions in an epoch; the same for every epoch."""
        if not self._length:
            self._length = len(self.order(0))
        return self._length

    def order(self, epoch: int) -> Order:
        """The order of an epoch, cached while it is in use."""
        orders = self._orders if self._orders is not None else {}
        if epoch not in orders:
            orders[epoch] = order_of(self.index, self.seed, epoch, self.mixing)
        self._orders = {e: o for e, o in orders.items() if abs(e - epoch) <= 1}
        return orders[epoch]

    def locate(self, position: int) -> tuple[int, int]:
        """`(epoch, position in that epoch)` of a global position."""
        return divmod(position, self.epoch_length())

    def epochs_done(self, step: int) -> float:
        """The number of epochs before a step, with the fraction of the current."""
        return step * self.batch / self.epoch_length()

    def __getitem__(self, positions: slice) -> Int64:
        """The samples at global positions `start … stop-1`."""
        parts, at = [], positions.start
        while at < positions.stop:
            epoch, first = self.locate(at)
            part = self.order(epoch)[first : first + positions.stop - at]
            parts.append(part)
            at += len(part)
        return np.concatenate([_NOTHING, *parts])
