"""The input of image-text models, and SOHO's output.

Shapes: B pictures, S sentences of each, R = B*S rows (picture-major), L tokens, P = gh*gw cells, D width, K entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from train.rows import Rows

Sizes = Tensor | Sequence[Sequence[int]]

STRIDE = 32
"""Pictures are padded to multiples of it: the trunk's stride."""


@dataclass(frozen=True, slots=True)
class ImageBatch:
    """B pictures with S sentences each. Pixels are raw RGB 0..255; the model normalises and pads them.

    `images` is a list of [3, h, w], or a batch [B, 3, H, W] with each picture at the top left (`valid_hw` gives their
    sizes; without it, they fill the batch). `padded_hw` is each picture's own padded size, by default computed from
    `valid_hw`: the published code takes its square canvas from these heights.
    """

    images: Tensor | Sequence[Tensor]
    valid_hw: Sizes | None = None  # [B, 2]
    padded_hw: Sizes | None = None  # [B, 2]
    input_ids: Tensor | None = None  # [R, L] int64
    attention_mask: Tensor | None = None  # [R, L], 1 for a real token
    mlm_labels: Tensor | None = None  # [R, L] int64, -100 where there is nothing to predict
    itm_labels: Tensor | None = None  # [R] int64, 1 if sentence and picture belong together
    draws: Tensor | None = None  # SOHO [R, 2]: which cell, in 0..1, and 1 if the row is masked; Visual Parsing [R]

    def __len__(self) -> int:
        """The number of pictures, B."""
        return len(self.images)

    @property
    def n_sentences(self) -> int:
        """The number of sentences per picture, S. ValueError if rows aren't a multiple of pictures."""
        rows = len(self.text[0])
        if not len(self) or rows % len(self):
            raise ValueError(f"{rows} sentences cannot be shared out evenly among {len(self)} pictures")
        return rows // len(self)

    @property
    def text(self) -> tuple[Tensor, Tensor]:
        """(input_ids, attention_mask). ValueError if the batch has no sentences."""
        if self.input_ids is None or self.attention_mask is None:
            raise ValueError("this batch holds no sentences: give input_ids and attention_mask")
        return self.input_ids, self.attention_mask

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> "ImageBatch":
        """The same batch on another device."""

        def move(value: Tensor) -> Tensor:
            return value.to(device, non_blocking=non_blocking)

        images = move(self.images) if isinstance(self.images, Tensor) else [move(x) for x in self.images]
        sizes = {name: value for name in ("valid_hw", "padded_hw") if (value := getattr(self, name)) is not None}
        rows = {name: move(value) for name, value in self._rows().items()}
        return replace(self, images=images, **{n: move(torch.as_tensor(v)) for n, v in sizes.items()}, **rows)

    def __getitem__(self, pictures: slice) -> "ImageBatch":
        """Some of the pictures with their sentences, without copying."""
        start, stop, _ = pictures.indices(len(self))
        s = self.n_sentences if self.input_ids is not None else 1
        rows = {name: value[start * s : stop * s] for name, value in self._rows().items()}
        sizes = {n: v[start:stop] for n in ("valid_hw", "padded_hw") if (v := getattr(self, n)) is not None}
        return replace(self, images=self.images[start:stop], **sizes, **rows)

    def split(self, n_pictures: int) -> list["ImageBatch"]:
        """The batch as micro-batches of at most `n_pictures`, in order."""
        return [self[start : start + n_pictures] for start in range(0, len(self), n_pictures)]

    def _rows(self) -> dict[str, Tensor]:
        names = ("input_ids", "attention_mask", "mlm_labels", "itm_labels", "draws")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


def as_images(batch: "ImageBatch | Rows") -> ImageBatch:
    """The trainer's rows as pictures with a sentence each: the paired one if the rows have pairs, else their own."""
    if isinstance(batch, ImageBatch):
        return batch
    paired = "pair_ids" in batch
    return ImageBatch(
        batch.image,
        batch.valid_hw,
        None,
        batch.pair_ids if paired else batch.input_ids,
        batch.pair_mask if paired else batch.attention_mask,
        batch.get("mlm_labels"),
        batch.get("itm_labels"),
        batch.get("mvm_draws") if "mvm_draws" in batch else batch.get("mfr_draws"),
    )


@dataclass(frozen=True, slots=True)
class MvmDraw:
    """The draws of masked visual modelling: the cell to predict (a flat index, or one per row [R]), and masked rows."""

    location: int | Tensor
    chosen: Tensor  # [R], true or 1 if the row is masked


class Canvas(NamedTuple):
    """Normalised pictures on a canvas of zeros."""

    pixels: Tensor  # [B, 3, H, W]
    valid_hw: Tensor  # [B, 2] int64
    padded_hw: Tensor  # [B, 2] int64


class SohoOutput(NamedTuple):
    """The output of a forward pass. A named tuple, so that DDP and FSDP2 find the tensors inside."""

    visual_tokens: Tensor  # [R, P, D]
    visual_mask: Tensor  # [R, P] bool
    indices: Tensor  # [R, P] int64, the nearest entry of each cell
    mvm_labels: Tensor  # [R, P] int64, -100 where there is nothing to predict
    hidden: Tensor  # [R, L+P, D] after the last layer, text first
    mlm_logits: Tensor | None  # [M, V] at the positions where mlm_labels != -100, row by row
    mvm_logits: Tensor  # [M, K] at the positions where mvm_labels != -100, row by row
    itm_logits: Tensor  # [R, 2], (no match, match)


def on_canvas(batch: ImageBatch, mean: Tensor, std: Tensor) -> Canvas:
    """Normalises; pads with zeros, to multiples of 32 and the batch's largest size. `mean`, `std`: [3] for 0..255."""
    shift, scale = mean[:, None, None], std[:, None, None]
    dtype = mean.dtype
    if isinstance(batch.images, Tensor):
        pixels = (batch.images.to(dtype) - shift) / scale
        full = torch.tensor(pixels.shape[-2:]).expand(len(batch), 2)
        valid = (full if batch.valid_hw is None else torch.as_tensor(batch.valid_hw)).to(mean.device)
        if batch.valid_hw is not None:
            pixels = pixels * _inside(valid, pixels.shape[-2:])[:, None]
    else:
        valid = torch.tensor([x.shape[-2:] for x in batch.images])
        height, width = (int(_padded(valid[:, i]).max()) for i in (0, 1))
        pixels = torch.zeros(len(batch), 3, height, width, dtype=dtype, device=mean.device)
        for canvas, image in zip(pixels, batch.images, strict=True):
            canvas[:, : image.shape[-2], : image.shape[-1]] = (image.to(dtype) - shift) / scale
        valid = valid.to(mean.device)
    padded = _padded(valid) if batch.padded_hw is None else torch.as_tensor(batch.padded_hw).to(mean.device)
    return Canvas(pixels, valid.long(), padded.long())


def _padded(sides: Tensor) -> Tensor:
    return (sides + STRIDE - 1) // STRIDE * STRIDE


def _inside(valid: Tensor, size: torch.Size) -> Tensor:
    """[B, H, W] bool: whether a pixel belongs to the picture."""
    rows = torch.arange(size[0], device=valid.device)[None, :, None] < valid[:, 0, None, None]
    columns = torch.arange(size[1], device=valid.device)[None, None, :] < valid[:, 1, None, None]
    return rows & columns
