"""Pictures in other colours become BT.601: a grey stays the grey that it was, and primaries their own."""

import av
import numpy as np
import pytest

from manifests.colour import BT470BG, BT709, BT2020, FCC, FULL, LIMITED, SMPTE170M, SMPTE240M, Colour
from pipeline.media.colour import To601

WEIGHTS = {
    BT709: (0.2126, 0.0722), FCC: (0.3, 0.11), BT470BG: (0.299, 0.114), SMPTE170M: (0.299, 0.114),
    SMPTE240M: (0.212, 0.087), BT2020: (0.2627, 0.0593), 10: (0.2627, 0.0593),
}  # fmt: skip
"""Of red and blue in luma, by matrix; 10 is BT.2020 with constant luminance, taken as the usual one."""


def yuv(rgb: tuple[float, float, float], weights: tuple[float, float], range_: int) -> list[int]:
    """One colour, 0 to 1, as 8 bits by ITU-T H.273."""
    kr, kb = weights
    luma = kr * rgb[0] + (1 - kr - kb) * rgb[1] + kb * rgb[2]
    cb, cr = (rgb[2] - luma) / (2 * (1 - kb)), (rgb[0] - luma) / (2 * (1 - kr))
    if range_ == FULL:
        return [round(255 * luma), round(128 + 255 * cb), round(128 + 255 * cr)]
    return [round(16 + 219 * luma), round(128 + 224 * cb), round(128 + 224 * cr)]


def picture(values: list[int]) -> av.VideoFrame:
    frame = av.VideoFrame(64, 48, "yuv420p")
    for plane, value in zip(frame.planes, values, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def test_what_is_bt601_already_is_left_alone() -> None:
    frame = picture([100, 110, 120])
    assert To601(Colour(SMPTE170M))(frame) is frame


@pytest.mark.parametrize("matrix", [BT709, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020, 10])
@pytest.mark.parametrize("range_", [LIMITED, FULL])
def test_every_matrix_is_converted_as_the_standard_has_it(matrix: int, range_: int) -> None:
    """All corners of the colour cube, by the weights of ITU-T H.273, table 4."""
    kr, kb = WEIGHTS[matrix]
    convert = To601(Colour(matrix, range_))
    assert convert.is_needed == (range_ == FULL or (kr, kb) != (0.299, 0.114))
    for corner in range(8):
        rgb = (0.15 + 0.7 * (corner & 1), 0.15 + 0.7 * (corner >> 1 & 1), 0.15 + 0.7 * (corner >> 2))
        made = convert(picture(yuv(rgb, (kr, kb), range_)))
        found = [int(np.frombuffer(plane, np.uint8)[0]) for plane in made.planes]
        assert np.abs(np.subtract(found, yuv(rgb, (0.299, 0.114), LIMITED))).max() <= 1, rgb
        assert not convert.is_needed or (made.colorspace, made.color_range) == (SMPTE170M, LIMITED)


def test_what_lies_outside_the_range_is_clipped() -> None:
    brightest = To601(Colour(BT709, FULL))(picture([255, 128, 128]))
    assert int(np.frombuffer(brightest.planes[0], np.uint8)[0]) == 235
    over = To601(Colour(BT709))(picture([255, 255, 255]))
    assert int(np.frombuffer(over.planes[0], np.uint8)[0]) == 255


def test_colours_belong_to_the_pixels_that_they_stand_beside() -> None:
    """A picture of an odd stride, grey at the left and red at the right: the edge stays where it is."""
    frame = av.VideoFrame(50, 48, "yuv420p")
    for plane, (left, right) in zip(frame.planes, ((120, 120), (128, 90), (128, 200)), strict=True):
        values = np.full((plane.height, plane.line_size), left, np.uint8)
        values[:, plane.width // 2 :] = right
        plane.update(values.tobytes())
    made = To601(Colour(BT709))(frame)
    luma = made.to_ndarray()[:48]
    assert np.abs(luma[:, :23].astype(int) - 120).max() <= 1
    assert luma[:, 28:].min() == luma[:, 28:].max() and abs(int(luma[0, 30]) - 120) > 5
