"""Check `blocky`, signal `blockiness`: the borders of the 8 x 8 blocks that a strong compression leaves.

Seen in the frame's own pixels: in a small picture they are gone. Codecs that smooth their borders (H.264 and later)
leave few; what shows most is older material, such as MPEG-4's. A film that was enlarged after has them elsewhere, and
isn't found.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.media import MediaConfig
from pipeline.media.checks import UNKNOWN, Check, Seen
from pipeline.media.checks.signals import signal_of

_BLOCK = 8
_LARGEST_STEP = 20
"""Steps from pixel to pixel above this are edges of things, and count as this."""
_SLIGHT = 0.5
"""Added to both means of steps: of what is too slight to be seen, on a wall or in the sky, the ratio is near 1."""


@dataclass(slots=True)
class Blockiness:
    """The median of the pictures' ratios: steps at borders of blocks by steps elsewhere; 1 without blocks."""

    ratios: list[float] = field(default_factory=list)

    def picture(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> None:
        """See Measure."""

    def rows(self, luma: NDArray[np.uint8]) -> None:
        """See OfRows."""
        if luma.shape[1] <= _BLOCK:
            return
        steps = np.minimum(cv2.absdiff(luma[:, 1:], luma[:, :-1]), _LARGEST_STEP)
        by_column = np.asarray(steps.mean(axis=0))
        at_borders = by_column[_BLOCK - 1 :: _BLOCK]
        elsewhere = (by_column.sum() - at_borders.sum()) / (by_column.size - at_borders.size)
        self.ratios.append(float((at_borders.mean() + _SLIGHT) / (elsewhere + _SLIGHT)))

    @property
    def value(self) -> float:
        """See Signal."""
        return round(float(np.median(self.ratios)), 3) if self.ratios else UNKNOWN


def blocky(seen: Seen, config: MediaConfig) -> str:
    """Finds a blockiness above the limit."""
    blockiness = signal_of(seen, "blocky")
    return f"steps at blocks' borders are {blockiness} times others" if blockiness > config.checks.most_blocky else ""


CHECKS = (Check("blocky", "frames", blocky, Blockiness, signal="blockiness"),)
