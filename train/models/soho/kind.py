"""Registers SOHO with the trainer; its initial weights: random initialisation, and which ResNet fits its trunk."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from manifests.errors import UserError
from train.models.initial_weights import Encoder, build
from train.models.registry import ModelKind, refuse_answers
from train.models.soho.configs import SohoConfig
from train.models.soho.model import AnswerHead, Soho, SohoVqa

RESNETS = {(2, 2, 2, 2): "ResNet18", (3, 4, 6, 3): "ResNet50", (3, 4, 23, 3): "ResNet101"}


def build_soho(config: SohoConfig, *, seed: int) -> Soho:
    """Builds a SOHO with its initial weights, in training mode: see train.models.initial_weights."""
    return build(lambda: Soho(config), init_soho, TRUNK, seed=seed)


def build_soho_vqa(config: SohoConfig, *, seed: int) -> SohoVqa:
    """The same with the neck and head of question answering; a pre-trained SOHO in `model_weights` gives the rest."""
    return build(lambda: SohoVqa(config), init_soho, TRUNK, seed=seed)


def init_soho(model: Soho | SohoVqa) -> None:
    """Fills weights from torch's generator: He for convolutions and answer head, normal `init_std` for the rest."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=model.config.init_std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=model.config.init_std)
    if isinstance(model.head, AnswerHead):
        for module in model.head.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)


def _imagenet(config: SohoConfig) -> str:
    name = RESNETS.get(config.trunk_depths)
    if name is None:
        raise UserError(
            f"trunk_weights: imagenet has no ResNet of depths {config.trunk_depths}; give a file, or random"
        )
    return name


TRUNK = Encoder("trunk", "backbone.", _imagenet, classifier="fc.")


def build_kind(config: SohoConfig, seed: int) -> Soho | SohoVqa:
    """A SOHO, or for an answering model one with its neck and head."""
    return build_soho_vqa(config, seed=seed) if config.n_answers else build_soho(config, seed=seed)


def refuse(config: Any, weights: Mapping[str, float]) -> None:
    """Raises ValueError for settings that don't go together."""
    if config.compat and config.gradient_checkpointing:
        raise ValueError("model.compat updates the dictionary in the forward pass: model.gradient_checkpointing is off")
    refuse_answers(config, weights)


KIND = ModelKind(
    section=SohoConfig,
    build=build_kind,
    view="picture",
    objectives=("mlm", "itm", "mvm", "answers"),
    refuse=refuse,
)
