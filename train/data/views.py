"""Which frames of a clip the model gets, and at which resolution: `data.view`, the paper's question as a setting.

hybrid         HD-VILA's own: the centre frame at high resolution, its neighbours at low resolution
high           only the centre frame, at high resolution
low            all frames of the segment, including the centre, at low resolution
mean           their average, one picture per segment
low_upscaled   hybrid's network without its resolution: the centre frame is scaled up from low resolution
image          one high-resolution frame per clip, as image models take it
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from manifests.errors import UserError
from train.data.arrange import MEMBERS
from train.data.decode import decode_sample
from train.data.registry import Seen, Source

if TYPE_CHECKING:
    from train.data.video import Backend

View = Literal["hybrid", "high", "low", "mean", "low_upscaled", "image"]


@dataclass(frozen=True, slots=True)
class Views:
    """Decodes clips to one of these views. Sizes are (height, width) in pixels; `stride` is in frames (see `fps`)."""

    high: tuple[int, int]
    low: tuple[int, int]
    n_frames: int = 7
    n_segments: int = 2
    stride: int = 12
    backend: Backend = "pyav"
    view: View = "hybrid"
    fps: float = 0.0
    """Frames per second that `stride` refers to; 0: the source's own rate."""
    flip: float = 0.0
    """Probability that training mirrors a sample horizontally."""

    def step(self, source_fps: float) -> float:
        """How many frames of a source with this rate one frame at `fps` takes: at least 1, so none is duplicated."""
        return source_fps / self.fps if 0 < self.fps < source_fps else 1.0

    @property
    def reach(self) -> int:
        """The number of frames on either side of the centre."""
        return self.n_frames // 2

    @property
    def has_still(self) -> bool:
        """Whether the centre frame is read at high resolution."""
        return self.view in ("hybrid", "high", "image")

    @property
    def has_middle(self) -> bool:
        """Whether a sample has an `img_middle`."""
        return self.has_still or self.view == "low_upscaled"

    @property
    def n_other(self) -> int:
        """The number of pictures per segment in `img_other`; 0 if the view has no `img_other`."""
        return {"high": 0, "image": 0, "low": self.n_frames, "mean": 1}.get(self.view, self.n_frames - 1)

    def low_frames(self, centre: int, around: Sequence[int]) -> list[int]:
        """The frames of a segment to read at low resolution, in time order."""
        if not self.n_other:
            return []
        return list(around) if self.view == "hybrid" else [*around[: self.reach], centre, *around[self.reach :]]

    @property
    def n_pictures(self) -> int:
        """The number of pictures per sample, over all segments."""
        return self.n_segments * (self.n_other + self.has_middle)

    def members(self, source: Source) -> tuple[str, ...]:
        """The extensions of the members to read."""
        return MEMBERS[source]

    def blank(self) -> dict[str, npt.NDArray[Any]]:
        """Black pictures."""
        found: dict[str, npt.NDArray[Any]] = {}
        if self.has_middle:
            found["img_middle"] = np.zeros((self.n_segments, 3, *self.high), np.uint8)
        if self.n_other:
            found["img_other"] = np.zeros((self.n_segments, self.n_other, 3, *self.low), np.uint8)
        return found

    def decode(self, members: Mapping[str, bytes], source: Source, draw: np.random.Generator | None) -> Seen:
        """`img_middle` [S, 3, H, W] and `img_other` [S, n, 3, h, w], whichever the view has."""
        clip = decode_sample(members, source, self, draw)
        pictures = {"img_middle": clip.img_middle, "img_other": clip.img_other}
        return Seen({name: array for name, array in pictures.items() if array is not None}, clip.text)


def make_view(name: View, config: Any) -> Views:
    """The view for a training configuration. UserError for a model that doesn't read such views."""
    m, d = config.model, config.data
    if not hasattr(m, "high"):
        raise UserError(f"data.view: {name} shows clips, for HD-VILA; model.kind {m.kind} needs view picture")
    n_segments = 1 if name == "image" else m.n_segments
    return Views(m.high, m.low, m.n_frames, n_segments, d.stride, d.backend, name, d.fps, d.flip)
