"""What the model weighs: finite numbers for any track, and nothing of gaps that are not known."""

import numpy as np
import pytest

from pipeline.text.boundary.evidence import FUNCTION_WORDS, N_EVIDENCE, N_MARKS, _habits, evidence
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


def test_words_say_how_likely_an_end_and_a_comma_are() -> None:
    n = len(WORDS)
    marks = np.full((n, N_MARKS), -np.inf, np.float32)
    marks[:, 0] = 0
    marks[0] = np.log([0.4, 0.3, 0.2, 0.1])
    marks[1, 1] = -40
    still = np.zeros(n, bool)
    with np.errstate(divide="ignore"):
        rows = evidence(marks, WORDS, np.arange(n) * 300, still, still)
    assert rows[0, 0] == pytest.approx(np.log(0.3 / 0.7) / 4, rel=1e-4), "a question mark ends a sentence too"
    assert rows[1:, 0] == pytest.approx(np.log(1e-5) / 4, rel=1e-3)
    assert rows[:2, 1] == pytest.approx([np.log(0.3) / 4, -2.5], rel=1e-4)
    assert rows[:, 4 + N_NUMBERS] == pytest.approx([10 * (0.3 + 6e-5) / 7] * n, rel=1e-3)


def test_a_speakers_habits_are_means_over_likely_ends_over_other_places_and_over_function_words() -> None:
    over, end = np.array([2.0, 1.0, -1.0], np.float32), np.array([1.0, 0.0, 0.5], np.float32)
    function = np.array([0.0, 1.0, 1.0], np.float32)
    at_ends, elsewhere, after_function, spread, separation = _habits(over, end, function)
    assert at_ends == pytest.approx((2 - 0.5) / 1.5) and elsewhere == pytest.approx((1 - 0.5) / 1.5)
    assert after_function == pytest.approx((1 - 0.5) / 1.5)
    assert spread == pytest.approx(float(over.std()))
    assert separation == pytest.approx((1.0 * 1.5 + 0.5 * 0.5) / (1.5 * 1.5))
    few = _habits(over[:2], np.array([0.25, 0.25], np.float32), np.zeros(2, np.float32))
    assert few[0] == pytest.approx(0.25 * 3), "less than one end in all counts as one"
    assert few[2] == 0
