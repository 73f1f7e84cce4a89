"""Which frames of a clip the model gets, and at which resolution: `data.view`, the paper's question as a setting.

hybrid   HD-VILA's own: the centre frame at high resolution, its neighbours at low resolution
high     only the centre frame, at high resolution
low      all frames of the segment, including the centre, at low resolution
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from train.data.crop import Pixels
from train.data.registry import Source
from train.data.video import Backend

View = Literal["hybrid", "high", "low"]

MEMBERS: dict[Source, tuple[str, ...]] = {
    "prepared": ("txt", "json", "m4v", "mjpg"),
    "whole": ("mp4", "txt", "json"),
    "film": ("film",),
}


@dataclass(frozen=True, slots=True)
class Views:
    """One of these views, and its frames. Sizes are (height, width) in pixels; `stride` is in frames (see `fps`)."""

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
    def has_middle(self) -> bool:
        """Whether a sample has an `img_middle`: the centre frame at high resolution."""
        return self.view != "low"

    @property
    def n_other(self) -> int:
        """The number of pictures per segment in `img_other`; 0 if the view has no `img_other`."""
        return {"high": 0, "low": self.n_frames, "hybrid": self.n_frames - 1}[self.view]

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
        blank: dict[str, npt.NDArray[Any]] = {}
        if self.has_middle:
            blank["img_middle"] = np.zeros((self.n_segments, 3, *self.high), np.uint8)
        if self.n_other:
            blank["img_other"] = np.zeros((self.n_segments, self.n_other, 3, *self.low), np.uint8)
        return blank


def arrange(
    views: Views,
    centres: Sequence[int],
    around: Sequence[Sequence[int]],
    stills: Sequence[Pixels],
    low: Mapping[int, Pixels],
) -> tuple[list[Pixels], list[Pixels]]:
    """`(img_middle, img_other)` as lists of pictures `[h, w, 3]`, segment after segment.

    `stills` are the high-resolution frames, one per centre; `low` the low-resolution frames, by number.
    """
    match views.view:
        case "low":
            return [], [low[f] for c, others in zip(centres, around, strict=True) for f in views.low_frames(c, others)]
        case "hybrid":
            return list(stills), [low[f] for others in around for f in others]
        case "high":
            return list(stills), []
