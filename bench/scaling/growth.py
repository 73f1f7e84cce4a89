"""How a quantity grows with the size of a store.

From three sizes on: value = fixed + factor * size ** power, with `fixed` and `factor` of 0 or more, fitted so that the
sum of squares of (value - fit) / value is least; powers are tried from 0 to 3 in steps of 0.01. Without the fixed part
(a footer, a program's own memory) a power would look smaller than it is, and a part that is read only in larger stores
would make it look larger. From two sizes: the power through both, without a fixed part.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POWERS = np.arange(0, 301) / 100


@dataclass(frozen=True, slots=True)
class Growth:
    """fixed + factor * size ** power, in the quantity's unit."""

    fixed: float
    factor: float
    power: float

    def at(self, size: int) -> float:
        """The value for a store of this size."""
        return self.fixed + self.factor * size**self.power


def growth_of(sizes: Sequence[int], values: Sequence[float], least: float = 0.0, noise: float = 0.0) -> Growth:
    """Fits the growth through values of two or more ascending sizes. Values below `least` are noise, raised to it."""
    seen = [max(value, least) for value in values]
    if min(seen) <= 0 or max(seen) - min(seen) <= noise * min(seen):
        return Growth(seen[-1], 0.0, 0.0)
    if len(sizes) == 2:
        power = max(0.0, math.log(seen[1] / seen[0]) / math.log(sizes[1] / sizes[0]))
        return Growth(0.0, seen[1] / sizes[1] ** power, power)
    fits = [_fit(np.array(sizes, float) ** power, np.array(seen)) for power in POWERS[1:].tolist()]
    errors = np.array([error for error, _, _ in fits])
    linear = int(np.flatnonzero(POWERS[1:] == 1.0)[0])
    best = linear if errors[linear] <= noise**2 else int(np.argmin(errors))
    _, fixed, factor = fits[best]
    return Growth(fixed, factor, float(POWERS[1 + best])) if factor else Growth(fixed, 0.0, 0.0)


def _fit(grown: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[float, float, float]:
    """(error, fixed, factor) of fixed + factor * grown, with neither below 0.

    The square root of the error is the largest relative deviation that any value can have.
    """
    columns = np.stack([1 / values, grown / values], axis=1)
    both = np.linalg.lstsq(columns, np.ones(len(values)), rcond=None)[0]
    only_fixed, only_grown = (float(column.sum() / (column @ column)) for column in columns.T)
    tried = [(both[0], both[1])] if (both >= 0).all() else [(only_fixed, 0.0), (0.0, only_grown)]
    return min((float(((columns @ some - 1) ** 2).sum()), float(some[0]), float(some[1])) for some in tried)


def grown_to(size: int, sizes: Sequence[int], values: Sequence[float], least: float = 0.0, noise: float = 0.0) -> float:
    """The value at a larger size: by the growth, or along the line through the last two, whichever gives more.

    The last value, if nothing but noise grows.
    """
    growth = growth_of(sizes, values, least, noise)
    if not growth.factor:
        return values[-1]
    (before, last), (value_before, value_last) = sizes[-2:], values[-2:]
    along_line = value_last + (value_last - value_before) / (last - before) * (size - last)
    return max(growth.at(size), along_line)
