"""Answering: each answer for itself, or one that is right; shares of micro-batches add up."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from train.objectives.answers import AnswersSettings, loss, totals
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
def test_logits_in_half_precision_are_counted_in_single(kind: str) -> None:
    """256 answers: a sum of them in bfloat16 would be off by a percent."""
    logits = torch.randn(2, 256, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.rand(2, 256, generator=torch.Generator().manual_seed(1))

    def loss_of(x: torch.Tensor) -> float:
        config = SimpleNamespace(answers_kind=kind)
        return float(loss(SimpleNamespace(answer_logits=x), Rows(targets=targets), 2, config))

    assert loss_of(logits) == pytest.approx(loss_of(logits.double()), rel=1e-5)


def test_answers_are_scored_each_for_itself_unless_one_is_asked_for() -> None:
    assert AnswersSettings().answers_kind == "scores"
