"""Folders of towers as transformers saves them: config.json and model.safetensors (or several, with an index)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from manifests.errors import UserError
from manifests.wrong_value import first_fault
from train.models.vit.hf_config import preprocessor_config, transformers_config, transformers_shape
from train.models.vit.layouts import from_theirs, table_of, to_theirs
from train.models.vit.shapes import TowersShape
from train.models.vit.towers import Towers
from train.models.weight_files import load_file

CONFIG, WEIGHTS = "config.json", "model.safetensors"


def read_shape(folder: Path) -> TowersShape:
    """The shape of a folder's towers, from its configuration. UserError for one that cannot be read or isn't known."""
    file = folder / CONFIG
    if not file.is_file():
        raise UserError(f"{folder}: holds no {CONFIG}; towers are read from folders as transformers saves them")
    try:
        return transformers_shape(json.loads(file.read_text(encoding="utf-8")), _colours(folder))
    except ValidationError as error:
        raise UserError(f"{file}: {first_fault(TowersShape, error)}") from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({type(error).__name__}: {error})") from None


def read_towers(folder: Path) -> tuple[TowersShape, dict[str, Tensor]]:
    """(shape, weights under our keys). UserError, one message, for what is missing, surplus or of another shape."""
    shape = read_shape(folder)
    with torch.device("meta"):
        own = Towers(shape).state_dict()
    return shape, from_theirs(_weights(folder), own, table_of(shape), str(folder))


def write_towers(shape: TowersShape, weights: Mapping[str, Tensor], folder: Path) -> int:
    """Writes configuration and weights into a folder that exists; returns how many entries. UserError for towers that
    transformers has no model for.
    """
    theirs = to_theirs(weights, table_of(shape))
    save_file(theirs, folder / WEIGHTS, metadata={"format": "pt"})
    _write(folder / CONFIG, transformers_config(shape))
    _write(folder / "preprocessor_config.json", preprocessor_config(shape.image))
    return len(theirs)


def _write(file: Path, document: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _weights(folder: Path) -> dict[str, Tensor]:
    index, names = folder / f"{WEIGHTS}.index.json", [WEIGHTS]
    if index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    elif not (folder / WEIGHTS).is_file():
        raise UserError(f"{folder}: holds no {WEIGHTS}: weights are read from safetensors")
    return {key: tensor for name in names for key, tensor in load_file(folder / name).items()}


def _colours(folder: Path) -> dict[str, Any]:
    """Mean and deviation that the folder's pictures are prepared with, if it says."""
    file = folder / "preprocessor_config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {ours: said[theirs] for ours, theirs in (("mean", "image_mean"), ("std", "image_std")) if theirs in said}
