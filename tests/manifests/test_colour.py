"""Which colours are in force where a file says nothing, or says what nothing here knows."""

import pytest

from manifests.colour import BT709, BT2020, FULL, LIMITED, RGB, SMPTE170M, UNSPECIFIED, colour_in_force


@pytest.mark.parametrize(
    ("width", "height", "matrix"),
    [(1280, 534, BT709), (1024, 577, BT709), (1279, 576, SMPTE170M), (720, 480, SMPTE170M)],
)
def test_a_stream_that_names_no_matrix_is_taken_as_players_take_it(width: int, height: int, matrix: int) -> None:
    assert colour_in_force(UNSPECIFIED, 0, width, height).matrix == matrix
    assert colour_in_force(UNSPECIFIED, 0, width, height).range_ == LIMITED


def test_what_a_file_states_is_kept_and_what_is_unknown_is_guessed() -> None:
    assert colour_in_force(BT2020, FULL, 320, 240).matrix == BT2020
    assert colour_in_force(BT2020, FULL, 320, 240).range_ == FULL
    assert colour_in_force(14, LIMITED, 320, 240).matrix == SMPTE170M
    assert colour_in_force(RGB, FULL, 320, 240).swscale_matrix is None
