"""Right and wrong pairs are told apart by their scores alone, and where all are right nothing is called wrong."""

from __future__ import annotations

import numpy as np
import pytest

from train.evaluation.mixture import fit_mixture, log_odds

N = 2000


def scores(share, apart, seed):
    """(log probabilities, which of them are of wrong pairs)."""
    dice = np.random.default_rng(seed)
    wrong = dice.random(N) < share
    odds = np.where(wrong, dice.normal(-apart, 1.5, N), dice.normal(1, 1, N))
    return -np.logaddexp(0, -odds), wrong


@pytest.mark.parametrize("share", [0.1, 0.2, 0.4, 0.6])
@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_lies_between_two_kinds_of_pairs(share, seed):
    match, wrong = scores(share, 6, seed)

    found = fit_mixture(match)

    assert found.threshold is not None
    assert found.wrong.share == pytest.approx(share, abs=0.03)
    assert ((match < found.threshold) == wrong).mean() > 0.98


@pytest.mark.parametrize("seed", range(5))
def test_scores_of_one_kind_have_no_threshold(seed):
    assert fit_mixture(scores(0, 0, seed)[0]).threshold is None
    skewed = -3 - np.random.default_rng(seed).gumbel(size=N)
    assert fit_mixture(-np.logaddexp(0, -skewed)).threshold is None


def test_scores_that_cannot_be_told_apart_have_no_threshold():
    assert fit_mixture(np.full(50, -0.7)).threshold is None
    assert fit_mixture(np.zeros(3)).threshold is None


def test_scores_of_a_model_that_has_learned_nothing_have_no_threshold():
    dice = np.random.default_rng(0)
    odds = np.where(dice.random(N) < 0.1, -4.775, -4.862) + dice.normal(0, 0.03, N)
    assert fit_mixture(-np.logaddexp(0, -odds)).threshold is None


def test_log_odds_keep_the_order_of_what_a_float_tells_apart():
    match = np.array([-np.inf, -200.0, -5.0, -0.7, -1e-6, -1e-9, 0.0])

    odds = log_odds(match)

    assert np.isfinite(odds).all() and (np.diff(odds) >= 0).all() and (np.diff(odds[1:6]) > 0).all()
