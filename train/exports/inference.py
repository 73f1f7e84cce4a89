"""Inference with a trained model: videos and sentences in, embeddings out.

model = train.load("out/export")
text = model.embed_text(["a red car drives off", "a cat sleeps"])     # [2, D]
video = model.embed_video("clip.mp4")                                 # [D]
print(text @ video)                                                   # similarities, -1 … 1

paths = train.videos_in("clips")
videos = model.embed_video(paths, batch=8)                            # [len(paths), D]
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from manifests.errors import UserError
from manifests.settings import load_config
from train.config import TrainConfig
from train.data.crop import QUARTER, Pixels, choose_crop, cut_view, full_size
from train.data.decode import choose_centres, frames_around, low_frames, low_view
from train.data.film import Film, videos_in
from train.data.views import View, Views, arrange
from train.exports.export import model_config, read_weights
from train.exports.export_folder import CONFIG, read_config
from train.feed.tokenizer import FILE, Tokenizer, load_tokenizer
from train.loop.checkpoint import find_checkpoint, restore_weights
from train.loop.objective import mark_trainable
from train.models import ModelConfig, build_model
from train.models.hd_vila import HDVila

Frames = npt.NDArray[np.uint8] | Tensor
Inputs = tuple[Tensor | None, Tensor | None]
ReadFrames = Callable[[Sequence[int]], Mapping[int, Pixels]]


class Encoder:
    """A model in evaluation mode, with its tokenizer and the views of a clip that it takes."""

    def __init__(
        self, model: HDVila, tokenizer: Tokenizer | None, *, stride: int = 12, view: View = "hybrid", fps: float = 0.0
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        config = model.config
        self.views = Views(config.high, config.low, config.n_frames, config.n_segments, stride, view=view)
        self.fps = fps
        """Frames per second at which files are read; 0: each at its own rate."""

    @property
    def device(self) -> torch.device:
        """The device that the model computes on; embeddings are returned on the CPU."""
        return next(self.model.parameters()).device

    def embed_video(self, clips: str | Path | Frames | Sequence[str | Path | Frames], *, batch: int = 8) -> Tensor:
        """Embeddings, fp32 with L2 norm 1: [D] for one clip, [n, D] for a list or a folder (in `videos_in`'s order).

        A clip is the path of a video, or its frames: uint8 RGB [T, H, W, 3] at the source's frame rate (at `fps`, if
        the model was trained at one). The model takes `batch` clips at a time. UserError for a file that cannot be
        decoded, or frames that aren't such an array.
        """
        if isinstance(clips, np.ndarray | Tensor):
            return self._embed([clips], 1)[0]
        if isinstance(clips, str | Path):
            path = Path(clips)
            return self._embed(videos_in(path), batch) if path.is_dir() else self._embed([path], 1)[0]
        return self._embed(list(clips), batch)

    def _embed(self, clips: Sequence[str | Path | Frames], batch: int) -> Tensor:
        parts = [clips[at : at + batch] for at in range(0, len(clips), batch)]
        rows = [self.embed_views([self.views_of_clip(clip) for clip in part]) for part in parts]
        return torch.cat(rows) if rows else torch.zeros(0, self.model.config.width)

    @torch.inference_mode()
    def embed_views(self, views: Sequence[Inputs]) -> Tensor:
        """The embeddings [n, D] of n clips, given their views from `views_of_clip`."""
        middle, around = (_stacked([pair[k] for pair in views], self.device) for k in (0, 1))
        return self.model.embed_video(middle, around).float().cpu()

    @property
    def temperature(self) -> float:
        """The number that similarities are divided by in the model's loss."""
        with torch.no_grad():
            return 1 / float(self.model.temperature()[0])

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """The embeddings [len(texts), D], fp32 with L2 norm 1. UserError if the export has no tokenizer."""
        if isinstance(texts, str):
            raise UserError(f"embed_text takes a list of sentences; write embed_text([{texts[:40]!r}])")
        if self.tokenizer is None:
            raise UserError("this export holds no tokenizer: put BERT's vocab.txt into its folder and load it again")
        ids, mask = self.tokenizer.encode(texts, self.model.config.text_length)
        return self.model.embed_text(ids.to(self.device), mask.to(self.device)).float().cpu()

    def views_of_clip(self, clip: str | Path | Frames) -> Inputs:
        """The model's input for a clip, from `hybrid_views`."""
        if isinstance(clip, str | Path):
            film = Film(Path(clip), self.fps)
            return hybrid_views(film.read, film.n_frames, self.views)
        array = np.asarray(clip)
        if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8 or not len(array):
            raise UserError(f"frames must be a uint8 array [T, H, W, 3], got {array.dtype} {array.shape}")
        return hybrid_views(lambda numbers: {n: array[n] for n in numbers}, len(array), self.views)


