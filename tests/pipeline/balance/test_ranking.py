"""The order of candidates: from the seed and the id alone."""

import random

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.balance.ranking import rank_candidates
from pipeline.balance.selection import select
from pipeline.balance.standing import Outcomes
from pipeline.config.balance import BalanceConfig
from tests.pipeline.balance.worlds import (
    MUSIC,
    SPORTS,
    candidates,
    configs,
    made,
    worlds,
)


@given(worlds(), configs, st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_rows_decides_nothing(world: tuple, config: BalanceConfig, order: random.Random) -> None:
    table, clips = world
    rows = list(range(table.num_rows))
    order.shuffle(rows)
    videos = list(clips)
    order.shuffle(videos)
    first = select(rank_candidates(table, 3), Outcomes(made(clips)), config)
    again = select(
        rank_candidates(table.take(pa.array(rows, pa.int64())), 3),
        Outcomes(made({v: clips[v] for v in videos})),
        config,
    )
    assert first.table.equals(again.table)
    assert first.result == again.result


def test_another_seed_gives_another_order_and_more_candidates_leave_the_order_of_the_old_ones() -> None:
    table = candidates([(f"v{i:04d}", MUSIC, "c", 1, 1000) for i in range(300)])
    order = rank_candidates(table, 1).video_id.to_pylist()
    assert order != rank_candidates(table, 2).video_id.to_pylist()
    half = set(order[::2])
    fewer = rank_candidates(table.take([i for i in range(300) if f"v{i:04d}" in half]), 1)
    assert fewer.video_id.to_pylist() == [v for v in order if v in half]


def test_an_id_listed_many_times_is_one_candidate_whichever_row_comes_first() -> None:
    rows = [("same", MUSIC, "a", 3, 3000), ("same", SPORTS, "b", 2, 2000), ("other", MUSIC, "a", 1, 1000)] * 2
    one, two = rank_candidates(candidates(rows), 0), rank_candidates(candidates(rows[::-1]), 0)
    assert sorted(one.video_id.to_pylist()) == ["other", "same"]
    assert one.video_id.equals(two.video_id)
    assert one.category_id.tolist() == two.category_id.tolist()
