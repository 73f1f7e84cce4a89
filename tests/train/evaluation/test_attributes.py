"""Scores by attribute of the captions, and the oracles that they are read against."""

from __future__ import annotations

import pytest
import torch

from train.evaluation.attributes import (
    oracle_r1,
    score_attributes,
    share_distinguished,
    swapped,
    values_of,
)
from train.evaluation.scores import wilson_interval

CAPTIONS = [f"{colour} dots drift {way}" for colour in ("red", "green") for way in ("left", "right", "up", "down")]
PATTERNS = {"colour": r"^(\w+) dots", "way": r"drift (\w+)"}


def test_an_attribute_is_what_the_group_finds():
    assert values_of(["One RED dot", "no dot here"], r"(red|blue) dot") == ["red", ""]
    assert values_of(["number four", "marked six"], r"number (\w+)|marked (\w+)") == ["four", "six"]


def test_an_oracle_picks_one_of_those_that_look_alike():
    assert oracle_r1(CAPTIONS, [values_of(CAPTIONS, PATTERNS["colour"])]) == pytest.approx(1 / 4)
    assert oracle_r1(CAPTIONS, [values_of(CAPTIONS, PATTERNS["way"])]) == pytest.approx(1 / 2)
    assert oracle_r1(CAPTIONS, [values_of(CAPTIONS, p) for p in PATTERNS.values()]) == 1.0
    assert oracle_r1(CAPTIONS, []) == pytest.approx(1 / 8)
    assert oracle_r1(["a", "a", "b"], []) == pytest.approx((2 / 3 + 2 / 3 + 1 / 3) / 3)


def test_scores_say_which_attribute_the_first_answers_have():
    first = torch.tensor([1, 0, 3, 2, 5, 4, 7, 6])  # the right colour, the other way of each pair

    scores = score_attributes(first, CAPTIONS, PATTERNS)

    assert (scores["colour"].right, scores["way"].right) == (1.0, 0.0)
    assert (scores["colour"].chance, scores["way"].chance) == (0.5, 0.25)
    assert scores["colour"].oracle_r1 == scores["way"].without_r1 == pytest.approx(1 / 4)


def test_a_caption_is_swapped_in_the_place_of_its_own_value():
    assert swapped("A red dot on red", r"a (\w+) dot", ["red", "blue"]) == ["A red dot on red", "A blue dot on red"]
    assert swapped("number six", r"marked (\w+)|number (\w+)", ["two"]) == ["number two"]
    assert swapped("nothing", r"marked (\w+)", ["two"]) == []


def test_a_value_is_distinguished_from_the_same_words_with_another():
    """Clips that show the colour and nothing of the way: ties, which count against the model."""
    colours = torch.eye(2).repeat_interleave(4, 0)

    def embed(texts):
        return torch.stack([torch.tensor([float("red" in text), float("green" in text)]) for text in texts])

    assert share_distinguished(colours, CAPTIONS, PATTERNS["colour"], embed) == (1.0, 0.5)
    assert share_distinguished(colours.flip(1), CAPTIONS, PATTERNS["colour"], embed) == (0.0, 0.5)
    assert share_distinguished(colours, CAPTIONS, PATTERNS["way"], embed) == (0.0, 0.25)


def test_wilsons_interval_has_its_known_values():
    low, high = wilson_interval(0.25, 128)
    assert (low, high) == (pytest.approx(0.1831, abs=5e-4), pytest.approx(0.3315, abs=5e-4))
    assert wilson_interval(0.0, 20)[0] == 0.0 and wilson_interval(1.0, 20)[1] == 1.0
    assert wilson_interval(0.5, 0) == (0.0, 1.0)
