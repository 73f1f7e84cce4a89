"""Frames of a clip: any, in any order."""

from __future__ import annotations

import numpy as np
import pytest

from train.data.video import open_clip, read_frames
from train.testing import encode_mp4


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_any_frames_in_any_order_are_those_of_a_full_decode(backend):
    pictures = [np.full((64, 128, 3), 5 * i, np.uint8) for i in range(40)]
    data = encode_mp4(pictures, fps=25, gop=9)

    found = read_frames(data, [39, 3, 17, 3, 16, 0], backend)

    assert sorted(found) == [0, 3, 16, 17, 39]
    assert all(abs(int(found[n].mean()) - 5 * n) <= 2 for n in found)
    assert open_clip(data).nearest_frames([0, 39, 41, 10_000]) == [0, 1, 1, 39]
