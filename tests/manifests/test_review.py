"""Counts of a review, and how sure they make one."""

import pytest

from manifests.review import Review, Reviewed, wilson


def test_intervals_are_those_of_the_textbooks() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for (k, n), (low, high) in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson(k, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0, 0) == (0.0, 1.0) and wilson(9, 9)[1] == 1.0


def test_all_adds_the_categories_up() -> None:
    rows = [Reviewed(category=name, verdicts={"right": k, "wrong text": 1}) for name, k in (("a", 3), ("b", 0))]
    review = Review(asked="", seed=0, n_drawn=9, by=["me"], at="now", categories=rows)
    assert (review.all.n, review.all.verdicts["right"]) == (5, 3)
    assert review.all.share("right") == "60 (23 to 88)" and Reviewed(category="c", verdicts={}).share("right") == ""
