"""Which frames go where: by the view's name, segment after segment."""

import numpy as np
import pytest

from train.data.arrange import arrange
from train.data.views import Views

CENTRES, AROUND = [2, 6], [[1, 3], [5, 7]]
LOW = {n: np.full((4, 8, 3), n * 10, np.uint8) for n in range(8)}
STILLS = [np.full((16, 32, 3), 200 + n, np.uint8) for n in range(2)]


def shades(view: str) -> tuple[list[int], list[int]]:
    views = Views(high=(16, 32), low=(4, 8), n_frames=3, n_segments=2, stride=1, view=view)
    return tuple([int(p[0, 0, 0]) for p in side] for side in arrange(views, CENTRES, AROUND, STILLS, LOW))


@pytest.mark.parametrize(
    ("view", "middle", "other"),
    [
        ("hybrid", [200, 201], [10, 30, 50, 70]),
        ("low", [], [10, 20, 30, 50, 60, 70]),
        ("mean", [], [20, 60]),
        ("low_upscaled", [20, 60], [10, 30, 50, 70]),
        ("high", [200, 201], []),
    ],
)
def test_each_view_shows_its_frames_in_their_order(view: str, middle: list[int], other: list[int]) -> None:
    assert shades(view) == (middle, other)


def test_an_average_is_rounded_to_the_nearest_and_a_half_upwards() -> None:
    """1 and 2 of them; of three 1/3 is left out, 2/3 count as one more."""
    for shades, wanted in (((1, 2), 2), ((0, 0, 1), 0), ((0, 1, 1), 1), ((255, 255, 255), 255), ((7,), 7)):
        views = Views((16, 32), (4, 8), len(shades), 1, 1, view="mean")
        frames = {n: np.full((4, 8, 3), shade, np.uint8) for n, shade in enumerate(shades)}
        centre = len(shades) // 2
        others = [n for n in frames if n != centre]

        _, (mean,) = arrange(views, [centre], [others], [], frames)

        assert mean.dtype == np.uint8 and (mean == wanted).all()


def test_a_picture_is_blown_up_to_the_high_views_size_in_its_orientation() -> None:
    views = Views((16, 24), (4, 8), 3, 1, 1, view="low_upscaled")
    left_to_right = np.linspace(0, 250, 8).astype(np.uint8)[None, :, None].repeat(4, 0).repeat(3, 2)

    (middle,), _ = arrange(views, [0], [[1, 2]], [], {0: left_to_right, 1: LOW[1], 2: LOW[2]})

    assert middle.shape == (16, 24, 3) and middle.dtype == np.uint8
    assert (np.diff(middle[8, :, 0].astype(int)) >= 0).all() and np.ptp(middle[:, 5, 0]) == 0
