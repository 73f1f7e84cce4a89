"""Matching: scores as counted by hand."""

import pytest
import torch

from train.evaluation.matching import score_of_all


def test_scores_of_matching_are_those_counted_by_hand() -> None:
    scores = torch.tensor([[2.0, -1.0, 3.0], [-1.0, 1.0, -2.0], [0.5, -1.0, -0.5]])  # pictures x sentences
    found = score_of_all(scores, ["a", "b", "c"])
    assert found.image_to_text[1] == pytest.approx(1 / 3)  # pictures 0 and 2 prefer another sentence
    assert found.text_to_image[1] == pytest.approx(2 / 3)  # sentence c finds picture 0 first
    assert found.accuracy == pytest.approx(4 / 6)  # wrong are 2 with c and 2 with a
    assert found.chance[1] == pytest.approx(1 / 3)
    same = score_of_all(torch.zeros(2, 2), ["a", "b"])
    assert same.text_to_image[1] == 0.0  # ties count against the model
