"""Published SOHO weights: the keys that they hold, and how to load them.

There are two kinds, recognised by their keys: pre-training (`neck.vq.embed`) and question answering
(`head.vqa.0.weight`). The keys also give the trunk and the number of layers, so that files of other depths load.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from manifests.errors import UserError
from train.models.soho.configs import SohoConfig
from train.models.soho.kind import init_soho
from train.models.soho.model import Soho, SohoVqa
from train.models.weight_files import Shape, bare, check_official, completed, fill

PRETRAINING_MARK, VQA_MARK = "neck.vq.embed", "head.vqa.0.weight"
WORDS, WORDS_ALIAS = "language.bert.embeddings.word_embeddings.weight", "mask_l_fc.weight"

TRUNK_DEPTHS = {"layer3.22.": (3, 4, 23, 3), "layer3.5.": (3, 4, 6, 3)}


def is_soho(keys: Mapping[str, object]) -> bool:
    """Whether a state dict's keys are SOHO's, of either kind."""
    return PRETRAINING_MARK in keys or VQA_MARK in keys


def official_soho_keys(*, vqa: bool = False, config: SohoConfig | None = None) -> dict[str, Shape]:
    """{key: shape} of a published file: 196 entries (with an alias) for pre-training, 185 for question answering."""
    model = _empty(config or SohoConfig(compat=True), vqa=vqa)
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def load_official_soho(state_dict: Mapping[str, Tensor], *, partial: bool = False) -> Soho | SohoVqa:
    """Loads a published state dict into an fp32 model, in evaluation mode and `compat`; its keys give kind and depth.

    Batch counters and the word table's second key may be missing. With `partial`, other missing keys keep their random
    initial weights (seed 0) and unknown ones are ignored; otherwise OfficialMismatch names them.
    """
    weights = bare(state_dict)
    vqa = VQA_MARK in weights and PRETRAINING_MARK not in weights
    config = config_of(weights)
    wanted = official_soho_keys(vqa=vqa, config=config)
    complete = completed(weights, wanted, (WORDS, WORDS_ALIAS))
    if not partial:
        check_soho_keys(complete, wanted)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = SohoVqa(config) if vqa else Soho(config)
        init_soho(model)
    fill(model, complete, wanted)
    return model.eval()


def check_soho_keys(weights: Mapping[str, Tensor], wanted: Mapping[str, Shape]) -> None:
    """Raises OfficialMismatch unless `weights` have the wanted keys and shapes, and both word tables agree."""
    check_official(weights, wanted, (WORDS, WORDS_ALIAS), "SOHO")


def config_of(keys: Mapping[str, object]) -> SohoConfig:
    """The configuration that follows from a file's keys: trunk and number of layers. UserError for another trunk."""
    layers = {int(match[1]) for key in keys if (match := re.match(r"language\.bert\.encoder\.layer\.(\d+)\.", key))}
    n_layers = max(layers, default=2) + 1
    if "backbone.layer1.0.conv3.weight" not in keys:
        return SohoConfig(compat=True, n_layers=n_layers)
    for mark, depths in TRUNK_DEPTHS.items():
        if any(mark in key for key in keys):
            return SohoConfig(compat=True, trunk="bottleneck", trunk_depths=depths, n_layers=n_layers)
    raise UserError("the trunk has bottleneck blocks, but neither ResNet-50's nor ResNet-101's depths")


def _empty(config: SohoConfig, *, vqa: bool) -> Soho | SohoVqa:
    with torch.device("meta"):
        return SohoVqa(config) if vqa else Soho(config)
