"""TimeSformer's blocks."""

import pytest
import torch
from torch import nn

from tests.train.model_cases import gradients_of
from train.models.timesformer import Block, DropPath


def test_the_last_block_computes_one_frame_with_the_gradients_of_all() -> None:
    torch.manual_seed(0)
    block = Block(16, 2, drop_path=0.0).double()
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)
    x = torch.randn(2, 5, 6, 16, dtype=torch.float64, requires_grad=True)
    block(x)[:, 2].square().sum().backward()
    wanted, wanted_x = gradients_of(block), x.grad
    block.zero_grad()
    x.grad = None
    block(x, 2).square().sum().backward()
    assert all(torch.allclose(found, wanted[name], atol=1e-9) for name, found in gradients_of(block).items())
    assert wanted_x is not None and x.grad is not None and torch.allclose(x.grad, wanted_x, atol=1e-9)


def test_a_dropped_path_is_all_or_nothing_for_a_row_and_right_on_average() -> None:
    drop = DropPath(0.25).train()
    torch.manual_seed(0)
    out = drop(torch.ones(4000, 3), (4000, 1))
    assert {round(float(v), 4) for v in out.unique()} == {0.0, round(1 / 0.75, 4)}
    assert torch.equal(out[:, 0], out[:, 2])
    assert float(out.mean()) == pytest.approx(1.0, abs=0.05)
    assert torch.equal(drop.eval()(torch.ones(4, 3), (4, 1)), torch.ones(4, 3))
