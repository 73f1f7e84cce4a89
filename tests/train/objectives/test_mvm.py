"""Masked cells: as many rows as the share says, each row's loss the mean over its cells."""

from types import SimpleNamespace

import torch
from torch.nn import functional as F

from tests.train.model_cases import TOKENS
from train.losses import IGNORED
from train.objectives.base import Draw
from train.objectives.mvm import asked, loss, prepare, totals
from train.rows import Rows


def test_about_the_share_of_rows_is_masked_and_draws_are_the_steps_own() -> None:
    rows = Rows(input_ids=torch.zeros(400, 1))

    def draws(step: int) -> torch.Tensor:
        return prepare(rows, Draw(0, step, TOKENS), SimpleNamespace(mvm_share=0.25))["mvm_draws"]

    assert 70 <= int(draws(0)[:, 1].sum()) <= 130 and set(draws(0)[:, 1].tolist()) == {0.0, 1.0}
    assert torch.equal(draws(0), draws(0)) and not torch.equal(draws(0), draws(1))


def test_a_rows_loss_is_the_mean_over_its_cells_and_unmatched_ones_count_nothing() -> None:
    labels = torch.tensor([[3, IGNORED, 1], [IGNORED, 2, IGNORED], [0, IGNORED, IGNORED]])
    draws = torch.tensor([[0.1, 1.0], [0.2, 1.0], [0.3, 1.0]])
    rows = Rows(mvm_draws=draws, itm_labels=torch.tensor([1, 1, 0]))
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    each = F.cross_entropy(logits, torch.tensor([3, 1, 2, 0]), reduction="none")

    assert asked(rows).tolist() == [True, True, False] and int(totals(rows)) == 2
    found = loss(SimpleNamespace(mvm_logits=logits, mvm_labels=labels), rows, totals(rows), None)
    assert torch.isclose(found, (each[:2].mean() + each[2]) / 2)
