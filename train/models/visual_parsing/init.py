"""Visual Parsing's first weights: seeded random numbers, then ImageNet's and BERT's where asked for and in reach."""

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.models.init import INIT_STD, bert_key, copy_keys, out_of_reach, read_bert, weights_in
from train.models.visual_parsing.configs import VisualParsingConfig
from train.models.visual_parsing.model import VisualParsing
from train.models.weight_files import load_file

log = logging.getLogger(__name__)

IMAGENET = {"swin_t": "Swin_T", "swin_s": "Swin_S", "swin_b": "Swin_B"}


def build_visual_parsing(config: VisualParsingConfig, *, seed: int) -> VisualParsing:
    """A model with its first weights, in training mode. `model.weight_sources` and the log say where they came from.

    The same config and seed give the same weights, whatever the caller drew before. UserError for a weights file that
    is missing or doesn't fit; for weights of the net that are out of reach, unless
    `allow_random`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VisualParsing(config)  # torchvision fills the parser as Swin's authors did
        _init_rest(model)
    model.weight_sources = dict.fromkeys(("parser", "bert", "rest"), f"random, seed {seed}")
    if config.parser_weights != "random":
        _fill(model, "parser", config.parser_weights, _read_parser(config))
    if config.bert_weights != "random":
        _fill(model, "bert", config.bert_weights, _read_layers(model, config.bert_weights))
    if config.model_weights:
        path = Path(config.model_weights)
        weights = load_file(weights_in(path))
        shared = {key for key in model.state_dict() if key in weights}
        if not shared:
            raise UserError(f"{path}: shares no key with this model; is it a Visual Parsing checkpoint?")
        model.weight_sources["model"] = f"{path}, {copy_keys(model, weights, shared, str(path))} tensors"
    for part, source in model.weight_sources.items():
        log.info("weights of %s: %s", part, source)
    return model.train()


def _init_rest(model: VisualParsing) -> None:
    """Everything but the parser: normal 0.02 for Linear, Embedding, mask and type; zero biases."""
    for name, module in model.named_modules():
        if name.startswith("parser."):
            continue
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=INIT_STD)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
    nn.init.normal_(model.visual_embedding.mask_token, std=INIT_STD)
    nn.init.normal_(model.visual_embedding.token_type, std=INIT_STD)


def _read_parser(config: VisualParsingConfig) -> Mapping[str, Tensor] | None:
    """torchvision's keys, with or without `parser.`; None where ImageNet's are out of reach."""
    weights = _imagenet(config) if config.parser_weights == "imagenet" else load_file(Path(config.parser_weights))
    if weights is None:
        return None
    return {f"parser.{key.removeprefix('parser.')}": value for key, value in weights.items()}


def _imagenet(config: VisualParsingConfig) -> Mapping[str, Tensor] | None:
    name = IMAGENET.get(config.parser)
    if name is None:
        raise UserError("parser_weights: imagenet has swin_t, swin_s and swin_b; set parser to one, or give a file")
    try:
        from torchvision.models import get_weight

        return get_weight(f"{name}_Weights.IMAGENET1K_V1").get_state_dict(progress=False, check_hash=True)
    except (ImportError, OSError, RuntimeError):  # not installed; no network; a download that fails its hash
        return None


def _read_layers(model: VisualParsing, source: str) -> Mapping[str, Tensor] | None:
    """BERT's embeddings and as many of its first layers as the model has, under this model's keys."""
    weights = read_bert(source)
    if weights is None:
        return None
    named = {f"language.{bert_key(key)}": value for key, value in weights.items()}
    return {key: value for key, value in named.items() if key in model.state_dict()}


def _fill(model: VisualParsing, part: str, source: str, weights: Mapping[str, Tensor] | None) -> None:
    if weights is None:
        model.weight_sources[part] += out_of_reach(model.config, part, source)
        return
    prefix = "parser." if part == "parser" else "language.bert."
    wanted = {key for key in model.state_dict() if key.startswith(prefix)}
    model.weight_sources[part] = f"{source}, {copy_keys(model, weights, wanted, source)} tensors"
