"""Windows over a video's clips: their frames in the order of time, across the borders of clips."""

from __future__ import annotations

import numpy as np
import pytest

from hdvila_testing.drawn_set import draw_number, read_number
from train.data.views import Views
from train.evaluation.around import Timeline

FPS, STEP = 10.0, 2
VIEWS = Views(high=(640, 1024), low=(160, 256), n_frames=5, n_segments=1, stride=4, view="low")


def shown(timeline, views=VIEWS):
    """{middle of a window, ms: the numbers of its frames}."""
    box = (32 / 320, 10 / 180, 288 / 320, 170 / 180)
    return {
        ms: [read_number(picture.numpy().transpose(1, 2, 0), box) for picture in other[0]]
        for ms, (_, other) in timeline.windows(views)
    }


@pytest.fixture
def timeline():
    """Two clips that follow each other, frames 100 to 139, and one apart, 190 to 229; every other is held."""
    numbers = [*range(100, 140, STEP), *range(190, 230, STEP)]
    blank = np.full((180, 320, 3), 90, np.uint8)
    return Timeline(FPS, STEP, {n: draw_number(blank.copy(), n) for n in numbers})


def test_a_window_a_second_shows_what_surrounds_it(timeline):
    assert shown(timeline) == {
        11_000: [102, 106, 110, 114, 118],
        12_000: [112, 116, 120, 124, 128],
        13_000: [122, 126, 130, 134, 138],
        20_000: [192, 196, 200, 204, 208],
        21_000: [202, 206, 210, 214, 218],
        22_000: [212, 216, 220, 224, 228],
    }


def test_what_no_clip_shows_is_in_no_window(timeline):
    del timeline.small[112], timeline.small[114]  # more than the next frame held

    assert {11_000, 12_000}.isdisjoint(shown(timeline)) and 13_000 in shown(timeline)
