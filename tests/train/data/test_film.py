"""A turned film is read as players show it."""

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.testing.frame_code import read_frame_code
from pipeline.testing.video import a_video
from train.data.film import Film


def stored(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pictures_come_upright(tmp_path: Path, rotation: int, suffix: str) -> None:
    path = a_video(tmp_path / f"film{suffix}", seconds=1, width=640, height=360, audio="", rotation=rotation)
    with av.open(str(path)) as container:
        asked = round(next(container.decode(video=0)).rotation)

    shown = Film(path).read([0, 7])

    assert asked % 360 == rotation or (-asked) % 360 == rotation, "the film must be a turned one"
    assert shown[7].shape == ((640, 360, 3) if rotation % 180 else (360, 640, 3))
    wanted = np.rot90(stored(path), round(asked / 90))
    assert np.abs(shown[0].astype(int) - wanted).mean() < 8
    assert read_frame_code(np.ascontiguousarray(np.rot90(shown[7], -round(asked / 90)))) == 7
