"""Folders of towers: their configuration and weights, read and written in the layouts of transformers and open_clip.

transformers   config.json, model.safetensors (or several, with an index)
open_clip      open_clip_config.json, open_clip_model.safetensors
"""

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
from train.models.vit.layouts import Layout, from_theirs, table_of, to_theirs
from train.models.vit.open_clip_config import open_clip_config, open_clip_shape
from train.models.vit.shapes import TowersShape
from train.models.vit.towers import Towers
from train.models.weight_files import load_file

CONFIG, OPEN_CONFIG = "config.json", "open_clip_config.json"
OPEN_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")


def layout_of(folder: Path) -> Layout:
    """The layout of a folder. UserError if it is neither's."""
    if (folder / OPEN_CONFIG).is_file():
        return "open_clip"
    if (folder / CONFIG).is_file():
        return "transformers"
    raise UserError(f"{folder}: holds neither {CONFIG} (transformers) nor {OPEN_CONFIG} (open_clip)")


def read_shape(folder: Path) -> TowersShape:
    """The shape of a folder's towers, from its configuration. UserError for one that cannot be read or isn't known."""
    layout = layout_of(folder)
    file = folder / (CONFIG if layout == "transformers" else OPEN_CONFIG)
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if layout == "open_clip":
            return open_clip_shape(document)
        return transformers_shape(document, _colours(folder))
    except ValidationError as error:
        raise UserError(f"{file}: {first_fault(TowersShape, error)}") from None
    except UserError as error:
        raise UserError(f"{file}: {error}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({type(error).__name__}: {error})") from None


def read_towers(folder: Path) -> tuple[TowersShape, dict[str, Tensor]]:
    """(shape, weights under our keys). UserError, one message, for what is missing, surplus or of another shape."""
    shape = read_shape(folder)
    layout = layout_of(folder)
    with torch.device("meta"):
        own = Towers(shape).state_dict()
    weights = _weights(folder, layout)
    return shape, from_theirs(weights, own, table_of(shape, layout), str(folder))


def write_towers(shape: TowersShape, weights: Mapping[str, Tensor], folder: Path, layout: Layout) -> int:
    """Writes configuration and weights into a folder that exists; returns how many entries. UserError for towers that
    the layout has no model for."""
    theirs = to_theirs(weights, table_of(shape, layout))
    config = transformers_config(shape) if layout == "transformers" else open_clip_config(shape)
    name = "model.safetensors" if layout == "transformers" else OPEN_WEIGHTS[0]
    save_file(theirs, folder / name, metadata={"format": "pt"})
    _write(folder / (CONFIG if layout == "transformers" else OPEN_CONFIG), config)
    if layout == "transformers":
        _write(folder / "preprocessor_config.json", preprocessor_config(shape.image))
    return len(theirs)


def _write(file: Path, document: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _weights(folder: Path, layout: Layout) -> dict[str, Tensor]:
    index = folder / "model.safetensors.index.json"
    if layout == "transformers" and index.is_file():
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    else:
        names = [name for name in OPEN_WEIGHTS if (folder / name).is_file()][:1]
    if not names:
        raise UserError(f"{folder}: holds no {' or '.join(OPEN_WEIGHTS)}: weights are read from safetensors")
    return {key: tensor for name in names for key, tensor in load_file(folder / name).items()}


def _colours(folder: Path) -> dict[str, Any]:
    """Mean and deviation that the folder's pictures are prepared with, if it says."""
    file = folder / "preprocessor_config.json"
    said = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return {ours: said[theirs] for ours, theirs in (("mean", "image_mean"), ("std", "image_std")) if theirs in said}
