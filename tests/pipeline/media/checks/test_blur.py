"""Blur."""

import cv2
import numpy as np
import pytest

from pipeline.media.checks.blur import blur_of


def test_the_same_picture_out_of_focus_is_more_blurred_whichever_way_it_is_shaken() -> None:
    sharp = np.random.default_rng(1).integers(0, 255, (180, 320), dtype=np.uint8)
    soft = [cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (0.7, 1, 1.5)]
    blurs = [blur_of(picture) for picture in (sharp, *soft)]
    assert blurs == sorted(blurs) and blurs[0] < 0.15 and blurs[-1] > 0.25
    for shaken in (cv2.blur(sharp, (5, 1)), cv2.blur(sharp, (1, 5))):
        assert blur_of(shaken) > 0.2
    assert blur_of(sharp) == pytest.approx(blur_of(sharp.T), abs=0.02)


def test_a_flat_picture_is_not_blurred() -> None:
    assert blur_of(np.full((180, 320), 90, np.uint8)) == 0.0
