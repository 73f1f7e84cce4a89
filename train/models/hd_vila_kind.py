"""Registers HD-VILA with the trainer, and gives it its first (initial) weights.

These are seeded random numbers, then the published ones that the configuration names.
"""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.data.views import View
from train.models.configs import ModelConfig
from train.models.hd_vila import ALL_OBJECTIVES, HDVila
from train.models.registry import ModelKind, refuse_answers
from train.models.resnet import FrozenBatchNorm
from train.models.timesformer import Block, TimeSformer
from train.models.weight_files import bert_key, copy_keys, load_file, out_of_reach, read_bert, weights_in

log = logging.getLogger(__name__)

INIT_STD = 0.02
"""Standard deviation of new Linear and Embedding weights (BERT's)."""

TIME_STD = 0.3
"""Standard deviation of a random time embedding: about that of a token, so that attention sees the order of frames."""


def build_model(
    config: ModelConfig, *, seed: int, view: View = "hybrid", network: Callable[[Any], HDVila] = HDVila
) -> HDVila:
    """Builds a model with its initial weights, in training mode; `model.weight_sources` and the log say their sources.

    Parts that no picture of `view` passes through are not trainable.

    The same config and seed give the same weights, whatever the caller drew before (its random state isn't changed).
    UserError for a weights file that is missing or doesn't fit, and for weights on the internet that are out of reach.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network(config)
        init_random(model)
    model.weight_sources = {
        "trunks": f"random, seed {seed}",
        "bert": f"random, seed {seed}",
        "rest": f"random, seed {seed}",
    }
    _load_part(model, "trunks", config.trunk_weights, _read_trunk, _fill_trunks)
    _load_part(model, "bert", config.bert_weights, read_bert, _fill_bert)
    if config.model_weights:
        _fill_model(model, Path(config.model_weights))
    for part, source in model.weight_sources.items():
        log.info("weights of %s: %s", part, source)
    model.mark_trainable(view=view)
    return model.train()


def init_random(model: HDVila) -> None:
    """Fills every parameter: He for convolutions, normal 0.02 for Linear and Embedding, and zeros for the time branch
    of the space-time Transformer (unless `time_init` is random)."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            _init_conv(name, module)
        elif isinstance(module, nn.Linear):
            _init_linear(module, truncated=name.startswith("timesformer."))
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=INIT_STD)
    _init_timesformer(model.timesformer, zero_time=model.config.time_init == "zero")
    if model.config.stage == 2 and not model.config.n_answers:
        words = model.transformer.bert.embeddings.word_embeddings.weight
        model.transformer.cls.predictions.decoder.weight.data.copy_(words.data)


def _init_conv(name: str, conv: nn.Conv2d) -> None:
    if name.startswith("cnn"):
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    else:
        nn.init.kaiming_uniform_(conv.weight, a=5**0.5)


def _init_linear(linear: nn.Linear, *, truncated: bool) -> None:
    fill = nn.init.trunc_normal_ if truncated else nn.init.normal_
    fill(linear.weight, std=INIT_STD)
    nn.init.zeros_(linear.bias)


def _init_timesformer(timesformer: TimeSformer, *, zero_time: bool) -> None:
    nn.init.trunc_normal_(timesformer.pos_embed, std=INIT_STD)
    if not zero_time:
        nn.init.normal_(timesformer.time_embed, std=TIME_STD)
        for linear in timesformer.modules():
            if isinstance(linear, nn.Linear):
                # What other frames contribute passes through three such layers: with 0.02 it would vanish in a narrow
                # model.
                nn.init.trunc_normal_(linear.weight, std=linear.in_features**-0.5)
        return
    nn.init.zeros_(timesformer.time_embed)
    for block in timesformer.blocks:
        assert isinstance(block, Block)
        nn.init.zeros_(block.temporal_fc.weight)
        nn.init.zeros_(block.temporal_fc.bias)


def _load_part(
    model: HDVila,
    part: str,
    source: str,
    read: Callable[[str], Mapping[str, Tensor] | None],
    fill: Callable[[HDVila, Mapping[str, Tensor], str], int],
) -> None:
    """Loads the weights of `source` into a part of the model."""
    if source == "random":
        return
    weights = read(source)
    if weights is None:
        raise out_of_reach(part, source)
    n_filled = fill(model, weights, source)
    model.weight_sources[part] = f"{source}, {n_filled} tensors"


def _read_trunk(source: str) -> Mapping[str, Tensor] | None:
    if source != "imagenet" or Path(source).exists():
        return load_file(weights_in(Path(source)))
    try:
        from torchvision.models import ResNet50_Weights

        return ResNet50_Weights.IMAGENET1K_V1.get_state_dict(progress=False, check_hash=True)
    except (ImportError, OSError, RuntimeError):  # not installed; no network; a download with a wrong hash
        return None


def _fill_trunks(model: HDVila, weights: Mapping[str, Tensor], source: str) -> int:
    """Fills both trunks from the same ResNet (keys with or without `backbone.`, without the classifier)."""
    plain = {key.removeprefix("backbone."): value for key, value in weights.items()}
    n_filled = 0
    for trunk in (model.cnn, model.cnn_low):
        wanted = {key for key in trunk.state_dict() if not key.endswith("num_batches_tracked")}
        if not any(isinstance(module, FrozenBatchNorm) for module in trunk.modules()):
            raise UserError("trunk_weights needs trunk_norm frozen_batch: a ResNet file holds batch statistics")
        n_filled += copy_keys(trunk, plain, wanted, source)
    return n_filled


def _fill_bert(model: HDVila, weights: Mapping[str, Tensor], source: str) -> int:
    """Fills embeddings, all of the model's layers, and in stage 2 the word head. BERT's own pooler is not used."""
    named = {bert_key(key): value for key, value in weights.items()}
    own = model.transformer.state_dict()
    wanted = {key for key in own if key.startswith(("bert.embeddings.", "bert.encoder."))}
    head = {key for key in own if key.startswith("cls.") and key in named}
    return copy_keys(model.transformer, named, wanted | head, source)


def _fill_model(model: HDVila, path: Path) -> None:
    """Loads every shared key of an exported folder or official file (a file of stage 1 lacks stage 2's upper half)."""
    weights = load_file(weights_in(path))
    own = model.state_dict()
    shared = {key for key in own if key in weights and not key.endswith("num_batches_tracked")}
    if not shared:
        raise UserError(f"{path}: shares no key with this model; is it an HD-VILA checkpoint?")
    copy_keys(model, weights, shared, str(path))
    left = sorted(key for key in own.keys() - shared if not key.endswith("num_batches_tracked"))
    note = f", {len(left)} others from the sources below it (the first: {left[0]})" if left else ""
    model.weight_sources["model"] = f"{path}, {len(shared)} tensors{note}"


def refuse(config: Any, weights: Mapping[str, float]) -> None:
    """Raises ValueError if the model's stage and the objectives don't go together."""
    refuse_answers(config, weights)
    multimodal = {"mlm", "itm", "answers"} & weights.keys()
    if multimodal and config.stage == 1:
        raise ValueError("objective.mlm and objective.itm need model.stage: 2")
    if ("itm" in weights) != config.itm:
        raise ValueError("objective.itm and model.itm go together: set both or neither")
    if config.freeze_stage1 and not multimodal:
        raise ValueError("model.freeze_stage1 leaves the contrastive loss nothing to train: set objective.mlm")


KIND = ModelKind(
    section=ModelConfig,
    build=lambda config, seed: build_model(config, seed=seed),
    view="hybrid",
    objectives=(*ALL_OBJECTIVES, "answers", "distill"),
    refuse=refuse,
)
