"""Reads a clip's audio, KEY.flac or KEY.opus: decodes and checks it, and cuts out a time range.

For models that use audio. A data set has it if its pipeline ran with `media.members.audio: flac` or `opus`.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from manifests.members import AudioFields
from manifests.sample import read_sample

CONTAINERS = {"flac": "flac", "opus": "ogg"}
"""FFmpeg's name of the container, by extension."""
MAX_SAMPLES = 4 * 3600 * 48_000
"""Most audio samples of a clip; more can't be right."""
SPEECH_RATE = 16_000
"""Hz; the usual input rate of speech models."""


@dataclass(frozen=True, slots=True)
class ClipSound:
    """`values`: float32 `[samples]` within -1 .. 1, mono; sample k is at k / rate seconds from the clip's start."""

    values: NDArray[np.float32]
    rate: int

    def stretch(self, start_ms: float, end_ms: float) -> NDArray[np.float32]:
        """The samples from start_ms to end_ms (exclusive), in ms from the clip's start."""
        first, last = (max(0, int(np.ceil(ms * self.rate / 1000))) for ms in (start_ms, end_ms))
        return self.values[first:last]


def read_audio(members: Mapping[str, bytes], rate: int = SPEECH_RATE) -> ClipSound:
    """Reads the audio of a sample's members (`json`, and `flac` or `opus`) as mono at `rate` Hz.

    Silence if the source has none. ValueError for a member that is missing or damaged.
    """
    extension = next((name for name in CONTAINERS if name in members), "")
    if not extension:
        raise ValueError("has no member flac or opus; make the data set with media.members.audio: flac (or opus)")
    try:
        fields = AudioFields.model_validate(read_sample(members["json"]).model_extra or {})
    except ValidationError as error:
        raise ValueError(f"its json does not describe {extension} ({error.error_count()} faults)") from None
    if not 0 < fields.audio_samples <= MAX_SAMPLES or fields.audio_rate <= 0:
        raise ValueError(f"{extension} of {fields.audio_samples} samples at {fields.audio_rate} Hz")
    wanted = round(fields.audio_samples * rate / fields.audio_rate)
    try:
        values = _decoded(members[extension], extension, rate, most=wanted + rate)
    except (av.FFmpegError, IndexError, ArithmeticError) as error:
        raise ValueError(f"{extension} cannot be decoded ({error})") from None
    if abs(len(values) - wanted) > rate // 1000 + 1:
        raise ValueError(f"{extension} has {len(values)} samples at {rate} Hz, its json says {wanted}")
    return ClipSound(np.clip(np.pad(values[:wanted], (0, max(0, wanted - len(values)))), -1, 1), rate)


def _decoded(data: bytes, extension: str, rate: int, *, most: int) -> NDArray[np.float32]:
    """Decodes to mono at `rate` Hz; stops soon after `most` samples."""
    blocks: list[NDArray[np.float32]] = []
    count = 0
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=rate)
    with av.open(io.BytesIO(data), "r", format=CONTAINERS[extension]) as container:
        for frame in container.decode(audio=0):
            parts = [part.to_ndarray()[0] for part in resampler.resample(frame)]
            blocks += parts
            count += sum(map(len, parts))
            if count > most:
                break
        blocks += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(blocks).astype(np.float32) if blocks else np.zeros(0, np.float32)
