"""Batch normalisation: torch's in one process, and in evaluation what it remembered."""

import pytest
import torch

from train.models.resnet import FrozenBatchNorm, GroupNorm
from train.models.soho.norms import BatchNorm, ConvNorm, norm_of


def test_in_one_process_it_is_torchs() -> None:
    torch.manual_seed(0)
    ours, theirs = BatchNorm(4), torch.nn.BatchNorm2d(4)
    x = torch.randn(3, 4, 5, 6)
    for _ in range(3):
        assert torch.equal(ours(x), theirs(x))
    assert torch.equal(ours.running_var, theirs.running_var)
    assert torch.equal(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(
    ("name", "kind"), [("batch", BatchNorm), ("group", GroupNorm), ("frozen_batch", FrozenBatchNorm)]
)
def test_the_setting_names_the_layer_and_keys_are_the_published_ones(name: str, kind: type) -> None:
    layer = ConvNorm(8, 4, name)
    assert type(norm_of(name, 4)) is kind and type(layer.bn) is kind
    assert {key.partition(".")[0] for key in layer.state_dict()} == {"conv", "bn"}
    assert layer(torch.zeros(1, 8, 2, 2)).shape == (1, 4, 2, 2)
