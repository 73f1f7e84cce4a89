"""Inputs of the model's last part: the words' evidence, the gaps, and whether this track's gaps can be trusted.

Gaps help if a speaker pauses only at sentence ends (lectures read from a script), and mislead if the speaker pauses to
think, often after a connective ("... and | what that means"). Which kind a track is can be seen without knowing its
sentences: from the length of gaps where the words make an end likely, where they do not, and after function words.
"""

from collections.abc import Sequence, Set
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.text.boundary.features import N_NUMBERS, numbers

COMMA, END, N_MARKS = 1, 2, 4
"""Classes of marks: 0 none, 1 comma or dash, 2 full stop, 3 question mark; a sentence ends from class END on."""
N_EVIDENCE = N_NUMBERS + 10
"""Columns of `evidence`."""
ODDS_SCALE = 4.0
"""Log odds and log probabilities are divided by this in the evidence."""

Floats = NDArray[np.float32]


class Marks(NamedTuple):
    """The probabilities of marks after each of n words, [n] each."""

    ends: Floats
    """A sentence ends here."""
    inner: Floats
    """The sentence goes on after a mark: a comma or a dash."""

    @classmethod
    def of_ends(cls, ends: Floats) -> "Marks":
        """Marks from sentence ends alone."""
        return cls(ends, np.zeros_like(ends))


_FUNCTION_WORDS = """
and but so or because the a an of to that which in with is are was were i we he she they my your his her their for at on
from if when as than it's
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that seldom end a sentence and often come before a pause: English; other nets' files hold their own."""

_OVER = 1
"""Column of `numbers`: the gap relative to what is expected for the word's length."""
_KNOWN = 3
"""Column of `numbers`: whether the gap is known."""


def evidence(
    marks: Floats,
    normalised: Sequence[str],
    starts_ms: NDArray[np.int64],
    known: NDArray[np.bool_],
    turns: NDArray[np.bool_],
    function_words: Set[str] = FUNCTION_WORDS,
) -> Floats:
    """Makes [n, N_EVIDENCE] for the n words of a track; marks [n, N_MARKS]: log probabilities of marks, from the words.

    Columns: log odds of an end and log probability of a comma from the words (divided by ODDS_SCALE); those of
    `numbers`; whether the word, and the next, is a function word; and six that are equal for all words of a track: how
    often the words suggest an end; how much longer than expected gaps are, on average, at likely ends, elsewhere, and
    elsewhere after function words; their spread; and how well gaps separate likely ends from other places (0.5: not at
    all, 1: perfectly). If no gap is known the last five are 0.
    """
    n = len(normalised)
    end = np.clip(np.exp(marks[:, END:]).sum(1), 1e-5, 1 - 1e-5)
    gaps = numbers(normalised, starts_ms, known, turns)
    function = np.fromiter((word in function_words for word in normalised), np.float32, n)
    out = np.zeros((n, N_EVIDENCE), np.float32)
    out[:, 0] = np.log(end / (1 - end)) / ODDS_SCALE
    out[:, 1] = np.maximum(marks[:, COMMA], -10) / ODDS_SCALE
    out[:, 2 : 2 + N_NUMBERS] = gaps
    out[:, 2 + N_NUMBERS] = function
    out[:-1, 3 + N_NUMBERS] = function[1:]
    out[:, 4 + N_NUMBERS] = 10 * end.mean()
    seen = gaps[:, _KNOWN] > 0
    if seen.any():
        out[:, 5 + N_NUMBERS :] = _habits(gaps[seen, _OVER], end[seen], function[seen])
    return out


def _habits(over: Floats, end: Floats, function: Floats) -> list[float]:
    """The last five columns of `evidence`, from [m] each: gap lengths, probability of an end, function words."""
    means = [
        float((weight * over).sum() / max(float(weight.sum()), 1.0)) for weight in (end, 1 - end, (1 - end) * function)
    ]
    order = np.argsort(over, kind="stable")
    shorter = np.cumsum((1 - end[order]).astype(np.float64))
    separation = float((end[order] * shorter).sum() / max(float(end.sum()) * float(shorter[-1]), 1e-6))
    return [*means, float(over.std()), separation]
