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
