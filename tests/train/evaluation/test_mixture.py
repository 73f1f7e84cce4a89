"""Right and wrong pairs are told apart by their scores alone, and where all are right nothing is called wrong."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from train.evaluation.mixture import fit_mixture, log_odds

N = 2000


def scores(share, apart, seed):
    """(log probabilities, which of them are of wrong pairs)."""
    dice = np.random.default_rng(seed)
    wrong = dice.random(N) < share
    odds = np.where(wrong, dice.normal(-apart, 1.5, N), dice.normal(1, 1, N))
    return -np.logaddexp(0, -odds), wrong


def ranks(wrong, seed=0):
    """A right pair's sentence comes among the first of 100, a wrong one's anywhere."""
    dice = np.random.default_rng(seed)
    return np.where(wrong, dice.integers(1, 101, len(wrong)), dice.geometric(0.2, len(wrong)).clip(max=100))


ALL_RIGHT = ranks(np.zeros(N, bool))


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_lies_between_two_kinds_of_pairs(share, seed):
    match, wrong = scores(share, 6, seed)

    found = fit_mixture(match, ranks(wrong))

    assert found.threshold is not None
    assert found.wrong.share == pytest.approx(share, abs=0.03)
    assert ((match < found.threshold) == wrong).mean() > 0.98


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_probability_is_as_high_as_pairs_are_right_and_never_falls(share):
    match, wrong = scores(share, 4, seed=0)
    asked = pa.table({"n": np.arange(N + 3), "match": np.append(match, [-1e9, -1e-9, 0.0])})

    chances = duckdb.sql(f"SELECT {fit_mixture(match, ranks(wrong)).probability()} FROM asked ORDER BY n").fetchnumpy()
    (chance,) = chances.values()

    assert ((chance > 0) & (chance <= 1)).all() and (np.diff(chance[np.argsort(asked["match"])]) >= 0).all()
    for least in (0.0, 0.5):
        some = (chance[:N] >= least) & (chance[:N] < least + 0.5)
        assert chance[:N][some].mean() == pytest.approx(1 - wrong[some].mean(), abs=0.05)


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_one_kind_have_no_threshold(seed):
    assert fit_mixture(scores(0, 0, seed)[0], ALL_RIGHT).threshold is None
    skewed = -3 - np.random.default_rng(seed).gumbel(size=N)
    assert fit_mixture(-np.logaddexp(0, -skewed), ALL_RIGHT).threshold is None


@pytest.mark.parametrize("seed", range(3))
def test_kinds_that_lie_close_are_told_by_ranks(seed):
    dice = np.random.default_rng(seed)
    wrong = dice.random(N) < 0.6
    odds = np.where(wrong, dice.normal(-4.5, 1.5, N), dice.normal(-3.3, 0.7, N))
    match = -np.logaddexp(0, -odds)

    assert fit_mixture(match, ALL_RIGHT).threshold is None
    found = fit_mixture(match, ranks(wrong))
    assert found.threshold is not None and ((match < found.threshold) == wrong).mean() > 0.7


def test_scores_that_cannot_be_told_apart_have_no_threshold():
    assert fit_mixture(np.full(50, -0.7), np.ones(50, int)).threshold is None
    assert fit_mixture(np.zeros(3), np.ones(3, int)).threshold is None


def test_scores_of_a_model_that_has_learned_nothing_have_no_threshold():
    dice = np.random.default_rng(0)
    odds = np.where(dice.random(N) < 0.1, -4.775, -4.862) + dice.normal(0, 0.03, N)
    assert fit_mixture(-np.logaddexp(0, -odds), ranks(np.ones(N, bool))).threshold is None


def test_log_odds_keep_the_order_of_what_a_float_tells_apart():
    match = np.array([-np.inf, -200.0, -5.0, -0.7, -1e-6, -1e-9, 0.0])

    odds = log_odds(match)

    assert np.isfinite(odds).all() and (np.diff(odds) >= 0).all() and (np.diff(odds[1:6]) > 0).all()
