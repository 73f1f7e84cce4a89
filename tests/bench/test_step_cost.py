"""The counted cost of a step: the arithmetic that a run counts too, and what recomputing blocks costs and saves."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.step_cost import cost_of, make_batch
from train.models import ModelConfig
from train.models.hd_vila import HDVila

SMALL = {"preset": "tiny", "high": (64, 128)}


def test_flops_of_a_clip_are_those_of_a_forward_pass_with_data_and_memory_is_four_copies_of_the_weights():
    config = ModelConfig(**SMALL)
    model = HDVila(config).train()

    cost = cost_of(config, 1)

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(make_batch(config, 1))
    assert (
        0 < cost.forward_flops == pytest.approx(counter.get_total_flops(), rel=0.01)
    )  # attention counts by its kernel
    assert cost.model_flops == 3 * cost.forward_flops
    assert cost.step_flops == pytest.approx(cost.model_flops, rel=0.15)
    assert cost.state_bytes == 4 * 4 * sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_recomputed_blocks_cost_arithmetic_and_save_memory():
    plain, recomputed = (cost_of(ModelConfig(**SMALL, gradient_checkpointing=on)) for on in (False, True))

    assert recomputed.model_flops == plain.model_flops
    assert recomputed.step_flops > 1.1 * plain.step_flops
    assert recomputed.kept_bytes < 0.8 * plain.kept_bytes
