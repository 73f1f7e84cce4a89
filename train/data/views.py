"""What of a clip the model is given: `data.view`, the paper's question as a setting.

hybrid         HD-VILA's: the centre frame at high resolution, its neighbours at low
high           the centre frame at high resolution alone
low            all frames of the segment, the centre too, at low resolution
mean           their average, one picture a segment
low_upscaled   hybrid's network without its resolution: the centre's low-resolution frame, blown up, in its place
image          one high-resolution frame a clip, as models of still pictures take it
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
    """What is taken from a clip. Sizes are (height, width) in pixels; `stride` is in frames, by `fps`."""

    high: tuple[int, int]
    low: tuple[int, int]
    n_frames: int = 7
    n_segments: int = 2
    stride: int = 12
    backend: Backend = "pyav"
    view: View = "hybrid"
    fps: float = 0.0
    """Rate at which `stride` counts frames, a second; 0: the source's own."""
    flip: float = 0.0
    """Probability that training mirrors a sample, left for right."""

    def step(self, source_fps: float) -> float:
        """Frames of a source of this rate from one counted frame to the next: at least 1, no frame is made up."""
        return source_fps / self.fps if 0 < self.fps < source_fps else 1.0

    @property
    def reach(self) -> int:
        """Frames on either side of the centre."""
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
        """Pictures a segment in `img_other`; 0: a sample has none."""
        return {"high": 0, "image": 0, "low": self.n_frames, "mean": 1}.get(self.view, self.n_frames - 1)

    def low_frames(self, centre: int, around: Sequence[int]) -> list[int]:
        """Which frames of a segment are read at low resolution, in time order."""
        if not self.n_other:
            return []
        return list(around) if self.view == "hybrid" else [*around[: self.reach], centre, *around[self.reach :]]

    @property
    def n_pictures(self) -> int:
        """Pictures of a sample, over its segments."""
        return self.n_segments * (self.n_other + self.has_middle)

    def members(self, source: Source) -> tuple[str, ...]:
        """Extensions that are read."""
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
        """`img_middle` [S, 3, H, W] and `img_other` [S, n, 3, h, w], as far as the view has them."""
        clip = decode_sample(members, source, self, draw)
        pictures = {"img_middle": clip.img_middle, "img_other": clip.img_other}
        return Seen({name: array for name, array in pictures.items() if array is not None}, clip.text)


def make_view(name: View, config: Any) -> Views:
    """One of these views for a training configuration."""
    m, d = config.model, config.data
    if not hasattr(m, "high"):
        raise UserError(f"data.view: {name} is one of clips for HD-VILA; model.kind {m.kind} reads view picture")
    n_segments = 1 if name == "image" else m.n_segments
    return Views(m.high, m.low, m.n_frames, n_segments, d.stride, d.backend, name, d.fps, d.flip)
