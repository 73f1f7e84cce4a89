"""A stretch of a clip's audio, and what is no audio of a clip."""

import io
import json
from typing import Any

import av
import numpy as np
import pytest

from hdvila_testing.drawn_set import a_sample_json
from train.data import audio
from train.data.audio import ClipSound, read_audio


def test_a_stretch_is_cut_at_its_times_and_never_before_the_clip() -> None:
    sound = ClipSound(np.arange(1000, dtype=np.float32), rate=1000)
    assert sound.stretch(10, 13).tolist() == [10, 11, 12]
    assert sound.stretch(9.5, 10.5).tolist() == [10]
    assert sound.stretch(-5, 2).tolist() == [0, 1] and len(sound.stretch(990, 5000)) == 10


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({}, "no member flac or opus"),
        ({"flac": b""}, "does not describe flac"),
    ],
)
def test_what_is_missing_is_said_with_its_cure(members: dict[str, bytes], words: str) -> None:
    json = a_sample_json().model_dump_json().encode()
    with pytest.raises(ValueError, match=words):
        read_audio({"json": json, **members})


RATE, N = 8000, 4000
RAMP = np.linspace(-30_000, 30_000, N).astype(np.int16)


def flac(values: np.ndarray = RAMP) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="flac") as out:
        stream = out.add_stream("flac", rate=RATE)
        stream.layout, stream.format = "mono", "s16"
        frame = av.AudioFrame.from_ndarray(values[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = RATE, 0
        out.mux([*stream.encode(frame), *stream.encode(None)])
    return buffer.getvalue()


FLAC = flac()


def sample_of(data: bytes = FLAC, **changes: Any) -> dict[str, bytes]:
    said = {"audio_codec": "flac", "audio_rate": RATE, "audio_channels": 1, "audio_samples": N, **changes}
    return {"json": json.dumps({**a_sample_json().model_dump(), **said}).encode(), "flac": data}


def test_samples_come_as_they_were_recorded_and_at_any_rate_asked_for() -> None:
    own, speech, slow = (read_audio(sample_of(), rate) for rate in (RATE, 16_000, 4000))

    assert own.values.dtype == np.float32 and np.abs(own.values - RAMP / 32_768).max() < 1e-4
    assert (own.rate, len(own.values)) == (RATE, N)
    assert (speech.rate, len(speech.values)) == (16_000, 2 * N) and len(slow.values) == N // 2
    assert np.abs(speech.values[1000:-1000:2] - own.values[500:-500]).max() < 0.01
    assert read_audio(sample_of()).rate == 16_000, "what models of speech are given"


@pytest.mark.parametrize(
    ("said", "fits"), [(N, True), (N + 9, True), (N - 9, True), (N + 10, False), (N - 10, False), (2 * N, False)]
)
def test_a_millisecond_more_or_less_than_its_json_says_is_made_up_for(said: int, fits: bool) -> None:
    """Of 8,000 Hz: eight samples, and one of rounding. What lacks is silence at the end."""
    if fits:
        values = read_audio(sample_of(audio_samples=said), RATE).values
        assert len(values) == said and np.abs(values[:3900] - RAMP[:3900] / 32_768).max() < 1e-4
        assert not values[N:].any()
    else:
        with pytest.raises(
            ValueError, match=f"flac has {min(N, said + RATE)} samples at 8000 Hz, its json says {said}"
        ):
            read_audio(sample_of(audio_samples=said), RATE)


@pytest.mark.parametrize(
    "changes", [{"audio_samples": 0}, {"audio_samples": -5}, {"audio_rate": 0}, {"audio_rate": -1}], ids=str
)
def test_a_length_or_rate_that_no_clip_has_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"flac of -?\d+ samples at -?\d+ Hz"):
        read_audio(sample_of(**changes))


def test_a_clips_audio_may_have_one_sample_and_no_more_than_is_made_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    one = sample_of(flac(RAMP[:1]), audio_samples=1)
    monkeypatch.setattr(audio, "MAX_SAMPLES", 1)
    assert len(read_audio(one, RATE).values) == 1
    monkeypatch.setattr(audio, "MAX_SAMPLES", N - 1)
    with pytest.raises(ValueError, match="flac of 4000 samples at 8000 Hz"):
        read_audio(sample_of())


def test_audio_that_goes_on_after_its_time_is_not_decoded_to_its_end() -> None:
    """Ten seconds where half of one is said: decoding stops within a second of it."""
    with pytest.raises(ValueError, match=r"flac has (\d+) samples") as refused:
        read_audio(sample_of(flac(np.zeros(10 * RATE, np.int16)), audio_samples=RATE // 2), RATE)

    assert int(str(refused.value).split()[2]) < 3 * RATE


@pytest.mark.parametrize("damaged", [b"", b"no sound", FLAC[:60]])
def test_what_cannot_be_decoded_is_said(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="flac"):
        read_audio(sample_of(damaged), RATE)
