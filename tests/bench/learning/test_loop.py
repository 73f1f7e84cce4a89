"""The known-answer sets of the closed loop: what is held out, what is wrong, and how scores are judged by it."""

from __future__ import annotations

from itertools import combinations

import pytest

from bench.learning.attributes import all_scenes, is_held_out
from bench.learning.loop import auc, exchanged

CAPTIONS = {f"film{k // 8}_{k % 8:05d}": f"sentence {k % 13}".encode() for k in range(400)}


def test_a_quarter_is_held_out_and_every_pair_of_values_is_learned_from():
    held_out = [scene for scene in all_scenes() if is_held_out(scene)]
    shown = [scene for scene in all_scenes() if not is_held_out(scene)]

    assert len(held_out) == 32 and len(shown) == 96
    for one, other in combinations(("colour", "hatching", "way"), 2):
        pairs = {(getattr(scene, one), getattr(scene, other)) for scene in shown}
        assert {(getattr(scene, one), getattr(scene, other)) for scene in held_out} <= pairs


@pytest.mark.parametrize("share", [0.0, 0.2, 0.4, 0.6])
def test_exchanged_captions_are_those_of_others_with_other_words(share):
    wrong = exchanged(CAPTIONS, share, seed=1)

    assert len(wrong) == round(share * len(CAPTIONS)) and wrong == exchanged(CAPTIONS, share, seed=1)
    assert all(text != CAPTIONS[key] for key, text in wrong.items())
    assert sorted(wrong.values()) == sorted(CAPTIONS[key] for key in wrong)


def test_the_area_under_the_curve_counts_pairs_and_half_of_ties():
    scores = {"a": 3.0, "b": 1.0, "c": 1.0, "d": 0.0}

    assert auc(scores, {"d"}) == 1.0
    assert auc(scores, {"a"}) == 0.0
    assert auc(scores, {"c", "d"}) == (2 + 1.5) / 4
