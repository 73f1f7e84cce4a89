"""Rates and schedules of the optimiser."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hdvila_testing.drawn_set import MICRO_MODEL
from manifests.errors import UserError
from train.loop.optim import build_optimizer, clean_name, clip_gradients, lr_factor, parameter_groups
from train.models import ModelConfig, build_model
from train.sections import OptimConfig


@pytest.fixture(scope="module")
def model():
    return build_model(ModelConfig(**MICRO_MODEL), seed=0)


def test_every_trained_parameter_is_in_exactly_one_group(model):
    grouped = [p for group in parameter_groups(model, OptimConfig()) for p in group["params"]]

    assert len(grouped) == len({id(p) for p in grouped})
    assert {id(p) for p in grouped} == {id(p) for p in model.parameters() if p.requires_grad}


def test_biases_embeddings_and_norms_are_not_decayed_unless_asked(model):
    names = {id(p): n for n, p in model.named_parameters()}

    def decayed(config):
        groups = parameter_groups(model, config)
        return {names[id(p)] for g in groups if g["weight_decay"] for p in g["params"]}

    plain, official = decayed(OptimConfig()), decayed(OptimConfig(decay_norms=True))
    assert not [n for n in plain if n.endswith("bias") or "embed" in n or "norm" in n.lower() or ".bn" in n]
    assert "timesformer.blocks.0.norm1.weight" in official - plain
    assert "temperature.logit_scale" not in official


def rates(model, **settings):
    """{name: (peak rate, weight decay)} of each trained parameter."""
    names = {id(p): n for n, p in model.named_parameters()}
    groups = parameter_groups(model, OptimConfig(lr=1.0, weight_decay=0.1, **settings))
    return {names[id(p)]: (g["peak_lr"], g["weight_decay"]) for g in groups for p in g["params"]}


def test_rates_and_decay_are_products_of_all_patterns_that_match(model):
    scale = {"transformer.*": 0.5, "transformer.bert.*": 0.1, "*.word_embeddings.*": 0.0}

    found = rates(model, lr_scale=scale, weight_decay_scale={"*.bert.*.dense.weight": 3})

    assert found["transformer.v_proj.weight"] == pytest.approx((0.5, 0.1))
    assert found["transformer.bert.encoder.layer.0.output.dense.weight"] == pytest.approx((0.05, 0.3))
    assert found["transformer.bert.embeddings.word_embeddings.weight"] == (0, 0)
    assert found["timesformer.blocks.0.mlp.fc1.weight"] == pytest.approx((1.0, 0.1))
    assert found["transformer.v_proj.bias"] == pytest.approx((0.5, 0))


def test_a_pattern_that_matches_nothing_is_refused(model):
    with pytest.raises(UserError, match=r"optim\.lr_scale\.timesformer: matches no trained .*, which timesformer\.\*"):
        rates(model, lr_scale={"timesformer": 0.1})


@pytest.mark.parametrize("on_gpu", [True, False])
def test_adamw_is_one_kernel_where_the_weights_are_on_a_gpu_alone(model, monkeypatch, on_gpu):
    monkeypatch.setattr(torch.nn.Parameter, "is_cuda", on_gpu, raising=False)

    optimizer = build_optimizer(model, OptimConfig())

    assert {bool(group["fused"]) for group in optimizer.param_groups} == {on_gpu}


@given(st.sampled_from(["cosine", "linear", "constant"]), st.integers(1, 300), st.floats(0, 0.9))
def test_the_rate_rises_to_its_peak_and_then_never_rises_again(schedule, n_steps, warmup):
    config = OptimConfig(schedule=schedule, warmup=warmup)

    factors = [lr_factor(step, n_steps, config) for step in range(n_steps)]

    n_warmup = round(warmup * n_steps)
    assert factors[:n_warmup] == sorted(factors[:n_warmup])
    assert factors[n_warmup:] == sorted(factors[n_warmup:], reverse=True)
    assert all(0 < f <= 1 for f in factors) or schedule != "constant"
    assert max(factors) == pytest.approx(1.0)


def test_milestones_halve_the_rate_once_each():
    config = OptimConfig(schedule="milestones", warmup=0.0, milestones=(0.5, 0.75))

    assert [lr_factor(step, 8, config) for step in (0, 3, 4, 5, 6, 7)] == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_clipping_scales_to_the_norm_and_tells_the_one_before():
    layer = torch.nn.Linear(3, 1)
    (10 * layer(torch.ones(1, 3))).sum().backward()

    assert clip_gradients(layer, 0) == pytest.approx(20.0)
    assert clip_gradients(layer, 5.0) == pytest.approx(20.0)
    assert clip_gradients(layer, 5.0) == pytest.approx(5.0, rel=1e-4)


def test_a_name_keeps_what_only_looks_like_a_wrappers_prefix():
    assert clean_name("module.text_module.proj.weight") == "text_module.proj.weight"
    assert clean_name("text_module._orig_mod.proj.weight") == "text_module.proj.weight"
