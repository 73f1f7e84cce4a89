"""The trainer's Python API: loads official checkpoints, and exported models for inference.

    train.load_official(state_dict) -> model        train.official_keys(stage), train.official_keys(model="soho")
    train.ImageBatch, train.MvmDraw                 SOHO's inputs, and the random draws of its masking
    train.load(folder).embed_video(path)            train.load(folder).embed_text(["a caption"])
    train.videos_in(folder) -> [path]

Names are imported on first use, so that `import train` (and the command line) stays fast.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "ImageBatch": "train.models.soho.batch",
    "MvmDraw": "train.models.soho.batch",
    "load": "train.exports.inference",
    "load_official": "train.models.published",
    "official_keys": "train.models.published",
    "soho_losses": "train.models.soho.model",
    "videos_in": "train.data.film",
}

__all__ = ["ImageBatch", "MvmDraw", "load", "load_official", "official_keys", "soho_losses", "videos_in"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'train' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
