"""A trained HD-VILA or vit with what belongs to it: videos and sentences in, embeddings (or answers) out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from manifests.errors import UserError
from train.annotations.questions import Task
from train.data.crop import Pixels
from train.data.decode import ReadFrames, views_of
from train.data.film import Film, videos_in
from train.data.views import View, Views
from train.feed.tokenizer import Tokenizer
from train.models.wrapping import autocast
from train.rows import Rows

Frames = npt.NDArray[np.uint8] | Tensor
Inputs = tuple[Tensor | None, Tensor | None]


class Encoder:
    """A model in evaluation mode, with its tokenizer and the views of a clip that it takes."""

    def __init__(
        self,
        model: Any,
        tokenizer: Tokenizer | None,
        *,
        stride: int = 12,
        view: View = "hybrid",
        fps: float = 0.0,
        precision: str = "fp32",
        task: Task | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        self.model = model.eval()
        """An HD-VILA or a vit: what embeds by `embed_video` and `embed_text`."""
        self.tokenizer = tokenizer
        config = model.config
        self.views = Views(config.high, config.low, config.n_frames, config.n_segments, stride, view=view)
        self.fps = fps
        """Frames per second at which files are read; 0: each at its own rate."""
        self.precision = precision
        self.task = task
        """Which questions about videos the model answers; None: it has embeddings."""
        self.classes = classes
        """The answers to choose from, for open questions."""

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
        self._refuse_answering()
        middle, around = (_stacked([pair[k] for pair in views], self.device) for k in (0, 1))
        with autocast(self.precision, self.device):
            return self.model.embed_video(middle, around).float().cpu()

    @torch.inference_mode()
    def maps_of(self, views: Sequence[Inputs]) -> Tensor:
        """What a model that answers reads of n clips, on its device: [n, S, D, h, w]."""
        middle, around = (_stacked([pair[k] for pair in views], self.device) for k in (0, 1))
        pictures = {"img_middle": middle, "img_other": around}
        rows = Rows({name: tensor for name, tensor in pictures.items() if tensor is not None})
        with autocast(self.precision, self.device):
            return self.model.visual_input(rows)[0]

    @torch.inference_mode()
    def answer(self, maps: Tensor, texts: Sequence[str]) -> Tensor:
        """The answering head's outputs [n, n_answers] for n maps, each read with its text; fp32 on the CPU."""
        ids, mask = self._tokens(texts)
        with autocast(self.precision, self.device):
            return self.model.answer(maps, ids, mask).float().cpu()

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
        self._refuse_answering()
        ids, mask = self._tokens(texts)
        with autocast(self.precision, self.device):
            return self.model.embed_text(ids, mask).float().cpu()

    def _tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        if self.tokenizer is None:
            raise UserError("this export holds no tokenizer: put BERT's vocab.txt into its folder and load it again")
        ids, mask = self.tokenizer.encode(texts, self.model.config.text_length)
        return ids.to(self.device), mask.to(self.device)

    def _refuse_answering(self) -> None:
        if self.model.config.n_answers:
            raise UserError("this model answers questions (eval --questions): it has no embeddings to compare by")

    def views_of_clip(self, clip: str | Path | Frames) -> Inputs:
        """The model's input for a clip, from `hybrid_views`."""
        if isinstance(clip, str | Path):
            film = Film(Path(clip), self.fps)
            return hybrid_views(film.read, film.n_frames, self.views)
        array = np.asarray(clip)
        if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8 or not len(array):
            raise UserError(f"frames must be a uint8 array [T, H, W, 3], got {array.dtype} {array.shape}")
        return hybrid_views(lambda numbers: {n: array[n] for n in numbers}, len(array), self.views)


def blank_inputs(views: Views) -> Inputs:
    """The input of a black clip."""
    return hybrid_views(lambda numbers: {n: np.zeros((*views.high, 3), np.uint8) for n in numbers}, 1, views)


def _stacked(parts: Sequence[Tensor | None], device: torch.device) -> Tensor | None:
    tensors = [part for part in parts if part is not None]
    return torch.stack(tensors).to(device) if tensors else None


def hybrid_views(read: ReadFrames, n_frames: int, views: Views) -> Inputs:
    """The views of a clip for evaluation: (middle [S, 3, H, W], other [S, N-1, 3, h, w]), uint8.

    What `views.view` leaves out is None. Segments are centred on the middles of equal parts; the crop is central.
    """
    middle, rest = views_of(read, n_frames, views, None)
    return (
        _planes(middle) if views.has_middle else None,
        _planes(rest).unflatten(0, (views.n_segments, -1)) if views.n_other else None,
    )


def _planes(pictures: Sequence[Pixels]) -> Tensor:
    """n pictures [h, w, 3] -> [n, 3, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))
