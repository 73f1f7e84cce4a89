"""Right and wrong pairs told apart by their scores alone: a mixture of two normal distributions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

N_STEPS, CHANGE = 1000, 1e-9
NARROWEST = 1e-3
"""Standard deviation of a component, at least: else one closes around equal scores."""
APART = 1.6
"""How many mean standard deviations two components lie apart, at least, for two kinds of pairs (Ashman's D): those that
are fitted to scores of one kind reach 1.5, even if they are as skewed as a Gumbel distribution.
"""
CLEARLY = 1.0
"""And how much of the log odds: scores of a model that has learned nothing differ by less."""
_MOST = 30.0


@dataclass(frozen=True, slots=True)
class Normal:
    """A component: its share of all pairs, and mean and deviation of their log odds."""

    share: float
    mean: float
    deviation: float

    def log_density(self, x: Numbers) -> Numbers:
        """The logarithm of its part of the density."""
        z = (x - self.mean) / self.deviation
        return np.asarray(np.log(self.share / self.deviation) - z**2 / 2)


@dataclass(frozen=True, slots=True)
class Mixture:
    """What was fitted. `threshold`: the score above which a pair is right more likely than not; None where the scores
    do not fall into two kinds, as where hardly any pair is wrong.
    """

    wrong: Normal
    right: Normal
    threshold: float | None


def log_odds(log_probability: Numbers) -> Numbers:
    """log(p / (1 − p)): what is bounded by 0 spreads over all numbers, where scores of a kind look normal."""
    p = np.minimum(log_probability, -np.exp(-_MOST))
    return np.asarray(np.clip(p - np.log(-np.expm1(p)), -_MOST, _MOST))


def fit_mixture(log_probabilities: Numbers) -> Mixture:
    """Fits both kinds by expectation and maximisation (Dempster, Laird and Rubin, 1977), from halves by order."""
    x = log_odds(np.asarray(log_probabilities, np.float64))
    is_right: npt.NDArray[Any] = np.argsort(np.argsort(x)) / len(x) >= 0.5
    before = -np.inf
    for _ in range(N_STEPS):
        wrong, right = _component(x, 1.0 - is_right), _component(x, is_right)
        of_wrong, of_right = wrong.log_density(x), right.log_density(x)
        both = np.logaddexp(of_wrong, of_right)
        is_right = np.exp(of_right - both)
        if both.mean() - before < CHANGE:
            break
        before = both.mean()
    return Mixture(wrong, right, _threshold(wrong, right))


def _component(x: Numbers, weight: npt.NDArray[Any]) -> Normal:
    total = max(float(weight.sum()), 1e-9)
    mean = float((weight * x).sum()) / total
    deviation = max(NARROWEST, float(np.sqrt((weight * (x - mean) ** 2).sum() / total)))
    return Normal(total / len(x), mean, deviation)


def _threshold(wrong: Normal, right: Normal) -> float | None:
    """Between both means, where one kind becomes likelier than the other, as a log probability."""
    spread = np.sqrt((wrong.deviation**2 + right.deviation**2) / 2)
    if right.mean - wrong.mean < max(CLEARLY, APART * spread):
        return None
    between = np.linspace(wrong.mean, right.mean, 10_001)
    at = between[np.argmax(right.log_density(between) > wrong.log_density(between))]
    return float(-np.logaddexp(0, -at))
