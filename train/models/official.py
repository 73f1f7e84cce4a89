"""Published HD-VILA checkpoints: the keys that they hold, and how to load them."""

from collections.abc import Mapping
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from train.models.configs import ModelConfig
from train.models.hd_vila import HDVila
from train.models.hd_vila_kind import init_random
from train.models.weight_files import OfficialMismatch, Shape, bare, key_problems

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
    complete = _completed(weights, official_keys(stage))
    if not partial:
        check_keys(complete, stage)
    return _filled(complete, stage)


def check_keys(weights: Mapping[str, Tensor], stage: Stage) -> None:
    """Raises OfficialMismatch unless `weights` have the stage's keys and shapes, and both copies of the bias agree."""
    wanted = official_keys(stage)
    problems = key_problems(weights, wanted)
    if problems:
        raise OfficialMismatch(f"not an official stage {stage} checkpoint of {len(wanted)} entries: {problems}")
    if stage == 2 and not torch.equal(weights[BIAS].float(), weights[BIAS_ALIAS].float()):
        raise OfficialMismatch(f"{BIAS} and {BIAS_ALIAS} are one tensor in the model but differ in the checkpoint")


def _completed(weights: dict[str, Tensor], wanted: Mapping[str, Shape]) -> dict[str, Tensor]:
    """Adds keys that hold no information: batch counters, and the other key of the head's shared bias."""
    counters = {key: torch.tensor(0) for key in wanted if key.endswith("num_batches_tracked") and key not in weights}
    shared = weights.get(BIAS, weights.get(BIAS_ALIAS))
    aliases = {key: shared for key in (BIAS, BIAS_ALIAS) if shared is not None and key not in weights and key in wanted}
    return {**weights, **counters, **aliases}


def _filled(weights: Mapping[str, Tensor], stage: Stage) -> HDVila:
    """A model of `stage`, filled with every key of the right shape."""
    config = ModelConfig(preset="hd_vila", stage=stage)
    wanted = official_keys(stage)
    fitting = {key: value for key, value in weights.items() if wanted.get(key) == tuple(value.shape)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HDVila(config)
        if fitting.keys() != wanted.keys():
            init_random(model)
    with torch.no_grad():
        own = model.state_dict()
        for key, value in fitting.items():
            own[key].copy_(value)
    model.mark_trainable()
    return model.eval()
