"""Check `overlay`, signal `overlay_share`: logos, watermarks, captions and insets that stay while the rest moves.

Edges that stay where they are through the clip, in places whose surroundings change. Where the camera stands still most
edges stay, and nothing can be told.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.media import MediaConfig
from pipeline.media.checks import UNKNOWN, Check, Seen
from pipeline.media.checks.signals import signal_of

_EDGE, _FAINT = 12.0, 6.0
"""Least gradient of an edge of an overlay, and of any edge, of 255 a pixel."""
_SAME_WAY = 0.95
"""Least gradient of the mean picture, as a share of the mean of gradients: what moves points elsewhere each time."""
_STAYS = 6.0
"""Most mean change of an overlay's edge between two pictures, of 255."""
_CHANGES = 8
"""Least change between two pictures of a pixel beside an overlay …"""
_AROUND = 0.25
"""… and in how many of them, on average over those pixels."""
_RING = 8
"""Pixels around an overlay that are looked at."""
_ALONE = 0.15
"""Most edges that stay around it, as a share of those in it: otherwise it is a part of something large that stays."""
_JOINED = 9
"""Edges that stay are parts of one overlay if fewer pixels are between them."""
_LARGEST, _SMALLEST_SIDE = 0.25, 4
"""Of an overlay: the share of the picture, and pixels."""
_STANDING = 0.3
"""Share of all edges that stay from which on the camera stands."""


@dataclass(slots=True)
class Staying:
    """What stays in a clip's pictures: sums of each pixel over them."""

    n_pictures: int = 0
    _sums: list[NDArray[np.float32]] = field(default_factory=list)
    """The gradient's two parts and its length; how much changes from picture to picture, and how often."""
    _before: NDArray[np.uint8] | None = None

    def picture(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> None:
        """See Measure."""
        across, down = (cv2.Sobel(luma, cv2.CV_32F, *way, scale=0.25) for way in ((1, 0), (0, 1)))
        change = cv2.absdiff(luma, luma if self._before is None else self._before)
        changes = cv2.threshold(change, _CHANGES, 1, cv2.THRESH_BINARY)[1]
        sums = (across, down, cv2.magnitude(across, down), change, changes)
        self._sums = self._sums or [np.zeros(luma.shape, np.float32) for _ in sums]
        for total, now in zip(self._sums, sums, strict=True):
            cv2.accumulate(now, total)
        self.n_pictures += 1
        self._before = luma

    @property
    def value(self) -> float:
        """See Signal: the share of the picture that overlays take."""
        if self.n_pictures < 2:
            return UNKNOWN
        mean = cv2.magnitude(self._sums[0], self._sums[1]) / self.n_pictures
        edges = self._sums[2] / self.n_pictures
        change, moving = (np.asarray(total / (self.n_pictures - 1), np.float32) for total in self._sums[3:])
        stays = (mean > _SAME_WAY * edges) & (change < _STAYS)
        is_edge = edges > _FAINT
        if (stays & is_edge & (mean > _FAINT)).sum() > _STANDING * is_edge.sum():
            return 0.0
        return round(_overlays((stays & (mean > _EDGE)).astype(np.uint8), moving), 4)


def _overlays(stays: NDArray[np.uint8], moving: NDArray[np.float32]) -> float:
    """The share of the picture that is in boxes of edges that stay, in the midst of what changes."""
    aside = _JOINED // 2
    grown = cv2.copyMakeBorder(stays, aside, aside, aside, aside, cv2.BORDER_CONSTANT)
    grown = cv2.dilate(
        grown, np.ones((_JOINED, _JOINED), np.uint8)
    )  # so each box is where it was, but 2 x aside larger
    n_pixels = 0
    for left, top, wide, high, _ in cv2.connectedComponentsWithStats(grown)[2][1:].tolist():
        wide, high = wide - 2 * aside, high - 2 * aside
        size = wide * high
        if min(wide, high) < _SMALLEST_SIDE or size > _LARGEST * stays.size:
            continue
        box = np.s_[top : top + high, left : left + wide]
        outer = np.s_[max(0, top - _RING) : top + high + _RING, max(0, left - _RING) : left + wide + _RING]
        n_around = max(1, stays[outer].size - size)
        changes, edges = ((float(some[outer].sum()) - float(some[box].sum())) / n_around for some in (moving, stays))
        if changes > _AROUND and edges < _ALONE * float(stays[box].mean()):
            n_pixels += size
    return float(n_pixels / stays.size)


def overlay(seen: Seen, config: MediaConfig) -> str:
    """Finds overlays that take more than the limit."""
    share = signal_of(seen, "overlay")
    return f"{share:.1%} of the picture stay while the rest moves" if share > config.checks.most_overlay else ""


CHECKS = (Check("overlay", "frames", overlay, Staying, signal="overlay_share"),)
