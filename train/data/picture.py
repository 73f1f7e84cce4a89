"""The view of SOHO and Visual Parsing: a picture with its sentence, from a clip or a sample of an image-text set.

    a clip         a still of it (KEY.mjpg; without stills, a frame of KEY.mp4) and the sentence
    a picture      KEY.jpg and a caption of it

Training draws still, caption and crop; evaluation takes the middle still, the first caption and the centre crop. The
picture is put on a canvas of the model's `image_size`: `pad` fits the whole picture in at the top left, `crop` fills
the canvas.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import ValidationError

from manifests.errors import UserError
from manifests.image_sample import parse_image_json
from train.data import video
from train.data.crop import Pixels
from train.data.decode import BROKEN, SampleBroken, read_facts, read_still, read_stills, upright
from train.data.registry import Seen, Source

Fit = Literal["pad", "crop"]

SMALLEST_CROP = 0.8
"""Side of the smallest crop in training, as a share of the largest crop that fits."""


@dataclass(frozen=True, slots=True)
class PictureView:
    """A view that puts a picture on a canvas; `size` is (height, width) in pixels."""

    size: tuple[int, int]
    fit: Fit
    backend: video.Backend = "pyav"
    flip: float = 0.0
    """Probability that training mirrors the picture horizontally."""

    @property
    def n_pictures(self) -> int:
        """One picture per row."""
        return 1

    def members(self, source: Source) -> tuple[str, ...]:
        """The members to read: of a prepared clip its stills; of a whole sample its picture, or its video."""
        return ("mjpg", "txt", "json") if source == "prepared" else ("mp4", "jpg", "txt", "json")

    def blank(self) -> dict[str, npt.NDArray[Any]]:
        """A black picture that fills the canvas."""
        return {"image": np.zeros((3, *self.size), np.uint8), "valid_hw": np.array(self.size, np.int64)}

    def decode(self, members: Mapping[str, bytes], source: Source, draw: np.random.Generator | None) -> Seen:
        """`image` [3, H, W] uint8, and `valid_hw` [2]: the height and width of the picture on the canvas."""
        try:
            picture, text = self._picture_and_text(members, draw)
            if draw is not None and self.flip and draw.random() < self.flip:
                picture = picture[:, ::-1]
            canvas, valid = on_canvas(picture, self.size, self.fit, draw)
        except (*BROKEN, ValidationError, KeyError) as error:
            raise SampleBroken(f"cannot be decoded ({type(error).__name__}: {error})") from None
        if not text:
            raise SampleBroken("its caption is empty")
        arrays: dict[str, npt.NDArray[Any]] = {
            "image": np.ascontiguousarray(canvas.transpose(2, 0, 1)),
            "valid_hw": np.array(valid, np.int64),
        }
        return Seen(arrays, text)

    def _picture_and_text(self, members: Mapping[str, bytes], draw: np.random.Generator | None) -> tuple[Pixels, str]:
        if "jpg" in members:
            captions = parse_image_json(members["json"]).captions
            nth = 0 if draw is None else int(draw.integers(len(captions)))
            return read_jpeg(members["jpg"]), captions[nth].strip()
        text = members["txt"].decode("utf-8").strip()
        facts = read_facts(members["json"])
        if "mjpg" in members:
            stills = read_stills(facts)
            return np.asarray(read_still(members["mjpg"], stills[_nth(len(stills), draw)])), text
        if "mp4" not in members:
            raise SampleBroken("has no member mjpg, mp4 or jpg")
        number = facts.first_frame + _nth(facts.n_frames, draw)
        return upright(video.read_frames(members["mp4"], [number], self.backend)[number], facts), text


def make_view(name: str, config: Any) -> PictureView:
    """The view for a model whose section has `image_size` and `image_fit`. UserError for any other model."""
    model = config.model
    if not hasattr(model, "image_fit"):
        raise UserError(f"data.view: {name} is for models of single pictures, which model.kind {model.kind} is not")
    return PictureView(model.image_size, model.image_fit, config.data.backend, config.data.flip)


def _nth(n: int, draw: np.random.Generator | None) -> int:
    """A random index below n; the middle if `draw` is None."""
    return n // 2 if draw is None else int(draw.integers(n))


def read_jpeg(data: bytes) -> Pixels:
    """Decodes a JPEG to [h, w, 3]. ValueError if it is too large, OSError if it isn't a JPEG."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        if image.width * image.height > video.MAX_PIXELS:
            raise ValueError(f"a picture of {image.width}x{image.height} pixels")
        return np.asarray(image.convert("RGB"))


def on_canvas(
    picture: Pixels, size: tuple[int, int], fit: Fit, draw: np.random.Generator | None
) -> tuple[Pixels, tuple[int, int]]:
    """(canvas [H, W, 3], (h, w) of the picture on it); the aspect ratio is kept, up to a pixel."""
    height, width = picture.shape[:2]
    image = Image.fromarray(np.ascontiguousarray(picture))
    if fit == "pad":
        scale = min(size[0] / height, size[1] / width)
        valid = max(1, round(height * scale)), max(1, round(width * scale))
        canvas = np.zeros((*size, 3), np.uint8)
        canvas[: valid[0], : valid[1]] = np.asarray(image.resize(valid[::-1], Image.Resampling.BILINEAR))
        return canvas, valid
    side = 1.0 if draw is None else float(draw.uniform(SMALLEST_CROP, 1.0))
    scale = min(height / size[0], width / size[1]) * side
    h, w = size[0] * scale, size[1] * scale
    down, across = (0.5, 0.5) if draw is None else draw.uniform(size=2)
    top, left = (height - h) * down, (width - w) * across
    box = (left, top, left + w, top + h)
    return np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR, box=box)), size
