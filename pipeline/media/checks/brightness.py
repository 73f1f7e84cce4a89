"""Check `brightness`: nearly black or nearly white throughout, so that nothing a sentence names can be seen."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.config.media import MediaConfig
from pipeline.media.checks import Check, Seen
from pipeline.media.checks.look import mean_of

DARKEST, BRIGHTEST = 24.0, 232.0
"""Least and most mean brightness of a clip's frames, of 255."""


@dataclass(slots=True)
class MeanBrightness:
    """Mean brightness of the frames that are measured."""

    total: float = 0.0
    n_pictures: int = 0

    def picture(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> None:
        """See Measure."""
        self.total += mean_of(luma)
        self.n_pictures += 1


def brightness(seen: Seen, _config: MediaConfig) -> str:
    """Finds a mean brightness outside the bounds."""
    measure = seen.measures.get("brightness")
    if not isinstance(measure, MeanBrightness) or not measure.n_pictures:
        return ""
    mean = measure.total / measure.n_pictures
    inside = DARKEST <= mean <= BRIGHTEST
    return "" if inside else f"mean brightness {mean:.0f} of 255"


CHECKS = (Check("brightness", "frames", brightness, MeanBrightness),)
