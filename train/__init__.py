"""The trainer's Python API: loads official checkpoints, and exported models for inference.

    train.load_official(state_dict) -> model        train.official_keys(stage), train.official_keys(model="soho")
    train.ImageBatch, train.MvmDraw                 SOHO's inputs, and the random draws of its masking
    train.load(folder).embed_video(path)            train.load(folder).embed_text(["a caption"])
    train.videos_in(folder) -> [path]
    ModelKind, Objective, Spans, Section, identity, Seen, make_view     for packages that add a model, an objective or a
                                                                        view: docs/extending.md

Everything else is not public: any version may move, rename or remove it.
Names are imported on first use, so that `import train` (and the command line) stays fast.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "ImageBatch": "train.models.soho.batch",
    "ModelKind": "train.models.registry",
    "MvmDraw": "train.models.soho.batch",
    "Objective": "train.objectives.base",
    "Section": "manifests.settings",
    "Seen": "train.data.registry",
    "Spans": "train.losses",
    "identity": "manifests.settings",
    "load": "train.exports.inference",
    "load_official": "train.models.published",
    "make_view": "train.data.registry",
    "official_keys": "train.models.published",
    "soho_losses": "train.models.soho.model",
    "videos_in": "train.data.film",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'train' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
