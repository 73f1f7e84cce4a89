"""First (initial) weights of models with a picture encoder under a BERT: random, then those that the section names.

SOHO and Visual Parsing differ only in the encoder: its prefix in the model's keys, the key of the section that names
its source, and which of torchvision's weights fit it. An `Encoder` describes that; this file has the rest.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from manifests.errors import UserError
from train.models.base import Model
from train.models.weight_files import bert_key, copy_keys, load_file, out_of_reach, read_bert, weights_in

log = logging.getLogger(__name__)

COUNTER = "num_batches_tracked"
"""Suffix of the keys of batch counters, which hold no information."""
LANGUAGE, BERT = "language.", "language.bert."
M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Encoder:
    """Describes the picture encoder of a model."""

    part: str
    """Its name, a key of `weight_sources`; the section's `<part>_weights` names its source."""
    prefix: str
    """Prefix of its keys in the model; files may lack it."""
    imagenet: Callable[[Any], str]
    """The section -> the name of torchvision's weights (`Swin_T`); UserError if none fit."""
    classifier: str
    """Prefix of a published file's keys for its classifier, which the model doesn't have."""


def build(make: Callable[[], M], randomise: Callable[[M], None], encoder: Encoder, *, seed: int) -> M:
    """Creates a model with `make`, fills it with `randomise`, then loads the section's sources; in training mode.

    `model.weight_sources` and the log say where each part came from. The same section and seed give the same weights,
    whatever the caller drew before. UserError for a weights file that is missing or doesn't fit, and for weights on the
    internet that are out of reach.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
        randomise(model)
    model.weight_sources = dict.fromkeys((encoder.part, "bert", "rest"), f"random, seed {seed}")
    config = model.config
    source = str(getattr(config, f"{encoder.part}_weights"))
    if source != "random":
        _fill(model, encoder.part, encoder.prefix, source, _read_encoder(config, encoder, source))
    if config.bert_weights != "random":
        _fill(model, "bert", BERT, config.bert_weights, _read_layers(model, config.bert_weights))
    if config.model_weights:
        _fill_all(model, Path(config.model_weights))
    for part, origin in model.weight_sources.items():
        log.info("weights of %s: %s", part, origin)
    return model.train()


def _read_encoder(config: Any, encoder: Encoder, source: str) -> Mapping[str, Tensor] | None:
    """The encoder's tensors under the model's keys; None if ImageNet's are out of reach."""
    weights = _imagenet(encoder.imagenet(config)) if source == "imagenet" else load_file(Path(source))
    if weights is None:
        return None
    plain = {key.removeprefix(encoder.prefix): value for key, value in weights.items()}
    return {f"{encoder.prefix}{k}": value for k, value in plain.items() if not k.startswith(encoder.classifier)}


def _imagenet(name: str) -> Mapping[str, Tensor] | None:
    try:
        from torchvision.models import get_weight

        return get_weight(f"{name}_Weights.IMAGENET1K_V1").get_state_dict(progress=False, check_hash=True)
    except (ImportError, OSError, RuntimeError):  # not installed; no network; a download with a wrong hash
        return None


def _read_layers(model: Model, source: str) -> Mapping[str, Tensor] | None:
    """BERT's embeddings and its first layers, as many as the model has, under the model's keys."""
    weights = read_bert(source)
    if weights is None:
        return None
    named = {f"{LANGUAGE}{bert_key(key)}": value for key, value in weights.items()}
    return {key: value for key, value in named.items() if key in model.state_dict()}


def _fill(model: Model, part: str, prefix: str, source: str, weights: Mapping[str, Tensor] | None) -> None:
    if weights is None:
        raise out_of_reach(part, source)
    wanted = {key for key in model.state_dict() if key.startswith(prefix) and not key.endswith(COUNTER)}
    model.weight_sources[part] = f"{source}, {copy_keys(model, weights, wanted, source)} tensors"


def _fill_all(model: Model, path: Path) -> None:
    """Loads every key that the model shares with a file of a whole model; heads of another task stay as they are."""
    weights = load_file(weights_in(path))
    own = {key for key in model.state_dict() if not key.endswith(COUNTER)}
    shared = own & weights.keys()
    if not shared:
        raise UserError(f"{path}: shares no key with this model; is it a checkpoint of kind {model.config.kind}?")
    left = sorted(own - shared)
    note = f", {len(left)} others as they were (the first: {left[0]})" if left else ""
    model.weight_sources["model"] = f"{path}, {copy_keys(model, weights, shared, str(path))} tensors{note}"
