"""What the net sees: words without case and marks, gaps by their rank."""

import numpy as np

from pipeline.text.boundary.features import MAX_ROWS, normalise, numbers, pair_rows


def test_the_one_long_gap_of_a_track_is_its_rarest() -> None:
    gaps = np.full(40, 300)
    gaps[17] = 2500
    starts_ms = np.concatenate(([0], np.cumsum(gaps)))
    known, nobody = np.ones(41, np.bool_), np.zeros(41, np.bool_)
    found = numbers(["word"] * 41, starts_ms, known, nobody)
    gap, long, rarity, long_share = found[:, 0], found[:, 2], found[:, 6], found[:, 7]
    assert gap.argmax() == long.argmax() == rarity.argmax() == 17
    assert long.sum() == 1 and rarity[17] > 2 * np.median(rarity)
    assert np.allclose(long_share, 10 / 40)


def test_a_known_pair_has_a_row_and_another_none() -> None:
    rows = np.array([5, 7, 9, 7, 9, 5])
    known = np.array([5 * MAX_ROWS + 7, 9 * MAX_ROWS + 5])
    assert pair_rows(rows, known).tolist() == [1, 0, 0, 0, 2, 0]
    assert pair_rows(rows, known[:0]).tolist() == [0] * 6


def test_words_are_normalised_alike_with_and_without_marks() -> None:
    assert [normalise(t) for t in ("Don’t,", "“U.S.”", "3.5", "1997!", "--", "state-of-the-art.")] == [
        "don't",
        "u.s",
        "0.0",
        "0000",
        "",
        "state-of-the-art",
    ]
