"""The clip's audio as a separate file, KEY.flac or KEY.opus: the code that both share.

Sample 0 is the clip's `start_ms` and the last its `end_ms`, so that the clip's frames, whose times in KEY.m4v count
from there too, and its audio need no offset. If the source has no audio for the clip, the member is silence of that
length.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from manifests.members import OFF, AudioFields
from manifests.sample import SampleJson
from pipeline.config.media import MediaConfig
from pipeline.media.checks import Audio
from pipeline.media.members import Made
from pipeline.media.members.proxy import BROKEN
from pipeline.media.resampling import resampled

SILENT_RATE = 48_000
"""Sample rate of silence where the source has no audio, Hz."""
PLAIN = {"fflags": "+bitexact", "metadata_header_padding": "0"}
"""Without this FFmpeg leaves 8 kB in a FLAC for tags that may be added later, as much as a second of speech."""
STRICT = {"err_detect": "crccheck+explode"}
"""Makes FFmpeg report pages and frames with a wrong checksum."""


@dataclass(frozen=True, slots=True)
class Coding:
    """How audio is stored. `name` is the extension and FFmpeg's name of the decoded codec; `form` a packed format."""

    name: str
    encoder: str
    container: str
    form: str
    options: dict[str, str]
    bits_a_channel: int = 0
    """Bits per second and channel, for codecs that have a bit rate."""
    only_rate: int = 0
    """Rate that audio is resampled to if the configuration names none, Hz; 0 keeps the source's rate."""

    def make(self, audio: Audio, duration_ms: int, config: MediaConfig) -> Made:
        """Encodes a clip's samples as its member."""
        wanted = config.members.audio_rate
        samples, rate = audio
        if samples is None:
            rate = SILENT_RATE if wanted == OFF else wanted
            samples = np.zeros((1, 0), np.float32)
        channels = samples.shape[0] if wanted == OFF else 1
        wanted_rate = (self.only_rate or rate) if wanted == OFF else wanted
        if samples.shape[1]:
            samples = resampled(samples, rate, wanted_rate, channels)
        count = duration_ms * wanted_rate // 1000
        samples = np.pad(samples[:, :count], ((0, 0), (0, max(0, count - samples.shape[1]))))
        fields = AudioFields(
            audio_codec=self.name, audio_rate=wanted_rate, audio_channels=channels, audio_samples=count
        )
        return Made(self._encoded(samples, wanted_rate), fields.model_dump())

    def _encoded(self, samples: NDArray[np.float32], rate: int) -> bytes:
        buffer = io.BytesIO()
        channels = samples.shape[0]
        layout = "mono" if channels == 1 else "stereo"
        with av.open(buffer, "w", format=self.container, options=PLAIN) as container:  # noqa: TID251 - written
            stream: Any = container.add_stream(self.encoder, rate=rate, options=self.options)
            stream.layout, stream.format = layout, self.form
            if self.bits_a_channel:
                stream.bit_rate = self.bits_a_channel * channels
            stream.codec_context.flags |= av.codec.context.Flags.bitexact
            stream.codec_context.thread_count = 1  # the same bytes on every machine
            packed = np.clip(samples, -1, 1).T
            if self.form == "s16":
                packed = np.clip(np.rint(packed * 32_768), -32_768, 32_767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(packed).reshape(1, -1), format=self.form, layout=layout
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return buffer.getvalue()

    def faults(self, sample: SampleJson, data: bytes) -> Iterator[str]:
        """Yields what is wrong with a member of this coding."""
        try:
            fields = AudioFields.model_validate(sample.model_extra or {})
        except ValidationError:
            yield f"{self.name}: the json does not describe it"
            return
        if fields.audio_codec != self.name:
            yield f"{self.name}: the json says its codec is {fields.audio_codec}"
        late_ms = fields.audio_samples * 1000 / max(1, fields.audio_rate) - sample.duration_ms
        if abs(late_ms) > 1:
            yield f"{self.name}: {fields.audio_samples} samples are {late_ms:+.0f} ms off the clip's length"
        try:
            count, rate, channels = self._decoded(data, fields)
        except BROKEN as error:
            yield f"{self.name}: cannot be decoded ({type(error).__name__}: {error})"
            return
        if channels != fields.audio_channels:
            yield f"{self.name}: has {channels} channels, the json says {fields.audio_channels}"
        if count * fields.audio_rate != fields.audio_samples * rate:
            yield (
                f"{self.name}: {count} samples at {rate} Hz decode, "
                f"the json counts {fields.audio_samples} at {fields.audio_rate} Hz"
            )

    def _decoded(self, data: bytes, fields: AudioFields) -> tuple[int, int, int]:
        """(samples per channel, their rate, channels); stops once there are more samples than the json says."""
        with av.open(io.BytesIO(data), "r", format=self.container, options=STRICT) as container:  # noqa: TID251 - one format
            context = container.streams.audio[0].codec_context if container.streams.audio else None
            if context is None or context.codec.canonical_name != self.name:
                raise ValueError(f"holds no {self.name}")
            context.options = STRICT
            count, rate = 0, context.sample_rate
            for frame in container.decode(audio=0):
                count += frame.samples
                if count * fields.audio_rate > fields.audio_samples * rate:
                    break
            return count, rate, context.channels
