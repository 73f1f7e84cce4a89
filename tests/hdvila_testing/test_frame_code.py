"""The frame code is read right after encoding and down-scaling, and is never read wrong."""

from __future__ import annotations

import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hdvila_testing.frame_code import MAX_FRAME_NUMBER, draw_frame_code, read_frame_code
from pipeline.media.ffmpeg import find_ffmpeg

NUMBERS = [0, 1, 2, 3, 255, 256, 901, 4095, 21845, 43690, 65534, 65535]


def a_picture(seed: int, height: int = 720, width: int = 1280) -> np.ndarray:
    """A noisy, coloured picture with blobs where the code will stand."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 40 + 1, width // 40 + 1, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    noise = random.integers(-12, 13, picture.shape)
    return np.clip(picture.astype(np.int16) + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 720p x264 file of crf 28, one frame a number."""
    path = tmp_path_factory.mktemp("frame_code") / "numbers.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=12, options={"crf": "28", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for seed, number in enumerate(NUMBERS):
            picture = a_picture(seed)
            draw_frame_code(picture, number)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@given(
    st.integers(0, MAX_FRAME_NUMBER),
    st.sampled_from([(720, 1280), (480, 854), (1280, 720), (1080, 1920), (180, 320)]),
)
@settings(max_examples=60, deadline=None)
def test_any_number_is_read_back_from_any_size(number: int, size: tuple[int, int]) -> None:
    frame = np.full((*size, 3), 90, np.uint8)
    draw_frame_code(frame, number)
    assert read_frame_code(frame) == number
    assert read_frame_code(frame[:, :, 0]) == number


@pytest.mark.parametrize("size", ["320x180", "640x360", "854x480"])
def test_numbers_survive_a_second_encode_at_a_smaller_size(encoded: Path, tmp_path: Path, size: str) -> None:
    small = tmp_path / "small.mp4"
    command = [
        find_ffmpeg(),
        "-v",
        "error",
        "-i",
        encoded,
        "-vf",
        f"scale={size.replace('x', ':')}",
        "-c:v",
        "libx264",
    ]
    subprocess.run([*command, "-crf", "28", "-preset", "ultrafast", small], check=True, timeout=500)
    with av.open(str(small)) as container:
        numbers = [read_frame_code(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    assert numbers == NUMBERS


def test_a_flipped_cell_is_noticed() -> None:
    for number in NUMBERS:
        for cell in range(24):
            frame = np.full((720, 1280, 3), 90, np.uint8)
            draw_frame_code(frame, number)
            top, left = 8 + 24 * (cell // 12), 8 + 24 * (cell % 12)
            frame[top : top + 24, left : left + 24] = 255 - frame[top : top + 24, left : left + 24]
            assert read_frame_code(frame) is None
