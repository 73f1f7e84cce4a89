"""What a user may rely on in the order of samples: each once an epoch, the same batches at every world size."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from train.data.plan import Mixing, Stream, WindowedOrder, order_of, plan, rank_slice


@dataclass
class Toy:
    """An index of `len(shard)` samples: only what a plan depends on."""

    shard: np.ndarray
    category: np.ndarray


def an_index(shards: int = 6, clips: int = 5, categories: int = 3) -> Toy:
    n = shards * clips
    return Toy(np.arange(n) // clips, np.arange(n) % categories)


indexes = st.builds(an_index, st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
seeds = st.integers(0, 2**63 - 1)


@given(indexes, seeds, st.integers(0, 5), st.integers(1, 8))
def test_an_epoch_holds_each_sample_exactly_once(index, seed, epoch, window):
    order = plan(index, seed, epoch, Mixing(window_shards=window))

    assert sorted(order) == list(range(len(index.shard)))


@given(indexes, seeds, st.integers(1, 9), st.integers(1, 12))
def test_every_world_size_reads_the_same_global_batches(index, seed, world, batch):
    order = plan(index, seed, 0)
    steps = -(-len(order) // batch)

    for step in range(steps):
        dealt = np.concatenate([rank_slice(order, step, rank, world, batch) for rank in range(world)])
        assert dealt.tolist() == order[step * batch : (step + 1) * batch].tolist()


@given(indexes, seeds, st.integers(1, 12), st.integers(0, 60))
def test_a_stream_of_epochs_drops_nothing_where_the_batch_does_not_divide_them(index, seed, batch, steps):
    stream = Stream(index, seed, Mixing(), batch)

    read = [int(s) for step in range(steps) for s in rank_slice(stream, step, 0, 1)]

    n = len(index.shard)
    assert len(read) == steps * batch
    for epoch in range(len(read) // n):
        assert sorted(read[epoch * n : (epoch + 1) * n]) == list(range(n))


@settings(max_examples=40)
@given(seeds, st.floats(0, 3), st.integers(1, 6))
def test_weights_repeat_a_category_evenly_over_epochs(seed, weight, epochs):
    index = an_index(shards=4, clips=6, categories=2)
    mixing = Mixing(weights={0: weight})

    read = np.concatenate([plan(index, seed, epoch, mixing) for epoch in range(epochs)])

    counts = np.bincount(read, minlength=24)
    weighted, plain = counts[index.category == 0], counts[index.category == 1]
    assert weighted.sum() == epochs * round(weight * 12)
    assert weighted.max() - weighted.min() <= 1
    assert (plain == epochs).all()


def test_a_window_is_read_to_its_end_before_the_next_begins():
    index = an_index(shards=8, clips=10)

    windows = index.shard[plan(index, 3, 0, Mixing(window_shards=2))].reshape(4, 20)

    assert [len(set(w)) for w in windows] == [2, 2, 2, 2]
    assert len({shard for w in windows for shard in set(w)}) == 8
    assert any(w.tolist() != sorted(w) for w in windows)  # and is shuffled inside


def test_copies_of_a_weighted_sample_are_not_neighbours():
    index = an_index(shards=12, clips=10, categories=1)

    order = plan(index, 0, 0, Mixing(window_shards=1, weights={0: 2.0}))

    for first, second in pairwise(order):
        assert first != second
    gaps = [np.diff(np.flatnonzero(order == s))[0] for s in range(120)]
    assert np.median(gaps) > 20


def test_seed_and_epoch_change_the_order_and_nothing_else_does():
    index = an_index(shards=20, clips=20)

    assert plan(index, 1, 0).tolist() == plan(index, 1, 0).tolist()
    assert plan(index, 1, 0).tolist() != plan(index, 2, 0).tolist()
    assert plan(index, 1, 0).tolist() != plan(index, 1, 1).tolist()


def test_a_rank_outside_the_world_and_a_negative_weight_are_refused():
    index = an_index()

    with pytest.raises(ValueError, match="rank 4 is not one of 4"):
        rank_slice(plan(index, 0, 0), 0, 4, 4)
    with pytest.raises(ValueError, match="category 1 is -1"):
        plan(index, 0, 0, Mixing(weights={1: -1}))
    with pytest.raises(ValueError, match="no sample"):
        plan(index, 0, 0, Mixing(weights={0: 0, 1: 0, 2: 0}))


@given(st.lists(st.integers(0, 7), min_size=1, max_size=9), seeds, st.integers(0, 3), st.integers(1, 5), st.data())
def test_an_order_made_window_by_window_is_the_plan(counts, seed, epoch, window, data):
    """Shards of unequal size, empty ones among them."""
    if not sum(counts):
        counts[0] = 1
    shard = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    index, mixing = Toy(shard, np.zeros(len(shard), np.int32)), Mixing(window_shards=window)
    wanted = plan(index, seed, epoch, mixing)

    order = order_of(index, seed, epoch, mixing)

    assert isinstance(order, WindowedOrder) and len(order) == len(wanted)
    start = data.draw(st.integers(0, len(wanted)))
    stop = data.draw(st.integers(start, len(wanted) + 3))
    assert order[start:stop].tolist() == wanted[start:stop].tolist()
    assert [order.at(position) for position in range(len(wanted))] == wanted.tolist()


def test_a_stream_begins_at_the_first_position_of_the_first_epoch():
    stream = Stream(an_index(shards=2, clips=5), 1, Mixing(), 4)

    assert [stream.locate(position) for position in (0, 9, 10, 25)] == [(0, 0), (0, 9), (1, 0), (2, 5)]
    assert [stream.epochs_done(step) for step in (0, 5)] == [0, 2]
    assert stream[3:3].tolist() == [] and stream.epoch_length() == 10


def test_an_empty_index_has_no_order():
    nothing = Toy(np.zeros(0, np.int32), np.zeros(0, np.int32))
    for made in (plan, lambda *args: order_of(*args, Mixing())):
        with pytest.raises(ValueError, match="holds no sample"):
            made(nothing, 0, 0)
