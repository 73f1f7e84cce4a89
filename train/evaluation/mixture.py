"""Right and wrong pairs told apart by their scores alone: a mixture of two normal distributions."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]

N_STEPS, CHANGE = 1000, 1e-9
NARROWEST = 1e-3
"""Standard deviation of a component, at least: else one closes around equal scores."""
APART = 1.6
"""How many mean standard deviations (Ashman's D) two components lie apart for two kinds of pairs: those that are fitted
to scores of one kind reach 1.5, even if they are as skewed as a Gumbel distribution.
"""
LAST = 0.8
"""Or ranks tell: a wrong pair's is any, as likely the last as the first, and a right one's hardly ever among the last
fifth (as the share of true nulls is estimated: Storey, 2002).
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

    def probability(self) -> str:
        """That a pair is right, as an SQL expression over `match`; above 0, so that every sample stays.

        Beyond both means it stays as it is there: the wider component would be the likelier one far out on both sides.
        """
        odds = "match - ln(greatest(1 - exp(match), 1e-13))"
        x = f"least(greatest({odds}, {self.wrong.mean:.9g}), {self.right.mean:.9g})"
        wrong, right = (
            f"{part.share / part.deviation:.9g} * exp(-0.5 * (({x} - ({part.mean:.9g})) / {part.deviation:.9g}) ** 2)"
            for part in (self.wrong, self.right)
        )
        return f"({right} + 1e-30) / ({right} + {wrong} + 1e-30)"


def log_odds(log_probability: Numbers) -> Numbers:
    """log(p / (1 − p)): what is bounded by 0 spreads over all numbers, where scores of a kind look normal."""
    p = np.minimum(log_probability, -np.exp(-_MOST))
    return np.asarray(np.clip(p - np.log(-np.expm1(p)), -_MOST, _MOST))


def fit_mixture(log_probabilities: Numbers, ranks: npt.NDArray[np.int32]) -> Mixture:
    """Fits both kinds by expectation and maximisation (Dempster, Laird and Rubin, 1977), from halves by order. `ranks`:
    each pair's among the sentences that it was compared with.
    """
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
    among_last = float((ranks > LAST * ranks.max(initial=1)).mean()) / (1 - LAST)
    return Mixture(wrong, right, _threshold(wrong, right) if _are_two(wrong, right, among_last) else None)


def _component(x: Numbers, weight: npt.NDArray[Any]) -> Normal:
    total = max(float(weight.sum()), 1e-9)
    mean = float((weight * x).sum()) / total
    deviation = max(NARROWEST, float(np.sqrt((weight * (x - mean) ** 2).sum() / total)))
    return Normal(total / len(x), mean, deviation)


def _are_two(wrong: Normal, right: Normal, among_last: float) -> bool:
    """Whether the components are two kinds of pairs: far enough apart, or the lower one of many among the last."""
    apart, spread = right.mean - wrong.mean, np.sqrt((wrong.deviation**2 + right.deviation**2) / 2)
    return bool(apart >= CLEARLY and (apart >= APART * spread or among_last >= wrong.share / 2))


def _threshold(wrong: Normal, right: Normal) -> float:
    """Between both means, where one kind becomes likelier than the other, as a log probability."""
    between = np.linspace(wrong.mean, right.mean, 10_001)
    at = between[np.argmax(right.log_density(between) > wrong.log_density(between))]
    return float(-np.logaddexp(0, -at))
