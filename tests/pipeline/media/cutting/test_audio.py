"""Audio of clips, block by block; test_cutting.py hears whether it is in its place."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from pipeline.media.cutting import CutClip, Span
from pipeline.media.cutting.audio import ClipAudio, _aac
from tests.pipeline.media.cutting.films import cut, film_at


@pytest.mark.parametrize("mode", ["remux", "exact"])
def test_a_clip_without_audio_says_that_its_audio_begins_at_0(films: Path, mode: str) -> None:
    path, _ = film_at(films, "no sound")

    clips = cut(path, [Span(0, 3000, 5200)], mode=mode)

    assert isinstance(clips[0], CutClip) and clips[0].audio_start_ms == 0


def clip_audio(*, rate: int = 48_000, channels: int = 1, start_ms: int = 1000, end_ms: int = 1100) -> ClipAudio:
    source: Any = SimpleNamespace(zero_s=Fraction(2))
    return ClipAudio(rate, channels, source, start_ms, end_ms)


def a_block(value: float, at_ms: float, n: int = 480, *, channels: int = 1, rate: int = 48_000) -> Any:
    """Samples that begin at a moment of source time."""
    layout = "mono" if channels == 1 else "stereo"
    frame = av.AudioFrame.from_ndarray(np.full((channels, n), value, np.float32), format="fltp", layout=layout)
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = round((at_ms / 1000 + 2) * rate)
    return frame


def test_a_clips_audio_is_silence_where_nothing_came_and_nothing_from_outside() -> None:
    audio = clip_audio()
    assert audio.result == (None, 48_000) and audio.so_far == (None, 48_000) and audio.heard_s == 0
    audio.add(a_block(0.9, 900))
    audio.add(a_block(0.9, 1100))
    assert audio.result[0] is None, "what ends as it begins, or begins as it ends, lies outside"
    audio = clip_audio()
    for value, at_ms in [(0.1, 995), (0.3, 1020), (0.4, 1095)]:
        audio.add(a_block(value, at_ms))
    samples, rate = audio.result
    assert samples is not None and (samples.shape, rate) == ((1, 4800), 48_000)
    for first, last, value in [(0, 240, 0.1), (240, 960, 0), (960, 1440, 0.3), (1440, 4560, 0), (4560, 4800, 0.4)]:
        assert samples[0, first:last] == pytest.approx(value)


def test_a_rate_that_aac_lacks_becomes_48_khz_and_more_than_two_channels_two() -> None:
    for rate, channels, told in [
        (44_100, 1, (1, 4410)),
        (50_000, 2, (2, 4800)),
        (88_200, 1, (1, 8820)),
        (96_000, 6, (2, 9600)),
    ]:
        audio = clip_audio(rate=rate, channels=channels)
        audio.add(a_block(0.5, 1000, rate // 100, channels=min(channels, 2), rate=rate))
        samples, _ = audio.result
        assert samples is not None and samples.shape == told


@pytest.mark.parametrize("channels", [1, 2])
def test_a_change_of_layout_or_rate_on_the_way_costs_no_audio(channels: int) -> None:
    audio = clip_audio(channels=channels)
    audio.add(a_block(0.5, 1000, channels=channels))
    audio.add(a_block(0.5, 1010, channels=3 - channels))
    audio.add(a_block(0.5, 1020, 960, channels=channels, rate=96_000))
    samples, _ = audio.result
    assert samples is not None and samples.shape[0] == channels
    assert samples[:, 480:960].min() > 0.3 and samples[:, 1000:1400].min() > 0.3


def test_encoded_audio_holds_the_encoder_s_delay_before_its_start() -> None:
    samples = np.zeros((2, 48_000), np.float32)
    samples[:, 24_000:24_240] = 0.9
    template, packets = _aac(samples, 48_000)
    assert (template.codec_context.sample_rate, template.codec_context.channels) == (48_000, 2)
    assert len(packets) == -(-48_000 // 1024) + 1, "one of them is the delay"
    decoder: Any = av.CodecContext.create("aac", "r")
    decoder.extradata = template.codec_context.extradata
    values = np.concatenate([f.to_ndarray()[0] for packet in packets for f in decoder.decode(packet)])
    assert 23_990 < int(np.abs(values).argmax()) < 24_250, "the decoder leaves the delay out"
