"""Spikes of the loss: steps far above the median of those before them, reported with the keys of their batch.

    RUN/spikes/step-*-rank*.json    the keys of such a batch, by rank

The loss is the whole batch's, so all ranks find the same steps. Nothing changes for the run: whoever looks at the clips
decides. After a resume the window fills again.
"""

import statistics
from collections import deque

WINDOW, FEWEST = 100, 20
"""Steps that a step is compared with, and how many there must be."""
DEVIATIONS = 6.0
"""How far above the median a spike is, in standard deviations as the median absolute deviation estimates them."""
SHARE = 0.1
"""And at least this share of the median: a loss that hardly changes has no spikes."""
SIGMA_PER_MAD = 1.4826
"""Of a normal distribution."""


class Spikes:
    """Looks for spikes in a run's losses, one after another."""

    def __init__(self) -> None:
        self._window: deque[float] = deque(maxlen=WINDOW)

    def median_below(self, loss: float) -> float | None:
        """The median of the steps before this one if its loss is a spike above it; else None."""
        before = list(self._window)
        self._window.append(loss)
        if len(before) < FEWEST:
            return None
        median = statistics.median(before)
        sigma = SIGMA_PER_MAD * statistics.median(abs(value - median) for value in before)
        return median if loss - median > max(DEVIATIONS * sigma, SHARE * abs(median)) else None
