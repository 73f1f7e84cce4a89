"""Inference with a trained model: videos and sentences in, embeddings out.

model = train.load("out/export")
text = model.embed_text(["a red car drives off", "a cat sleeps"])     # [2, D]
video = model.embed_video("clip.mp4")                                 # [D]
print(text @ video)                                                   # similarities, -1 … 1

paths = train.videos_in("clips")
videos = model.embed_video(paths, batch=8)                            # [len(paths), D]
"""

from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

import torch

from manifests.errors import UserError
from manifests.settings import load_config
from train.annotations.questions import Task
from train.config import TrainConfig
from train.data.views import View
from train.evaluation.encoder import Encoder
from train.evaluation.published import encoder_of_run
from train.exports.export import model_config, read_weights, refuse_sound
from train.exports.export_folder import CONFIG, read_config
from train.exports.image_text_export import NAMES as IMAGE_TEXT
from train.feed.asked import read_classes
from train.feed.tokenizer import FILE, load_tokenizer
from train.loop.checkpoint import find_checkpoint, restore_weights
from train.loop.objective import mark_trainable
from train.models import ModelConfig
from train.models.hd_vila import HDVila
from train.models.registry import build_model
from train.models.vit.configs import VitConfig
from train.models.vit.model import Vit


def load_checkpoint(target: Path, *, best: bool = False, device: torch.device | str = "cpu") -> Encoder:
    """Loads a model from a run's folder or a checkpoint in it, or an export."""
    if (target / CONFIG).is_file():
        if best:
            raise UserError(f"{target}: an export holds one set of weights; leave out --best")
        return load(target, device=device)
    checkpoint = find_checkpoint(target, best=best)
    folder = next(p for p in (checkpoint.parent.parent, checkpoint.parent) if (p / "config.yaml").is_file())
    config = load_config(TrainConfig, folder / "config.yaml")
    if not isinstance(config.model, ModelConfig | VitConfig):
        raise _no_embeddings(target, config.model.kind)
    refuse_sound(config.model, target)
    model = build_model(config.model.without_sources(), seed=config.seed)
    mark_trainable(model, config)
    restore_weights(checkpoint, model)
    return encoder_of_run(model.to(device), load_tokenizer(folder / "tokenizer"), config, read_classes(folder))


def _no_embeddings(place: Path, kind: str) -> UserError:
    return UserError(f"{place}: holds a model of kind {kind}, which has no embeddings to compare by")


def load(path: str | Path, *, device: torch.device | str = "cpu") -> Encoder:
    """Loads the model of an exported folder (`hdvila-train export` or `convert`). UserError says what is wrong."""
    folder = Path(path)
    document = read_config(folder)
    if document.get("model_type") in IMAGE_TEXT:
        raise _no_embeddings(folder, document["model_type"])
    section = model_config(document.get("model", {}), source=folder / "config.json")
    model = HDVila(section) if isinstance(section, ModelConfig) else Vit(section)
    _fill(model, folder)
    has_tokenizer = any((folder / name).is_file() for name in (FILE, "vocab.txt"))
    tokenizer = load_tokenizer(folder) if has_tokenizer else None
    return Encoder(
        model.to(device),
        tokenizer,
        stride=int(document.get("frame_stride", 12)),
        view=_view(document, folder),
        fps=float(document.get("fps", 0.0)),
        task=_task(document, folder),
        classes=read_classes(folder),
    )


def _view(document: Mapping[str, object], folder: Path) -> View:
    """The view that the model was trained on."""
    view = document.get("view")
    if view not in get_args(View):
        raise UserError(f"{folder}: was trained with the view {view!r}, this program knows {', '.join(get_args(View))}")
    return cast(View, view)


def _task(document: Mapping[str, object], folder: Path) -> Task | None:
    """Which questions about videos the model answers, if any."""
    task = document.get("task")
    if task is not None and task not in get_args(Task):
        raise UserError(f"{folder}: answers questions of task {task!r}, this program knows {', '.join(get_args(Task))}")
    return cast(Task | None, task)


def _fill(model: HDVila | Vit, folder: Path) -> None:
    weights = read_weights(folder)
    own = model.state_dict()
    wrong = sorted(own.keys() ^ weights.keys())
    wrong += sorted(key for key in own.keys() & weights.keys() if own[key].shape != weights[key].shape)
    if wrong:
        raise UserError(
            f"{folder}: weights and config.json don't belong together; {len(wrong)} keys differ, "
            f"the first {', '.join(wrong[:5])}"
        )
    model.load_state_dict(weights)
