"""A picture over which something lies, and one of another shot."""

import numpy as np
import pytest

from pipeline.media.shot_pictures import is_covered
from tests.pipeline.media.test_shots import NEXT, SCENE, flat


@pytest.mark.parametrize(("n_rows", "covered"), [(6, True), (18, True), (30, False)])
def test_a_picture_is_covered_while_half_of_it_stays(n_rows: int, covered: bool) -> None:
    under = SCENE.copy()
    under[:n_rows] = 235
    assert is_covered(SCENE, under) == covered


def test_another_shot_covers_nothing_and_flat_pictures_tell_nothing() -> None:
    assert not is_covered(SCENE, NEXT)
    assert not is_covered(flat(90), flat(90))
    assert is_covered(SCENE, np.roll(SCENE, (2, -2), (0, 1))), "a camera that moves by a 30th"
    assert not is_covered(SCENE, np.roll(SCENE, (5, 9), (0, 1)))
