"""The bytes of frames are read where they are."""

import av
import numpy as np
import pytest

from pipeline.media.planes import chroma_of, luma_of, luma_plane, some_luma

COLOURS = [((0, 0, 255), 240, 110), ((255, 0, 0), 90, 240), ((90, 90, 90), 128, 128)]


@pytest.mark.parametrize(("colour", "to_blue", "to_red"), COLOURS)
def test_colour_is_given_beside_brightness(colour: tuple[int, int, int], to_blue: int, to_red: int) -> None:
    pixels = np.full((36, 64, 3), colour, np.uint8)
    small = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")

    chroma = chroma_of(small)

    assert luma_of(small).shape == (36, 64) and chroma.shape == (2, 18, 32)
    assert np.allclose(chroma.mean(axis=(1, 2)), (to_blue, to_red), atol=2)


def test_brightness_of_a_frame_is_read_in_place_where_it_has_eight_bits() -> None:
    values = np.arange(36 * 50, dtype=np.int64).reshape(36, 50).astype(np.uint8)  # 50 wide: rows are padded
    frame = av.VideoFrame.from_ndarray(values, format="yuv420p")
    plane = luma_plane(frame)
    assert plane is not None and (plane == values[:24]).all()
    assert luma_plane(av.VideoFrame(32, 24, "yuv420p10le")) is None
    assert luma_plane(av.VideoFrame(32, 24, "rgb24")) is None
    assert luma_plane(av.VideoFrame(32, 24, "gray")) is not None


def test_some_rows_are_read_in_place_the_middle_one_of_each_so_many() -> None:
    values = np.arange(36 * 50, dtype=np.int64).reshape(36, 50).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(values, format="yuv420p")
    for every, rows in ((5, [2, 7, 12, 17]), (24, [12]), (25, [])):
        some = some_luma(frame, every)
        assert some is not None and some.shape == (len(rows), 50) and (some == values[rows]).all()
    assert some_luma(av.VideoFrame(32, 24, "yuv420p10le"), 8) is None
