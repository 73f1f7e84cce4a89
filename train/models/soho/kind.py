"""SOHO as the trainer knows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train.models.registry import ModelKind
from train.models.soho.configs import SohoConfig
from train.models.soho.init import build_soho
from train.models.soho.model import Soho


def build(config: SohoConfig, seed: int) -> Soho:
    """As `init.build_soho`."""
    return build_soho(config, seed=seed)


def refuse(config: Any, weights: Mapping[str, float]) -> None:
    """ValueError for settings that don't go together."""
    if config.compat and config.gradient_checkpointing:
        raise ValueError("model.compat updates the dictionary in the forward pass: model.gradient_checkpointing is off")


KIND = ModelKind(
    section=SohoConfig,
    build=build,
    view="picture",
    objectives=("mlm", "itm", "mvm"),
    groups=Soho.groups,
    refuse=refuse,
)
