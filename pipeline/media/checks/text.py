"""Check `much_text`, signal `text_share`: the share of the picture that lines of text take.

A line of text is a flat box in which strokes follow one another: many steps from dark to bright and as many back, with
less above it and below it. What is so without being text: rows of windows, crowds, fences. Large titles have too few
strokes.
"""

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.media import MediaConfig
from pipeline.media.checks import Check, Seen
from pipeline.media.checks.signals import PerPicture, signal_of

_STEP = 60
"""Least change of brightness at a stroke's edge, by Sobel's operator (four times that between two pixels)."""
_NEAR = (13, 5)
"""Columns and rows around a pixel in which strokes are counted."""
_DENSE = 0.14
"""Least share of pixels there that are edges of either kind."""
_LEAST_WIDTH, _LEAST_HEIGHT, _LEAST_SHAPE, _LEAST_FILLED = 12, 4, 1.5, 0.5
"""Of a line of text: pixels, width by height, and the share of its box that is dense."""
_HIGHEST = 1 / 5
"""Greatest height of a line, as a share of the picture's."""
_BESIDE = 0.4
"""Most edges above and below a line, as a share of those in it."""


def text_share_of(luma: NDArray[np.uint8]) -> float:
    """The share of a picture that lines of text take."""
    height = luma.shape[0]
    steps = cv2.Sobel(luma, cv2.CV_16S, 1, 0)
    up, down = ((steps > _STEP).astype(np.uint8), (steps < -_STEP).astype(np.uint8))
    near = (cv2.boxFilter(edges, cv2.CV_16U, _NEAR, normalize=False) for edges in (up, down))
    dense = cv2.min(*near) > _DENSE * _NEAR[0] * _NEAR[1]
    _, _, boxes, _ = cv2.connectedComponentsWithStats(dense.astype(np.uint8))
    left, top, wide, high, filled = boxes[1:].T
    is_line = (wide >= _LEAST_WIDTH) & (high >= _LEAST_HEIGHT) & (high <= height * _HIGHEST)
    is_line &= (wide >= _LEAST_SHAPE * high) & (filled >= _LEAST_FILLED * wide * high)
    left, top, wide, high = (some[is_line] for some in (left, top, wide, high))
    edges = cv2.integral(up + down)

    def density(first: NDArray[np.int32], last: NDArray[np.int32]) -> NDArray[np.float64]:
        first, last = first.clip(0, height), last.clip(0, height)
        inside = edges[last, left + wide] - edges[first, left + wide] - edges[last, left] + edges[first, left]
        return np.asarray(inside / np.maximum(1, (last - first) * wide))

    beside = np.maximum(density(top - 5, top - 1), density(top + high + 1, top + high + 5))
    stands_out = beside < _BESIDE * density(top, top + high)
    return float((wide * high)[stands_out].sum() / luma.size)


def much_text(seen: Seen, config: MediaConfig) -> str:
    """Finds a share of text above the limit."""
    share = signal_of(seen, "much_text")
    return f"text takes {share:.1%} of the picture" if share > config.checks.most_text else ""


CHECKS = (Check("much_text", "frames", much_text, partial(PerPicture, text_share_of), signal="text_share"),)
