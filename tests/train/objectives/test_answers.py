"""Answering: each answer for itself, or one that is right; shares of micro-batches add up."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from train.objectives.answers import loss, totals
from train.rows import Rows

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
TARGETS = torch.tensor([[1.0, 0.3, 0.0], [0.0, 0.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)


def of(kind: str, rows: slice = slice(None)) -> float:
    batch = Rows(targets=TARGETS[rows])
    n_rows = totals(Rows(targets=TARGETS))
    return float(loss(SimpleNamespace(answer_logits=LOGITS[rows]), batch, n_rows, SimpleNamespace(answers_kind=kind)))


def test_scores_are_summed_over_answers_and_one_is_a_softmax() -> None:
    by_hand = -(TARGETS * LOGITS.sigmoid().log() + (1 - TARGETS) * (1 - LOGITS.sigmoid()).log()).sum(1).mean()
    assert of("scores") == pytest.approx(float(by_hand))
    hard = F.cross_entropy(LOGITS[1:], torch.tensor([2, 1]), reduction="sum") / 3
    assert of("one", slice(1, 3)) == pytest.approx(float(hard))


@pytest.mark.parametrize("kind", ["scores", "one"])
def test_shares_of_micro_batches_add_up(kind: str) -> None:
    assert of(kind, slice(0, 2)) + of(kind, slice(2, 3)) == pytest.approx(of(kind))
