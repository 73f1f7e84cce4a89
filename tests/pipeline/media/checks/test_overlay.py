"""Overlays."""

from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.media.checks.overlay import Staying


def moving(count: int = 10, step: int = 9) -> list[Any]:
    """Pictures (180 x 320) of a camera that pans."""
    coarse = np.random.default_rng(1).integers(0, 255, (18, 64), dtype=np.uint8)
    wide = cv2.resize(coarse, (640, 180), interpolation=cv2.INTER_CUBIC)
    return [wide[:, i * step : i * step + 320].copy() for i in range(count)]


def share_of(pictures: list[Any]) -> float:
    staying = Staying()
    for picture in pictures:
        staying.picture(picture, picture)
    return staying.value


@pytest.mark.parametrize(("left", "top"), [(250, 20), (20, 140), (2, 2)])
def test_a_logo_that_stays_while_the_camera_moves_is_found_and_how_large_it_is(left: int, top: int) -> None:
    pictures = moving()
    assert share_of(pictures) == 0.0
    for picture in pictures:
        cv2.rectangle(picture, (left, top), (left + 40, top + 18), 250, -1)
        cv2.putText(picture, "TV", (left + 6, top + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.5, 0, 1)
    assert share_of(pictures) == pytest.approx(40 * 18 / (180 * 320), rel=0.5)


def test_where_the_camera_stands_nothing_can_be_told() -> None:
    pictures = moving(step=0)
    for i, picture in enumerate(pictures):
        picture[40:140, 20 + 20 * i : 60 + 20 * i] = 128
    assert share_of(pictures) == 0.0


def test_of_a_single_picture_nothing_is_known() -> None:
    assert share_of([]) == share_of(moving(1)) == -1.0
