"""Masked visual modelling: which cells are drawn and masked."""

import torch

from train.models.soho import MvmDraw
from train.models.soho.neck import draw_from, mvm_labels


def test_all_cells_of_the_drawn_word_are_masked_in_chosen_rows_alone() -> None:
    indices = torch.tensor([[3, 7, 3, 3], [3, 7, 3, 3]])
    mask = torch.tensor([[True, True, True, False]] * 2)
    labels = mvm_labels(indices, mask, MvmDraw(0, torch.tensor([1, 0])))
    assert labels.tolist() == [[3, -100, 3, -100], [-100] * 4]
    assert (mvm_labels(indices, mask, MvmDraw(3, torch.tensor([1, 1]))) == -100).all()  # the place is padding


def test_every_valid_cell_can_be_drawn_and_no_other() -> None:
    mask = torch.tensor([[True, False, True, False, True]]).expand(300, 5)
    draws = torch.rand(300, 2, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    draw = draw_from(draws, mask)
    assert torch.unique(torch.as_tensor(draw.location)).tolist() == [0, 2, 4]
    assert torch.equal(draw.chosen, draws[:, 1] > 0)
