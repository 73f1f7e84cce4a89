"""What the checks of a picture's look share: a number of each picture, and one of the clip."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.media.checks import UNKNOWN, Seen


@dataclass(slots=True)
class PerPicture:
    """A signal that is the median of a number of each picture."""

    of: Callable[[NDArray[np.uint8]], float]
    numbers: list[float] = field(default_factory=list)

    def picture(self, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> None:
        """See Measure."""
        self.numbers.append(self.of(luma))

    @property
    def value(self) -> float:
        """See Signal."""
        return round(float(np.median(self.numbers)), 3) if self.numbers else UNKNOWN


def signal_of(seen: Seen, check: str) -> float:
    """The value of a check's signal in a clip; UNKNOWN where no picture was looked at."""
    measure = seen.measures.get(check)
    return float(getattr(measure, "value", UNKNOWN))
