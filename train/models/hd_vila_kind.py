"""Registers HD-VILA with the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train.models.configs import ModelConfig
from train.models.hd_vila import ALL_OBJECTIVES, HDVila
from train.models.init import build_model
from train.models.registry import ModelKind


def build(config: ModelConfig, seed: int) -> HDVila:
    """Calls `init.build_model`."""
    return build_model(config, seed=seed)


def refuse(config: Any, weights: Mapping[str, float]) -> None:
    """Raises ValueError if the model's stage and the objectives don't go together."""
    multimodal = {"mlm", "itm"} & weights.keys()
    if multimodal and config.stage == 1:
        raise ValueError("objective.mlm and objective.itm need model.stage: 2")
    if ("itm" in weights) != config.itm:
        raise ValueError("objective.itm and model.itm go together: set both or neither")
    if config.freeze_stage1 and not multimodal:
        raise ValueError("model.freeze_stage1 leaves the contrastive loss nothing to train: set objective.mlm")


KIND = ModelKind(
    section=ModelConfig,
    build=build,
    view="hybrid",
    objectives=ALL_OBJECTIVES,
    groups=HDVila.groups,
    refuse=refuse,
)
