"""Audio at another rate: the first sample keeps its time, and a tone its height and loudness."""

import numpy as np
import pytest

from pipeline.media.resampling import resampled


def tone(rate: int, n_channels: int = 1, hertz: float = 440.0) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    return np.repeat(wave[None].astype(np.float32), n_channels, axis=0)


@pytest.mark.parametrize(("rate", "wanted"), [(48_000, 16_000), (44_100, 48_000), (22_050, 48_000)])
def test_a_tone_is_the_same_tone_at_any_rate(rate: int, wanted: int) -> None:
    made = resampled(tone(rate), rate, wanted, 1)

    assert made.shape[0] == 1 and abs(made.shape[1] - wanted) <= wanted // 1000
    inside = slice(wanted // 10, wanted * 9 // 10)
    assert np.abs(made[0, inside] - tone(wanted)[0, inside]).max() < 0.01


def test_stereo_becomes_mono_and_what_fits_is_left_alone() -> None:
    given = tone(16_000)
    assert resampled(given, 16_000, 16_000, 1) is given
    assert resampled(tone(48_000, 2), 48_000, 16_000, 1).shape[0] == 1
    assert resampled(given, 16_000, 48_000, 2).shape[0] == 2
