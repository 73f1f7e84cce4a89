"""Geometry of the two views. All sizes refer to the picture scaled to short side 720.

    picture ── scaled ──► short side 720 (16:9: 1280x720)  ── crop 1024x640 at (4x, 4y) ──► high-resolution view
                              │ a quarter
                              └► 320x180                   ── crop  256x160 at (x, y)  ──► low-resolution view

The crop is chosen on the quarter picture in whole pixels, so that both views show exactly the same part of the scene.
All frames and segments of a sample have the same crop. A model with smaller views takes the same crop, scaled down
afterwards; one with another aspect ratio takes the largest crop of that ratio inside 256x160.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Lines = npt.NDArray[Any]

SHORT_SIDE = 720
QUARTER = 4
CROP_HEIGHT, CROP_WIDTH = 160, 256  # on the quarter picture
ONE_BLOCK_PIXELS = 2**22  # Pillow holds larger pictures in several pieces of memory


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle in pixels of the quarter picture; `times(4)` gives that on the full picture."""

    x: int
    y: int
    width: int
    height: int

    def times(self, factor: int) -> Crop:
        """The same rectangle on a picture that is `factor` times as large."""
        return Crop(factor * self.x, factor * self.y, factor * self.width, factor * self.height)


def full_size(width: int, height: int) -> tuple[int, int]:
    """`(width, height)` of a picture scaled to short side 720, both multiples of 4 (so that a quarter is whole)."""
    scale = SHORT_SIDE / min(width, height)
    return _multiple(width * scale), _multiple(height * scale)


def _multiple(length: float) -> int:
    return round(length / QUARTER) * QUARTER


def choose_crop(width: int, height: int, view: tuple[int, int], draw: np.random.Generator | None) -> Crop:
    """Chooses the crop for a `view` (height, width), from a picture of this original size.

    It is random, or central if `draw` is None. If the picture is too narrow (portrait video), it is the largest crop of
    the same aspect ratio that fits.
    """
    full_width, full_height = full_size(width, height)
    across, down = full_width // QUARTER, full_height // QUARTER
    # The picture may be narrower than the crop, but is never lower: its short side is 720.
    scale = min(CROP_HEIGHT / view[0], CROP_WIDTH / view[1], across / view[1])
    crop_width, crop_height = round(view[1] * scale), round(view[0] * scale)
    free_x, free_y = across - crop_width, down - crop_height
    if draw is None:
        return Crop(free_x // 2, free_y // 2, crop_width, crop_height)
    return Crop(int(draw.integers(0, free_x + 1)), int(draw.integers(0, free_y + 1)), crop_width, crop_height)


def cut_view(picture: Pixels | Image.Image, crop: Crop, grid: tuple[int, int], size: tuple[int, int]) -> Pixels:
    """Cuts `crop` out of `picture [H, W, 3]`, as `[*size, 3]`.

    `grid` is the (height, width) that the crop's coordinates refer to, whatever the picture's own size. If the scales
    agree, pixels are copied; otherwise they are resampled once (antialiased bicubic) directly to the wanted size.
    """
    height, width = (picture.height, picture.width) if isinstance(picture, Image.Image) else picture.shape[:2]
    down, across = height / grid[0], width / grid[1]
    box = (crop.x * across, crop.y * down, (crop.x + crop.width) * across, (crop.y + crop.height) * down)
    if (box[3] - box[1], box[2] - box[0]) == size and all(edge == int(edge) for edge in box):
        pixels = in_place(picture) if isinstance(picture, Image.Image) else picture
        return pixels[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])]
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box), np.uint8)


def in_place(image: Image.Image) -> Pixels:
    """A picture's RGB `[H, W, 3]` where Pillow holds it: copying it out takes a quarter as long as decoding a JPEG."""
    if image.width * image.height > ONE_BLOCK_PIXELS:
        return np.asarray(image, np.uint8)
    flat = pa.array(image).flatten().to_numpy()
    return flat.reshape(image.height, image.width, -1)[:, :, :3]


def quarter(picture: Pixels) -> Pixels:
    """Scales a picture `[4h, 4w, 3]` to a quarter of its size, `[h, w, 3]`: the cubic kernel at exactly 1:4.

    At this factor the four taps of the cubic (a = -0.75) fall on the four pixels of a block, with the weights
    -3/32, 19/32, 19/32, -3/32. HD-VILA's pre-training used the same (OpenCV INTER_CUBIC); this is in integers.
    """
    height, width = picture.shape[0] // QUARTER * QUARTER, picture.shape[1] // QUARTER * QUARTER
    rows = picture[:height, :width].reshape(height // QUARTER, QUARTER, width, 3)
    columns = _four_in_one(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], np.int16).reshape(-1, QUARTER, 3)
    small = np.empty((len(columns), 3), np.uint8)
    for channel in range(3):  # numpy is slow along an axis of length three
        a, b, c, d = columns[:, :, channel].T
        total = _four_in_one(a, b, c, d, np.int32)
        total += 512
        total >>= 10
        small[:, channel] = total.clip(0, 255, out=total)
    return small.reshape(height // QUARTER, width // QUARTER, 3)


def _four_in_one(a: Lines, b: Lines, c: Lines, d: Lines, kind: type[np.signedinteger]) -> npt.NDArray[Any]:
    """-3a + 19b + 19c - 3d in integers of type `kind`, which must be wide enough."""
    inner, outer = b.astype(kind), a.astype(kind)
    inner += c
    inner *= 19
    outer += d
    outer *= 3
    inner -= outer
    return inner
