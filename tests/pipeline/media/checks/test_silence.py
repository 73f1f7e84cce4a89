"""Silence."""

import numpy as np
import pytest

from hdvila_testing.video import a_video
from manifests.reasons import Reason
from pipeline.config.media import MediaConfig
from pipeline.media.checks import Seen
from pipeline.media.checks.silence import enough, loudest_dbfs, silence
from pipeline.media.probe import probe
from pipeline.media.streams import VideoTrack
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


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.35, 1.0])
def test_loudness_is_that_of_the_loudest_tenth_of_a_second(seconds: float) -> None:
    """A square wave of 0.1 is -20 dBFS; after it a tenth of its height, which is -40."""
    rate = 16_000
    n = round(seconds * rate)
    wave = np.where(np.arange(n) % 2, 0.1, -0.1).astype(np.float32)
    wave[rate // 10 :] *= 0.1

    assert loudest_dbfs(wave[None], rate) == pytest.approx(-20, abs=0.01)
    assert loudest_dbfs(np.stack([wave, wave]), rate) == pytest.approx(-20, abs=0.01)
    assert loudest_dbfs(np.stack([wave, -wave]), rate) == -120, "what cancels out is not heard"
    assert loudest_dbfs(wave[None] * 1e-9, rate) == -120
    assert loudest_dbfs(np.zeros((1, 0), np.float32), rate) == -120


def test_the_beginning_is_enough_where_whole_blocks_of_it_are_loud() -> None:
    config, rate = MediaConfig(), 16_000
    least = 0.001  # of full scale: -60 dBFS
    loud = np.where(np.arange(2 * rate) % 2, 1.01 * least, -1.01 * least).astype(np.float32)[None]

    assert enough((loud, rate), config)
    assert enough((loud[:, : rate // 10], rate), config)
    assert not enough((loud[:, : rate // 10 - 1], rate), config), "not one whole block"
    assert not enough((loud * 0.98, rate), config) and not enough((None, rate), config)
    tail = np.concatenate([np.zeros((1, rate // 10), np.float32), loud[:, : rate // 20]], axis=1)
    assert not enough((tail, rate), config), "what is left over at the end is not looked at"


def test_what_is_louder_than_60_dbfs_is_heard_and_digital_silence_is_the_quietest(track: VideoTrack) -> None:
    config, rate = MediaConfig(), 16_000
    wave = np.where(np.arange(rate) % 2, 0.00101, -0.00101).astype(np.float32)[None]

    assert silence(Seen(track, audio=(wave, rate)), config) == "" and enough((wave, rate), config)
    assert silence(Seen(track, audio=(wave * 0.9, rate)), config) == "loudest 100 ms at -61 dBFS"
    assert not enough((wave * 0.9, rate), config)
    assert silence(Seen(track, audio=(wave * 0, rate)), config) == "loudest 100 ms at -120 dBFS"
    assert not enough((wave[:, :0], rate), config)
