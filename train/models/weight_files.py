"""Reads weights from disk, safetensors and torch files, without executing any code in them."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file as load_safetensors
from torch import Tensor

from manifests.errors import UserError


def load_file(path: Path) -> dict[str, Tensor]:
    """Reads the flat state dict of a .safetensors or torch file (with weights_only), on the CPU. Else UserError."""
    if not path.is_file():
        raise UserError(f"{path}: no such weights file; check the path")
    try:
        if path.suffix == ".safetensors":
            return load_safetensors(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path}: cannot be read as weights ({reason}); is the file whole?") from None
    return bare(loaded, source=str(path))


def bare(loaded: object, source: str = "the state dict") -> dict[str, Tensor]:
    """A flat {key: tensor}, without a training wrapper or a `module.` prefix. UserError for anything else."""
    for wrapper in ("model_state_dict", "state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(wrapper), Mapping):
            loaded = loaded[wrapper]
    if not isinstance(loaded, Mapping) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise UserError(f"{source}: holds no flat state dict of tensors")
    return {str(key).removeprefix("module."): value for key, value in loaded.items()}


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"