def _stacked(parts: Sequence[Tensor | None], device: torch.device) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.stack(tensors).to(device) if tensors else None


def hybrid_views(read: ReadFrames, n_frames: int, views: Views) -> Inputs:
    """The views of a clip for evaluation: (middle [S, 3, H, W], other [S, N-1, 3, h, w]), uint8.

    What `views.view` leaves out is None. Segments are centred on the middles of equal parts; the crop is central.
    """
    centres, stride = choose_centres(n_frames, views, None)
    around = [frames_around(centre, stride, n_frames, views) for centre in centres]
    small = low_frames(views, centres, around)
    pictures = read([*centres, *small] if views.has_still else small)
    height, width = next(iter(pictures.values())).shape[:2]
    crop = choose_crop(width, height, views.low, None)
    full_width, full_height = full_size(width, height)
    grid = (full_height, full_width)
    stills = [cut_view(pictures[n], crop.times(QUARTER), grid, views.high) for n in centres] if views.has_still else []
    low = {n: low_view(pictures[n], crop, grid, views.low) for n in small}
    middle, rest = arrange(views, centres, around, stills, low)
    return (
        _planes(middle) if views.has_middle else None,
        _planes(rest).unflatten(0, (len(centres), -1)) if views.n_other else None,
    )


def _planes(pictures: Sequence[Pixels]) -> Tensor:
    """n pictures [h, w, 3] -> [n, 3, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))


def load_checkpoint(target: Path, *, best: bool = False, device: torch.device | str = "cpu") -> Encoder:
    """Loads a model from a run's folder or a checkpoint in it (the moving average, if any), or an export."""
    if (target / CONFIG).is_file():
        return load(target, device=device)
    checkpoint = find_checkpoint(target, best=best)
    folder = next(p for p in (checkpoint.parent.parent, checkpoint.parent) if (p / "config.yaml").is_file())
    config = load_config(TrainConfig, folder / "config.yaml")
    if not isinstance(config.model, ModelConfig):
        raise UserError(f"{target}: holds a model of kind {config.model.kind}, which has no embeddings to compare by")
    model = build_model(config.model.without_sources(), seed=config.seed)
    mark_trainable(model, config)
    restore_weights(checkpoint, model)
    tokenizer = load_tokenizer(folder / "tokenizer")
    data = config.data
    return Encoder(model.to(device), tokenizer, stride=data.stride, view=cast(View, data.view), fps=data.fps)


def load(path: str | Path, *, device: torch.device | str = "cpu") -> Encoder:
    """Loads the model of an exported folder (`hdvila-train export` or `convert`). UserError says what is wrong."""
    folder = Path(path)
    document = read_config(folder)
    config = model_config(document.get("model", {}), source=folder / "config.json")
    model = HDVila(config)
    _fill(model, folder)
    has_tokenizer = any((folder / name).is_file() for name in (FILE, "vocab.txt"))
    tokenizer = load_tokenizer(folder) if has_tokenizer else None
    return Encoder(
        model.to(device),
        tokenizer,
        stride=int(document.get("frame_stride", 12)),
        view=_view(document, folder),
        fps=float(document.get("fps", 0.0)),
    )


def _view(document: Mapping[str, object], folder: Path) -> View:
    """The view that the model was trained on."""
    view = document.get("view")
    if view not in get_args(View):
        raise UserError(f"{folder}: was trained with the view {view!r}, this program knows {', '.join(get_args(View))}")
    return cast(View, view)


def _fill(model: HDVila, folder: Path) -> None:
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
