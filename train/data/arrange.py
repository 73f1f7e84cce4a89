"""Arranges the frames of a clip by `data.view` (views.py): at one resolution, averaged, or scaled up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from train.data.crop import Pixels
from train.data.registry import Source

if TYPE_CHECKING:
    from train.data.views import Views

MEMBERS: dict[Source, tuple[str, ...]] = {"prepared": ("txt", "json", "m4v", "mjpg"), "whole": ("mp4", "txt", "json")}


def arrange(
    views: Views,
    centres: Sequence[int],
    around: Sequence[Sequence[int]],
    stills: Sequence[Pixels],
    low: Mapping[int, Pixels],
) -> tuple[list[Pixels], list[Pixels]]:
    """`(img_middle, img_other)` as lists of pictures `[h, w, 3]`, segment after segment.

    `stills` are the high-resolution frames, one per centre; `low` the low-resolution ones, by frame number.
    """
    match views.view:
        case "low":
            return [], [low[f] for c, others in zip(centres, around, strict=True) for f in views.low_frames(c, others)]
        case "mean":
            segments = [views.low_frames(c, others) for c, others in zip(centres, around, strict=True)]
            return [], [_mean([low[f] for f in frames]) for frames in segments]
        case "low_upscaled":
            return [_enlarged(low[c], views.high) for c in centres], [low[f] for others in around for f in others]
        case "hybrid":
            return list(stills), [low[f] for others in around for f in others]
        case _:
            return list(stills), []


def _mean(pictures: Sequence[Pixels]) -> Pixels:
    total = np.sum(np.stack(pictures), axis=0, dtype=np.uint32)
    return np.asarray((2 * total + len(pictures)) // (2 * len(pictures)), np.uint8)


def _enlarged(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """The low-resolution picture scaled up to the high one's size (bicubic); this adds no detail."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC), np.uint8)
