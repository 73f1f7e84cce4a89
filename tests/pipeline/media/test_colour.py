"""Pictures in other colours become BT.601: a grey stays the grey that it was, and primaries their own."""

import av
import numpy as np
import pytest

from manifests.colour import BT709, BT2020, FULL, LIMITED, SMPTE170M, Colour
from pipeline.media.colour import To601

KR_KB = {BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593), SMPTE170M: (0.299, 0.114)}


def yuv(rgb: tuple[float, float, float], matrix: int, range_: int) -> list[int]:
    """One colour, 0 to 1, as 8 bits by ITU-T H.273."""
    kr, kb = KR_KB[matrix]
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


@pytest.mark.parametrize("rgb", [(0.5, 0.5, 0.5), (0.8, 0.2, 0.2), (0.2, 0.7, 0.3), (0.1, 0.1, 0.9)])
@pytest.mark.parametrize("source", [Colour(BT709), Colour(BT2020), Colour(BT709, FULL), Colour(SMPTE170M, FULL)])
def test_a_colour_comes_out_as_bt601_has_it(rgb: tuple[float, float, float], source: Colour) -> None:
    made = To601(source)(picture(yuv(rgb, source.matrix, source.range_)))

    found = [int(np.frombuffer(plane, np.uint8)[0]) for plane in made.planes]
    assert np.abs(np.subtract(found, yuv(rgb, SMPTE170M, LIMITED))).max() <= 1
    assert (made.colorspace, made.color_range) == (SMPTE170M, LIMITED)


def test_what_is_bt601_already_is_left_alone() -> None:
    frame = picture([100, 110, 120])
    assert To601(Colour(SMPTE170M))(frame) is frame
