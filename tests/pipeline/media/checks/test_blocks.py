"""Blocks of a strong compression."""

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.media.checks import ROWS_EVERY
from pipeline.media.checks.blocks import Blockiness
from pipeline.media.ffmpeg import find_ffmpeg
from pipeline.media.planes import some_luma


def blockiness(film: Path) -> float:
    measure = Blockiness()
    with av.open(str(film)) as container:
        for frame in container.decode(video=0):
            luma = some_luma(frame, ROWS_EVERY)
            assert luma is not None
            measure.rows(luma)
    return measure.value


def test_coarsely_quantised_mpeg4_shows_blocks_and_the_film_itself_does_not(samples: Path, tmp_path: Path) -> None:
    film = samples / "videos" / "nodejs-docs-samples__googlework_short.mp4"
    out = tmp_path / "blocks.mkv"
    options = ["-t", "1", "-i", str(film), "-an", "-c:v", "mpeg4", "-q:v", "20", str(out)]
    subprocess.run([find_ffmpeg(), "-v", "error", *options], check=True, timeout=60)
    cut = tmp_path / "as_it_is.mkv"
    subprocess.run(
        [find_ffmpeg(), "-v", "error", "-t", "1", "-i", str(film), "-an", "-c", "copy", str(cut)], check=True
    )
    assert blockiness(cut) < 1.2 < 1.3 < blockiness(out)


def test_a_flat_picture_and_one_of_noise_have_no_blocks() -> None:
    for luma in (np.full((20, 320), 90), np.random.default_rng(1).integers(0, 255, (20, 320))):
        measure = Blockiness()
        measure.rows(luma.astype(np.uint8))
        assert measure.value == pytest.approx(1.0, abs=0.05)
    assert Blockiness().value == -1.0
    narrow = Blockiness()
    narrow.rows(np.zeros((4, 8), np.uint8))
    assert narrow.value == -1.0
