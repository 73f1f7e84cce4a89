"""The share of text."""

from typing import Any

import cv2
import numpy as np

from pipeline.media.checks.text import text_share_of

WORDS = "the quick brown fox jumps over it"


def written(luma: Any, rows: range, scale: float = 0.45) -> Any:
    picture = luma.copy()
    for y in rows:
        cv2.putText(picture, WORDS, (20, y), cv2.FONT_HERSHEY_SIMPLEX, scale, 235, 1, cv2.LINE_AA)
    return picture


def test_each_line_of_text_adds_to_the_share() -> None:
    soft = cv2.GaussianBlur(np.random.default_rng(1).integers(0, 255, (180, 320), dtype=np.uint8), (0, 0), 6)
    board = np.full((180, 320), 20, np.uint8)
    for under in (board, soft):
        shares = [text_share_of(written(under, range(30, 30 + 40 * n, 40))) for n in range(4)]
        assert shares[0] == 0.0 and shares == sorted(shares) and 0.02 < shares[1] < 0.1 < shares[3] + 0.04


def test_edges_of_things_and_noise_are_no_text() -> None:
    stripes = np.full((180, 320), 20, np.uint8)
    stripes[:, 40:44], stripes[:, 200:280] = 220, 200
    assert text_share_of(stripes) == 0.0
    assert text_share_of(np.random.default_rng(1).integers(0, 255, (180, 320), dtype=np.uint8)) == 0.0
    assert text_share_of(np.zeros((2, 2), np.uint8)) == 0.0
