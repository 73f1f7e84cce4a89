"""Clips by their embeddings: what is alike is found, what is not is not, and a concept has no more than its cap."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.likeness.meaning import alike, beyond, concepts_of, unit, words_of

N, D = 3000, 16


@pytest.fixture
def vectors():
    return unit(np.random.default_rng(0).normal(size=(N, D)))


def test_what_lies_together_is_one_concept(vectors):
    far = unit(np.where(np.arange(N)[:, None] % 2, 1, -1) + 0.3 * vectors)

    label = concepts_of(far, 2, seed=3)

    assert set(label[::2]) != set(label[1::2]) and len(set(label[::2])) == len(set(label[1::2])) == 1
    assert np.array_equal(label, concepts_of(far, 2, seed=3))


def test_each_clip_is_in_one_of_the_concepts_even_if_there_are_fewer_clips(vectors):
    assert set(concepts_of(vectors, 20, seed=0)) == set(range(20))
    assert set(concepts_of(vectors[:3], 20, seed=0)) <= set(range(3))
    assert len(concepts_of(vectors[:0], 4, seed=0)) == 0


def test_near_copies_in_other_videos_are_found_and_nothing_else(vectors):
    dice = np.random.default_rng(1)
    copied = dice.choice(N // 2, 200, replace=False)
    noise = 0.02 * dice.normal(size=(200, D)).astype(np.float32)
    both = np.concatenate([vectors, unit(vectors[copied] + noise)])
    videos = [f"video {at // 3}" for at in range(N)]

    found = alike(both, [*videos, *(f"copy {at // 4}" for at in range(200))], 0.98, seed=0)
    truth = {N + at: int(row) for at, row in enumerate(copied)}

    assert {row: other for row, (other, _) in found.items()}.items() <= truth.items()
    assert len(found) > 0.95 * len(truth)
    assert all(0.98 <= cosine <= 1.001 for _, cosine in found.values())
    assert alike(both, ["one"] * len(both), 0.98, seed=0) == {}


@given(st.lists(st.integers(0, 5), max_size=40), st.integers(1, 5))
def test_no_concept_keeps_more_than_its_cap_and_none_loses_below_it(concepts, cap):
    label = np.array(concepts, np.int64)

    kept = np.delete(label, beyond(label, cap))

    assert Counter(kept.tolist()) == {concept: min(n, cap) for concept, n in Counter(concepts).items()}


def test_a_concept_is_described_by_the_words_that_others_lack():
    texts = ["the boat sails", "the boat sinks", "the cat sleeps", "the cat and the boat"]

    words = words_of(texts, np.array([0, 0, 1, 1]))

    assert words[0][0] == "boat" or words[0][0] in ("sails", "sinks")
    assert words[1][0] == "cat" and "the" not in words[0][:1]
