"""Silence."""

import numpy as np
import pytest

from manifests.reasons import Reason
from pipeline.media.checks.silence import loudest_dbfs
from pipeline.media.probe import VideoTrack, probe
from pipeline.testing.video import a_video
from tests.pipeline.media.looks import reasons


@pytest.fixture(scope="module")
def track(tmp_path_factory: pytest.TempPathFactory) -> VideoTrack:
    return probe(a_video(tmp_path_factory.mktemp("t") / "a.mp4", seconds=0.4)).video


def test_silence_is_told_from_a_quiet_voice(track: VideoTrack) -> None:
    rate = 48000
    voice = 0.01 * np.sin(np.arange(rate) / 20).astype(np.float32)[None]
    assert loudest_dbfs(voice, rate) > -50
    assert loudest_dbfs(np.zeros((2, rate), np.float32), rate) == -120
    assert loudest_dbfs(None, rate) == -120
    assert Reason.SILENT in reasons(None, track, audio=(voice * 1e-3, rate))
    assert Reason.SILENT in reasons(None, track, audio=(None, 1))
    assert Reason.SILENT not in reasons(None, track, audio=(voice, rate))
