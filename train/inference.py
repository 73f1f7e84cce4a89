"""A trained model for use: videos and sentences in, embeddings out.

model = train.load("out/export")
text = model.embed_text(["a red car drives off", "a cat sleeps"])     # [2, D]
video = model.embed_video("clip.mp4")                                 # [D]
print(text @ video)                                                   # similarities, -1 … 1
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from manifests.errors import UserError
from train.data import video
from train.data.crop import QUARTER, Pixels, choose_crop, cut_view, full_size
from train.data.decode import choose_centres, frames_around, low_frames, low_view
from train.data.views import View, Views, arrange
from train.export import model_config, read_config, read_weights
from train.models.hd_vila import HDVila
from train.tokenizer import FILE, Tokenizer, load_tokenizer

Frames = npt.NDArray[np.uint8] | Tensor
Inputs = tuple[Tensor | None, Tensor | None]
ReadFrames = Callable[[Sequence[int]], Mapping[int, Pixels]]

MAX_FILE_BYTES = 2 * 2**30
"""A clip is seconds long; a larger file is a mistake that would fill the memory."""


class Encoder:
    """A model in evaluation mode with its tokenizer and its way of looking at a clip."""

    def __init__(self, model: HDVila, tokenizer: Tokenizer | None, *, stride: int = 12, view: View = "hybrid") -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        config = model.config
        self.views = Views(config.high, config.low, config.n_frames, config.n_segments, stride, view=view)

    @property
    def device(self) -> torch.device:
        """Where the model computes; embeddings come back on the CPU."""
        return next(self.model.parameters()).device

    @torch.inference_mode()
    def embed_video(self, clip: str | Path | Frames) -> Tensor:
        """[D] fp32, L2 norm 1, of an mp4's path or of its frames, uint8 RGB [T, H, W, 3] at the source's frame rate.

        UserError names a file that cannot be decoded or frames that aren't such an array.
        """
        middle, other = self._views_of_file(Path(clip)) if isinstance(clip, str | Path) else self._views_of_frames(clip)
        device = self.device
        batch = (None if x is None else x[None].to(device) for x in (middle, other))
        return self.model.embed_video(*batch)[0].float().cpu()

    @torch.inference_mode()
    def embed_text(self, texts: Sequence[str]) -> Tensor:
        """[len(texts), D] fp32, L2 norm 1. UserError where the export holds no tokenizer."""
        if isinstance(texts, str):
            raise UserError(f"embed_text takes a list of sentences; write embed_text([{texts[:40]!r}])")
        if self.tokenizer is None:
            raise UserError("this export holds no tokenizer: put BERT's vocab.txt into its folder and load it again")
        ids, mask = self.tokenizer.encode(texts, self.model.config.text_length)
        return self.model.embed_text(ids.to(self.device), mask.to(self.device)).float().cpu()

    def _views_of_file(self, path: Path) -> Inputs:
        if not path.is_file():
            raise UserError(f"{path}: no such video file")
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UserError(f"{path}: is larger than {MAX_FILE_BYTES // 2**30} GiB; cut a clip out of it first")
        try:
            opened = video.open_clip(path.read_bytes())
            return hybrid_views(opened.read, opened.n_frames, self.views)
        except video.DECODE_ERRORS as error:
            raise UserError(f"{path}: cannot be decoded as an mp4 ({type(error).__name__}: {error})") from None

    def _views_of_frames(self, frames: Frames) -> Inputs:
        array = np.asarray(frames)
        if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8 or not len(array):
            raise UserError(f"frames must be a uint8 array [T, H, W, 3], got {array.dtype} {array.shape}")
        return hybrid_views(lambda numbers: {n: array[n] for n in numbers}, len(array), self.views)


def hybrid_views(read: ReadFrames, n_frames: int, views: Views) -> Inputs:
    """(middle [S, 3, H, W], other [S, N-1, 3, h, w]) uint8 of a clip: the views that evaluation takes.

    What `views.view` leaves out is None. Centres are the middles of equal parts, the crop is the centre one.
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
    middle, other = arrange(views, centres, around, stills, low)
    return (
        _planes(middle) if views.has_middle else None,
        _planes(other).unflatten(0, (len(centres), -1)) if views.n_other else None,
    )


def _planes(pictures: Sequence[Pixels]) -> Tensor:
    """n times [h, w, 3] -> [n, 3, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)))


def load(path: str | Path, *, device: torch.device | str = "cpu") -> Encoder:
    """The model in an exported folder (`hdvila-train export` or `convert`). UserError names what is wrong with it."""
    folder = Path(path)
    document = read_config(folder)
    config = model_config(document.get("model", {}), source=folder / "config.json")
    model = HDVila(config)
    _fill(model, folder)
    has_tokenizer = any((folder / name).is_file() for name in (FILE, "vocab.txt"))
    tokenizer = load_tokenizer(folder) if has_tokenizer else None
    return Encoder(
        model.to(device), tokenizer, stride=int(document.get("frame_stride", 12)), view=_view(document, folder)
    )


def _view(document: Mapping[str, object], folder: Path) -> View:
    """What the model was trained on; exports of before `data.view` saw both views."""
    view = document.get("view", "hybrid")
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
