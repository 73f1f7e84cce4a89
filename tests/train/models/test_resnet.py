"""The trunk's frozen normalisation."""

import torch
from torch import nn
from torch.nn import functional as F

from train.models.resnet import FrozenBatchNorm


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
