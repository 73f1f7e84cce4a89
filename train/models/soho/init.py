"""SOHO's first weights: seeded random numbers, then ImageNet's and BERT's where they are asked for and within reach."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.models.init import INIT_STD, bert_key, copy_keys, out_of_reach, read_bert, weights_in
from train.models.soho.configs import SohoConfig
from train.models.soho.model import AnswerHead, Soho, SohoVqa
from train.models.weight_files import load_file

log = logging.getLogger(__name__)

COUNTER = "num_batches_tracked"


def build_soho(config: SohoConfig, *, seed: int) -> Soho:
    """A SOHO with its first weights, in training mode. `model.weight_sources` and the log say where they came from.

    The same config and seed give the same weights, whatever the caller drew before. UserError for a weights file that
    is missing or doesn't fit; for weights of the net that are out of reach, unless
    `allow_random`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Soho(config)
        init_soho(model)
    model.weight_sources = dict.fromkeys(("trunk", "bert", "rest"), f"random, seed {seed}")
    if config.trunk_weights != "random":
        _fill(model, "trunk", config.trunk_weights, _read_trunk(config))
    if config.bert_weights != "random":
        _fill(model, "bert", config.bert_weights, _read_layers(model, config.bert_weights))
    if config.model_weights:
        path = Path(config.model_weights)
        weights = load_file(weights_in(path))
        shared = {key for key in model.state_dict() if key in weights and not key.endswith(COUNTER)}
        if not shared:
            raise UserError(f"{path}: shares no key with this model; is it a SOHO checkpoint?")
        model.weight_sources["model"] = f"{path}, {copy_keys(model, weights, shared, str(path))} tensors"
    for part, source in model.weight_sources.items():
        log.info("weights of %s: %s", part, source)
    return model.train()


def init_soho(model: Soho | SohoVqa) -> None:
    """He for convolutions, normal 0.02 for Linear and Embedding; the answer head He's too. Draws from torch's state."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=INIT_STD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=INIT_STD)
    if isinstance(model.head, AnswerHead):
        for module in model.head.modules():
            if isinstance(module, nn.Linear):
                nn.init.kaiming_normal_(module.weight)


def _read_trunk(config: SohoConfig) -> Mapping[str, Tensor] | None:
    """Keys with `backbone.`, the classifier left out; None where ImageNet's are out of reach."""
    weights = _imagenet(config) if config.trunk_weights == "imagenet" else load_file(Path(config.trunk_weights))
    if weights is None:
        return None
    plain = {key.removeprefix("backbone."): value for key, value in weights.items()}
    return {f"backbone.{key}": value for key, value in plain.items() if not key.startswith("fc.")}


def _imagenet(config: SohoConfig) -> Mapping[str, Tensor] | None:
    name = {(2, 2, 2, 2): "ResNet18", (3, 4, 6, 3): "ResNet50", (3, 4, 23, 3): "ResNet101"}.get(config.trunk_depths)
    if name is None:
        raise UserError(
            f"trunk_weights: imagenet has no ResNet of depths {config.trunk_depths}; give a file, or random"
        )
    try:
        from torchvision.models import get_weight

        return get_weight(f"{name}_Weights.IMAGENET1K_V1").get_state_dict(progress=False, check_hash=True)
    except (ImportError, OSError, RuntimeError):  # not installed; no network; a download that fails its hash
        return None


def _read_layers(model: Soho, source: str) -> Mapping[str, Tensor] | None:
    """BERT's embeddings and as many of its first layers as the model has, under this model's keys."""
    weights = read_bert(source)
    if weights is None:
        return None
    named = {f"language.{bert_key(key)}": value for key, value in weights.items()}
    return {key: value for key, value in named.items() if key in model.state_dict()}


def _fill(model: Soho, part: str, source: str, weights: Mapping[str, Tensor] | None) -> None:
    if weights is None:
        model.weight_sources[part] += out_of_reach(model.config, part, source)
        return
    prefix = "backbone." if part == "trunk" else "language.bert."
    wanted = {key for key in model.state_dict() if key.startswith(prefix) and not key.endswith(COUNTER)}
    model.weight_sources[part] = f"{source}, {copy_keys(model, weights, wanted, source)} tensors"
