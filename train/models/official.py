"""Published HD-VILA checkpoints: the keys that they hold, and how to load them."""

from collections.abc import Mapping
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from train.models.configs import ModelConfig
from train.models.hd_vila import HDVila
from train.models.hd_vila_kind import init_random
from train.models.weight_files import Shape, bare, check_official, completed, fill

Stage = Literal[1, 2]

STAGE2_MARK = "transformer.bert.visual_embeddings."
BIAS, BIAS_ALIAS = "transformer.cls.predictions.bias", "transformer.cls.predictions.decoder.bias"


@cache
def official_keys(stage: Stage) -> dict[str, Shape]:
    """{key: shape} of a published checkpoint: 926 entries in stage 1, 1135 in stage 2 (an alias among them)."""
    with torch.device("meta"):
        model = HDVila(ModelConfig(preset="hd_vila", stage=stage))
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def stage_of(keys: Mapping[str, object]) -> Stage:
    """The stage of a checkpoint: 2 if it has the embeddings of visual tokens or the heads, else 1."""
    return 2 if any(key.startswith((STAGE2_MARK, "transformer.cls.")) for key in keys) else 1


def load_official(state_dict: Mapping[str, Tensor], *, partial: bool = False) -> HDVila:
    """Loads a published checkpoint's state dict into an fp32 model, in evaluation mode; its keys give the stage.

    Half precision is widened; `num_batches_tracked` and the head's second bias key may be missing. With `partial`,
    other missing keys keep their random initial weights (seed 0) and unknown ones are ignored; else OfficialMismatch.
    """
    weights = bare(state_dict)
    stage = stage_of(weights)
    complete = completed(weights, official_keys(stage), (BIAS, BIAS_ALIAS))
    if not partial:
        check_keys(complete, stage)
    return _filled(complete, stage)


def check_keys(weights: Mapping[str, Tensor], stage: Stage) -> None:
    """Raises OfficialMismatch unless `weights` have the stage's keys and shapes, and both copies of the bias agree."""
    check_official(weights, official_keys(stage), (BIAS, BIAS_ALIAS), f"stage {stage}")


def _filled(weights: Mapping[str, Tensor], stage: Stage) -> HDVila:
    """A model of `stage`, filled with every key of the right shape."""
    wanted = official_keys(stage)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HDVila(ModelConfig(preset="hd_vila", stage=stage))
        if any(key not in weights or tuple(weights[key].shape) != shape for key, shape in wanted.items()):
            init_random(model)
    fill(model, weights, wanted)
    model.mark_trainable()
    return model.eval()
