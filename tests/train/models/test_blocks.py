"""Blocks of the networks: layers, norms, attention in time, temperatures, frames that cannot go together."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.train.model_cases import gradients_of
from train.models.bert import Encoder
from train.models.hybrid import check_frames
from train.models.resnet import FrozenBatchNorm
from train.models.temperature import Temperature
from train.models.timesformer import Block, DropPath


def test_what_is_masked_changes_nothing_for_the_others() -> None:
    torch.manual_seed(0)
    encoder = Encoder(3, 16, 2, 0.0, checkpointed=False).eval()
    x, mask = torch.randn(2, 6, 16), torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    other = x.clone()
    other[0, 4:] = 99.0

    with torch.no_grad():
        first, second = encoder(x, mask, slice(0, 3)), encoder(other, mask, slice(0, 3))
        in_two = encoder(encoder(x, mask, slice(0, 1)), mask, slice(1, 3))
    assert torch.equal(first[0, :4], second[0, :4]) and torch.equal(first[1], second[1])
    assert torch.equal(first, in_two), "slices of the layers are the layers"


def test_a_folded_normalisation_is_the_unfolded_one_with_its_gradients() -> None:
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 5, 3, stride=2, padding=1, bias=False).double(), FrozenBatchNorm(5).double().train()
    assert norm.running_mean is not None and norm.running_var is not None
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()
        norm.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    plain = F.batch_norm(conv(x), norm.running_mean, norm.running_var, norm.weight, norm.bias, False, 0.0, norm.eps)
    parameters = [conv.weight, norm.weight, norm.bias]
    wanted = torch.autograd.grad(plain.square().sum(), parameters)
    folded = norm.after(conv, x)
    assert torch.allclose(folded, plain)
    for found, right in zip(torch.autograd.grad(folded.square().sum(), parameters), wanted, strict=True):
        assert torch.allclose(found, right)


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


def test_a_learned_temperature_is_bounded_and_a_fixed_one_is_no_key() -> None:
    learned = Temperature(0.05, 0.0, learned=True)
    assert float(learned()[0].detach()) == pytest.approx(20.0)
    with torch.no_grad():
        learned.logit_scale.fill_(50.0)
    assert float(learned()[0].detach()) == pytest.approx(100.0)
    assert not Temperature(0.05, 0.0, learned=False).state_dict()


def test_a_temperature_at_its_bound_can_come_back() -> None:
    learned = Temperature(0.05, 0.0, learned=True)
    with torch.no_grad():
        learned.logit_scale.fill_(6.0)
    scale, _ = learned()
    torch.autograd.backward(scale)
    assert isinstance(learned.logit_scale, torch.nn.Parameter)
    assert learned.logit_scale.grad is not None
    assert float(learned.logit_scale.grad) == pytest.approx(100.0)
    learned.bound()
    assert float(learned.logit_scale.detach().exp()) == pytest.approx(100.0)


def middle(b: int = 1, s: int = 1, size: tuple[int, int] = (64, 128)) -> torch.Tensor:
    return torch.zeros(b, s, 3, *size)


def other(b: int = 1, s: int = 1, size: tuple[int, int] = (16, 32)) -> torch.Tensor:
    return torch.zeros(b, s, 2, 3, *size)


@pytest.mark.parametrize(("high", "low"), [(middle(), other()), (middle(), None), (None, other(size=(32, 48)))])
def test_frames_of_the_expected_shapes_are_accepted(high: torch.Tensor | None, low: torch.Tensor | None) -> None:
    check_frames(high, low)


@pytest.mark.parametrize(
    ("high", "low", "words"),
    [
        (None, None, "no frames"),
        (torch.zeros(1, 3, 64, 64), None, "img_middle must be"),
        (None, torch.zeros(1, 1, 3, 16, 16), "img_other must be"),
        (middle(size=(64, 100)), None, "multiples of 64"),
        (None, other(size=(16, 24)), "multiples of 16"),
        (middle(s=2), other(), "segments"),
        (middle(size=(64, 64)), other(), "four times"),
    ],
)
def test_frames_of_other_shapes_are_refused_by_name(
    high: torch.Tensor | None, low: torch.Tensor | None, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        check_frames(high, low)
