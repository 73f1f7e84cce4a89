"""SOHO's initial weights: drawn as they should be, from the seed; no ResNet of ImageNet where there is none."""

import pytest
import torch

from manifests.errors import UserError
from tests.train.models.small_soho import small_config
from train.models.soho import build_soho
from train.models.soho.kind import TRUNK, _imagenet


def test_linear_and_embedding_weights_have_the_deviation_that_is_set() -> None:
    model = build_soho(small_config(init_std=0.05), seed=1)
    linear = torch.cat([m.weight.detach().flatten() for m in model.modules() if isinstance(m, torch.nn.Linear)])
    assert float(linear.std()) == pytest.approx(0.05, rel=0.1)
    biases = [m.bias for m in model.modules() if isinstance(m, torch.nn.Linear) and m.bias is not None]
    assert biases and not any(bool(bias.any()) for bias in biases)


def test_depths_without_a_resnet_are_named_with_the_cure() -> None:
    assert TRUNK.prefix == "backbone."
    with pytest.raises(UserError, match="no ResNet of depths"):
        _imagenet(small_config(trunk_depths=(1, 1, 1, 1)))
