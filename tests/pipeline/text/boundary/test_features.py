"""What the net sees: words without case and marks, gaps by their rank."""

import zlib

import numpy as np
import pytest

from pipeline.text.boundary.features import MAX_ROWS, Vocabulary, normalise, numbers, pair_keys, pair_rows


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


def found(gaps_ms: list[int], *, letters: list[int] | None = None, unknown: tuple[int, ...] = ()) -> np.ndarray:
    n = len(gaps_ms) + 1
    words = ["w" * count for count in (letters or [4] * n)]
    known = np.array([i not in unknown for i in range(n)])
    turns = np.array([i == 1 for i in range(n)])
    return numbers(words, np.concatenate(([0], np.cumsum(gaps_ms))).astype(np.int64), known, turns)


def test_each_column_says_what_it_is_of_a_track_with_a_median_of_300_ms() -> None:
    rows = found([300, 300, 2000, 2001, 300], letters=[4, 16, 4, 4, 4, 4])
    assert rows[:, 0] == pytest.approx([0, 0, np.log(2040 / 340), np.log(2041 / 340), 0, 0], rel=1e-4)
    expected = [215 * 300 / 220, 780 * 300 / 220]
    assert rows[:2, 1] == pytest.approx([np.log(340 / (of + 40)) for of in expected], rel=1e-4)
    assert rows[:, 2].tolist() == [0, 0, 0, 1, 0, 0], "over two seconds"
    assert rows[:, 3].tolist() == [1, 1, 1, 1, 1, 0], "nothing follows the last word"
    assert rows[:, 4].tolist() == [0, 1, 0, 0, 0, 0]
    assert rows[:, 5] == pytest.approx([0.4, 1.6, 0.4, 0.4, 0.4, 0.4])
    assert rows[:, 7] == pytest.approx([10 * 2 / 5] * 6), "two of five are over three and a half medians"
    longest = float(np.quantile([300, 300, 2000, 2001, 300], 0.97))
    assert rows[:, 8] == pytest.approx([np.log((longest + 40) / 340)] * 6, rel=1e-4)


def test_how_rare_a_gap_is_counts_those_that_are_as_long() -> None:
    rarity = found([300, 400, 500, 600])[:, 6]
    shares = [1 - k / 4 + 1 / 4 for k in range(4)]
    assert rarity[:4] == pytest.approx([-np.log(share) / 4 for share in shares], rel=1e-4, abs=1e-6)


def test_what_is_not_known_counts_for_nothing() -> None:
    rows = found([300, 7000, 300, 300], unknown=(1,))
    assert rows[1, [0, 1, 2, 6]].tolist() == [0, 0, 0, 0] and rows[0, 7] == 0
    nothing = found([300, 7000, 300], unknown=(0, 1, 2))
    assert nothing[:, 5].tolist() == pytest.approx([0.4] * 4) and not nothing[:, [0, 1, 2, 3, 6, 7, 8]].any()


def test_gaps_are_taken_to_be_within_bounds() -> None:
    clipped, longest = found([300, 300, 99_000, -50, 300]), found([300, 300, 8000, 0, 300])
    assert clipped[:, :3].tolist() == longest[:, :3].tolist()
    assert found([10] * 9)[0, 0] == pytest.approx(np.log(50 / 80), rel=1e-4), "a median is 40 ms at least"
    assert found([300] * 20 + [8000] + [300] * 20)[20, 1] == pytest.approx(
        np.log(8040 / (215 * 300 / 220 + 40)), rel=1e-4
    )
    assert found([4000] * 9 + [1] + [4000] * 9)[9, 1] == -2, "no shorter than an eighth or so"


def test_words_have_rows_of_their_own_and_the_others_share_theirs_by_their_last_letters() -> None:
    vocabulary = Vocabulary.of(["the", "a"])
    assert [vocabulary.id(word) for word in ("the", "a")] == [2, 3]
    assert vocabulary.size == 4 + 2048
    assert vocabulary.id("running") == vocabulary.id("sing") != vocabulary.id("rung")
    assert all(4 <= vocabulary.id(word) < vocabulary.size for word in ("", "x", "running", "überall"))
    assert vocabulary.id("") == 4 + zlib.crc32(b"\x00") % 2048
    assert pair_keys(np.array([5, 7, 9])).tolist() == [5 * MAX_ROWS + 7, 7 * MAX_ROWS + 9, 0]
