"""Registers SOHO with the trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train.models.registry import ModelKind, refuse_answers
from train.models.soho.configs import SohoConfig
from train.models.soho.init import build_soho, build_soho_vqa
from train.models.soho.model import Soho, SohoVqa


def build(config: SohoConfig, seed: int) -> Soho | SohoVqa:
    """Calls `init.build_soho`, or for an answering model `init.build_soho_vqa`."""
    return build_soho_vqa(config, seed=seed) if config.n_answers else build_soho(config, seed=seed)


def refuse(config: Any, weights: Mapping[str, float]) -> None:
    """Raises ValueError for settings that don't go together."""
    if config.compat and config.gradient_checkpointing:
        raise ValueError("model.compat updates the dictionary in the forward pass: model.gradient_checkpointing is off")
    refuse_answers(config, weights)


KIND = ModelKind(
    section=SohoConfig,
    build=build,
    view="picture",
    objectives=("mlm", "itm", "mvm", "answers"),
    groups=Soho.groups,
    refuse=refuse,
)
