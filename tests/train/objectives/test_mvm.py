"""Masked cells: as many rows as the share says, each row's loss the mean over its cells."""

from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError
from torch.nn import functional as F

from tests.train.model_cases import TOKENS
from train.losses import IGNORED
from train.objectives.base import Draw
from train.objectives.mvm import MvmSettings, asked, loss, prepare, totals
from train.rows import Rows


def test_about_the_share_of_rows_is_masked_and_draws_are_the_steps_own() -> None:
    rows = Rows(input_ids=torch.zeros(400, 1))

    def draws(step: int) -> torch.Tensor:
        return prepare(rows, Draw(0, step, TOKENS), SimpleNamespace(mvm_share=0.25))["mvm_draws"]

    assert 70 <= int(draws(0)[:, 1].sum()) <= 130 and set(draws(0)[:, 1].tolist()) == {0.0, 1.0}
    assert torch.equal(draws(0), draws(0)) and not torch.equal(draws(0), draws(1))


def test_where_a_word_is_taken_from_does_not_depend_on_whether_the_row_is_masked() -> None:
    draws = prepare(Rows(input_ids=torch.zeros(400, 1)), Draw(0, 0, TOKENS), SimpleNamespace(mvm_share=0.25))
    where, masked = draws["mvm_draws"].T

    assert 0.35 < float(where[masked > 0].mean()) < 0.65 and float(where[masked > 0].max()) > 0.8


def test_rows_that_were_not_drawn_are_not_asked_for() -> None:
    draws = torch.tensor([[0.1, 0.0], [0.2, 1.0], [0.3, 0.0]])

    assert asked(Rows(mvm_draws=draws)).tolist() == [False, True, False]
    assert asked(Rows(mvm_draws=draws, itm_labels=torch.tensor([1, 1, 1]))).tolist() == [False, True, False]


def test_a_rows_loss_is_the_mean_over_its_cells_and_unmatched_ones_count_nothing() -> None:
    labels = torch.tensor([[3, IGNORED, 1], [IGNORED, 2, IGNORED], [0, IGNORED, IGNORED]])
    draws = torch.tensor([[0.1, 1.0], [0.2, 1.0], [0.3, 1.0]])
    rows = Rows(mvm_draws=draws, itm_labels=torch.tensor([1, 1, 0]))
    logits = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    each = F.cross_entropy(logits, torch.tensor([3, 1, 2, 0]), reduction="none")

    assert asked(rows).tolist() == [True, True, False] and int(totals(rows)) == 2
    found = loss(SimpleNamespace(mvm_logits=logits, mvm_labels=labels), rows, totals(rows), None)
    assert torch.isclose(found, (each[:2].mean() + each[2]) / 2)


def test_a_single_row_is_the_whole_loss_and_none_is_no_loss() -> None:
    labels, logits = torch.tensor([[3, IGNORED]]), torch.randn(1, 5, generator=torch.Generator().manual_seed(3))
    outputs = SimpleNamespace(mvm_logits=logits, mvm_labels=labels)
    asked_for, not_drawn = (Rows(mvm_draws=torch.tensor([[0.5, drawn]])) for drawn in (1.0, 0.0))

    assert torch.isclose(loss(outputs, asked_for, totals(asked_for), None), F.cross_entropy(logits, torch.tensor([3])))
    assert float(loss(outputs, not_drawn, totals(not_drawn), None)) == 0


def test_a_share_lies_above_0_and_may_be_all() -> None:
    for share in (0.015, 0.15, 1.0):
        assert MvmSettings.model_validate({"mvm_share": share}).mvm_share == share
    for wrong in (0.0, 1.1):
        with pytest.raises(ValidationError):
            MvmSettings.model_validate({"mvm_share": wrong})
