"""Published weights of any model: their keys, and loading them (the model is recognised by the keys)."""

from collections.abc import Mapping
from typing import Literal

from torch import Tensor

from train.models import official
from train.models.hd_vila import HDVila
from train.models.official import Stage
from train.models.soho.model import Soho, SohoVqa
from train.models.soho.official import is_soho, load_official_soho, official_soho_keys
from train.models.weight_files import Shape, bare


def official_keys(
    stage: Stage = 1, *, model: Literal["hd_vila", "soho", "soho_vqa"] = "hd_vila"
) -> Mapping[str, Shape]:
    """{key: shape} of a published file: HD-VILA 926 entries in stage 1 and 1135 in stage 2, SOHO 196 in pre-training
    and 185 in question answering. `stage` applies only to HD-VILA."""
    return official.official_keys(stage) if model == "hd_vila" else official_soho_keys(vqa=model == "soho_vqa")


def load_official(state_dict: Mapping[str, Tensor], *, partial: bool = False) -> HDVila | Soho | SohoVqa:
    """Loads a published state dict into an fp32 model, in evaluation mode; its keys give model, stage and kind.

    A SOHO follows the published rules (`compat`). OfficialMismatch names keys that are missing, unknown or of another
    shape; with `partial`, missing ones keep random initial weights (seed 0) and unknown ones are ignored.
    """
    weights = bare(state_dict)
    if is_soho(weights):
        return load_official_soho(weights, partial=partial)
    return official.load_official(weights, partial=partial)
