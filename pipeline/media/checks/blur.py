"""Check `blurred`, signal `blur`: nothing in the picture is sharp (out of focus, shaken, enlarged).

The measure is that of Crete et al., "The Blur Effect: Perception and Estimation with a New No-Reference Perceptual Blur
Metric" (2007): blur a picture, and see how much of its changes from pixel to pixel is gone. Of a sharp one much, of a
blurred one little.
"""

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.media import MediaConfig
from pipeline.media.checks import Check, Seen
from pipeline.media.checks.signals import PerPicture, signal_of

Pixels = NDArray[np.uint8]

_REACH = 9
"""Pixels over which a picture is blurred along a row or a column, as in the paper."""


def blur_of(luma: NDArray[np.uint8]) -> float:
    """How blurred a picture is, from 0 to 1; 0 for a flat one."""
    return max(_left(luma[:, 1:], luma[:, :-1], luma, (_REACH, 1)), _left(luma[1:], luma[:-1], luma, (1, _REACH)))


def _left(one: Pixels, other: Pixels, luma: Pixels, reach: tuple[int, int]) -> float:
    """The share of the steps from a pixel to the next that is left once the picture is blurred in their direction."""
    steps = cv2.absdiff(one, other).astype(np.int16) * _REACH
    sums = cv2.boxFilter(luma, cv2.CV_16S, reach, normalize=False)
    after = cv2.absdiff(sums[:, 1:], sums[:, :-1]) if reach[1] == 1 else cv2.absdiff(sums[1:], sums[:-1])
    total = cv2.sumElems(steps)[0]
    return cv2.sumElems(cv2.min(steps, after))[0] / total if total else 0.0


def blurred(seen: Seen, config: MediaConfig) -> str:
    """Finds a blur above the limit."""
    blur = signal_of(seen, "blurred")
    return f"blur {blur} of 1" if blur > config.checks.most_blur else ""


CHECKS = (Check("blurred", "frames", blurred, partial(PerPicture, blur_of), signal="blur"),)
