"""Check `plain_picture`, signal `entropy`: most of the picture has one brightness (black, slides, a board)."""

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.media import MediaConfig
from pipeline.media.checks import Check, Seen
from pipeline.media.checks.signals import PerPicture, signal_of

_LEVELS = 64
"""Steps of brightness that are told apart: noise of encoders moves a pixel by less."""


def entropy_of(luma: NDArray[np.uint8]) -> float:
    """Shannon's entropy of a picture's brightness, bits: 0 for a flat picture, 6 if all levels are as frequent."""
    shares = cv2.calcHist([luma], [0], None, [_LEVELS], [0, 256]).ravel() / luma.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def plain_picture(seen: Seen, config: MediaConfig) -> str:
    """Finds an entropy below the limit."""
    entropy = signal_of(seen, "plain_picture")
    return f"{entropy} bits of entropy" if 0 <= entropy < config.checks.least_entropy else ""


CHECKS = (Check("plain_picture", "frames", plain_picture, partial(PerPicture, entropy_of), signal="entropy"),)
