"""What the model weighs: finite numbers for any track, and nothing of gaps that are not known."""

import numpy as np

from pipeline.text.boundary.evidence import FUNCTION_WORDS, N_EVIDENCE, N_MARKS, evidence
from pipeline.text.boundary.features import N_NUMBERS

WORDS = ["we", "went", "home", "and", "then", "it", "rained"]


def found(gaps_ms: list[int], end: float, *, known: bool = True) -> np.ndarray:
    n = len(WORDS)
    starts = np.cumsum([0, *gaps_ms])[:n].astype(np.int64)
    marks = np.full((n, N_MARKS), -9.0, np.float32)
    marks[:, 0] = np.log(0.9)
    marks[2, 2] = np.log(end)
    return evidence(marks, WORDS, starts, np.full(n, known), np.zeros(n, bool))


def test_every_column_is_finite_and_function_words_are_marked() -> None:
    rows = found([200, 200, 900, 200, 200, 200], 0.8)

    assert rows.shape == (len(WORDS), N_EVIDENCE) and np.isfinite(rows).all()
    assert rows[:, 2 + N_NUMBERS].tolist() == [float(word in FUNCTION_WORDS) for word in WORDS]
    assert rows[:-1, 3 + N_NUMBERS].tolist() == rows[1:, 2 + N_NUMBERS].tolist()
    assert rows[2, 0] == rows[:, 0].max()


def test_gaps_at_likely_ends_separate_and_unknown_ones_say_nothing() -> None:
    at_the_end = found([200, 200, 900, 200, 200, 200], 0.8)[0, -1]
    elsewhere = found([200, 200, 200, 900, 200, 200], 0.8)[0, -1]
    assert at_the_end > 0.5 > elsewhere
    assert not found([200, 200, 900, 200, 200, 200], 0.8, known=False)[:, 5 + N_NUMBERS :].any()
