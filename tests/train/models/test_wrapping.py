"""What makes a GPU faster leaves embeddings and gradients what they are."""

from __future__ import annotations

import pytest
import torch

from manifests.errors import UserError
from tests.train.model_cases import assert_same, gradients_of, small_batch, small_config, small_model, whole_loss
from train.config import TrainConfig
from train.models.configs import ModelConfig
from train.models.hd_vila import HDVila
from train.models.wrapping import UNIT_PARAMETERS, blocks_of, compile_blocks, shardable, tune


def gradients(model: HDVila) -> dict[str, torch.Tensor]:
    batch = small_batch(small_config(), 4)
    torch.autograd.backward(whole_loss(model(batch), batch))
    return gradients_of(model)


def a_config(**loop: object) -> TrainConfig:
    return TrainConfig(data={"manifest": "m"}, loop={"steps": 1, **loop})


@pytest.fixture(autouse=True)
def switches():
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = before


def test_switches_are_those_of_the_configuration() -> None:
    tune(small_model(), a_config(tf32=True).loop, "none")
    assert torch.backends.cuda.matmul.allow_tf32 and torch.backends.cudnn.allow_tf32

    tune(small_model(), a_config().loop, "none")
    assert not torch.backends.cuda.matmul.allow_tf32 and not torch.backends.cudnn.allow_tf32


def test_channels_last_gives_the_same_gradients_and_is_refused_where_it_cannot_be() -> None:
    model = small_model()
    tune(model, a_config(channels_last=True).loop, "none")

    weights = [p for p in model.parameters() if p.ndim == 4 and min(p.shape[1:]) > 1]
    assert weights and all(p.is_contiguous(memory_format=torch.channels_last) for p in weights)
    assert_same(gradients(model), gradients(small_model()))
    with pytest.raises(UserError, match="channels_last"):
        tune(small_model(), a_config(channels_last=True).loop, "fsdp2")


def test_each_block_is_compiled_by_itself_and_computes_the_same() -> None:
    model = small_model()
    compile_blocks(model, backend="eager")

    assert all(block._compiled_call_impl is not None for block in blocks_of(model))
    assert model._compiled_call_impl is None
    assert_same(gradients(model), gradients(small_model()))


def test_units_of_sharding_hold_every_block_once_and_are_not_small_where_neighbours_are_left() -> None:
    with torch.device("meta"):
        model = HDVila(ModelConfig(preset="hd_vila_base"))
    units = shardable(model)

    assert sorted(id(block) for unit in units for block in unit) == sorted(id(block) for block in blocks_of(model))
    sizes = [sum(p.numel() for block in unit for p in block.parameters()) for unit in units]
    assert max(sizes) < 5 * UNIT_PARAMETERS
    assert len(units) < len(list(blocks_of(model))) / 1.5
