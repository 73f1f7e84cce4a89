"""Masked frames: the shares of ranks average to the mean over rows."""

from types import SimpleNamespace

import torch

from tests.train.model_cases import TOKENS
from train.objectives import Draw, mfr
from train.rows import Rows


def test_rows_whose_sentence_is_anothers_are_not_asked_and_none_asked_is_no_loss() -> None:
    rows = Rows(input_ids=torch.zeros(3, 1))

    assert int(mfr.totals(rows)) == 3
    assert int(mfr.totals(rows.having({"itm_labels": torch.tensor([1, 0, 1])}))) == 2
    assert float(mfr.loss(SimpleNamespace(mfr_error=torch.tensor([4.0, 0.0])), None, torch.tensor(1), None)) == 4
    assert float(mfr.loss(SimpleNamespace(mfr_error=torch.zeros(2)), None, torch.tensor(0), None)) == 0


def test_each_row_draws_a_token_of_its_own_and_another_at_each_step() -> None:
    rows = Rows(input_ids=torch.zeros(50, 1))

    first, again, next_step = (mfr.prepare(rows, Draw(0, step, TOKENS), None)["mfr_draws"] for step in (3, 3, 4))

    assert torch.equal(first, again) and not torch.equal(first, next_step)
    assert len(first.unique()) == 50 and 0 <= float(first.min()) < 0.2 and 0.8 < float(first.max()) < 1
