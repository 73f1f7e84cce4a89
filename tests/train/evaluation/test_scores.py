"""Retrieval scores: ranks, ties, NaN, repeated captions, chance."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.evaluation.scores import chance_recall, ranks, score_retrieval, wilson_interval


def eye(n):
    return torch.eye(n, dtype=torch.bool)


def test_the_rank_is_one_plus_the_better_ones():
    similarity = torch.tensor([[0.9, 0.1, 0.2], [0.9, 0.5, 0.1], [0.3, 0.2, 0.1]])

    assert ranks(similarity, eye(3)).tolist() == [1, 2, 3]


def test_a_tie_counts_against_the_model():
    assert ranks(torch.zeros(4, 4), eye(4)).tolist() == [4, 4, 4, 4]
    scores = score_retrieval(torch.ones(10, 3), torch.ones(10, 3), [str(i) for i in range(10)])
    assert scores.text_to_video.r1 == scores.video_to_text.r5 == 0


def test_a_nan_is_a_failure_and_not_a_hit():
    similarity = torch.eye(3)
    similarity[0, 0] = float("nan")
    similarity[1, 2] = float("nan")

    assert ranks(similarity, eye(3)).tolist() == [3, 2, 1]


def test_clips_with_the_same_caption_are_right_answers_for_each_other():
    video = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]), dim=1)
    text = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    scores = score_retrieval(video, text, ["a", "a", "b"])

    assert scores.text_to_video.r1 == scores.video_to_text.r1 == 1.0
    assert scores.n_captions == 2
    assert scores.text_to_video.chance_r1 == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_both_directions_are_scored_apart():
    text = torch.tensor([[0.5, 0.1], [0.6, 0.7]])

    scores = score_retrieval(torch.eye(2), text, ["a", "b"])

    assert scores.text_to_video.r1 == 1.0  # each text likes its own clip best
    assert scores.video_to_text.r1 == 0.5  # but clip 0 likes text 1 better than its own


@given(st.lists(st.integers(0, 2), min_size=2, max_size=6), st.integers(1, 6))
def test_chance_is_what_random_orders_reach(groups, k):
    n = len(groups)
    counts = [groups.count(g) for g in groups]
    reached = []
    for right in counts:
        hits = [any(p < right for p in order[:k]) for order in itertools.permutations(range(n))]
        reached.append(sum(hits) / len(hits))

    assert chance_recall(n, counts, k) == pytest.approx(sum(reached) / n)


@given(st.integers(2, 40), st.integers(0, 2**31))
def test_recalls_grow_with_k_and_ranks_lie_in_range(n, seed):
    draw = torch.Generator().manual_seed(seed)
    video, text = torch.randn(n, 4, generator=draw), torch.randn(n, 4, generator=draw)

    scores = score_retrieval(video, text, [str(i % 7) for i in range(n)])

    for way in (scores.text_to_video, scores.video_to_text):
        assert 0 <= way.r1 <= way.r5 <= way.r10 <= 1
        assert 1 <= way.median_rank <= n and way.chance_r1 <= way.chance_r5 <= way.chance_r10


def test_the_summary_for_people_names_scores_and_chance():
    scores = score_retrieval(torch.eye(4), torch.eye(4), list("abcd"), n_lost=2)

    text = scores.describe()

    assert (
        "text to video: R@1 100.0% (95 %: 51.0% to 100.0%; chance 25.0%)" in text
        and "2 clips could not be read" in text
    )
    assert scores.flat()["v2t_median_rank"] == 1 and scores.flat()["n_lost"] == 2


def test_wilsons_interval_has_its_known_values():
    low, high = wilson_interval(0.25, 128)
    assert (low, high) == (pytest.approx(0.1831, abs=5e-4), pytest.approx(0.3315, abs=5e-4))
    assert wilson_interval(0.0, 20)[0] == 0.0 and wilson_interval(1.0, 20)[1] == 1.0
    assert wilson_interval(0.5, 0) == (0.0, 1.0)
