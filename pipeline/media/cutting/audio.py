"""Encodes audio: for mode `exact`, and for source codecs that an mp4 cannot carry."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

import av

from pipeline.media.cutting.mp4 import Track
from pipeline.media.cutting.span import tick_at, ticks_of
from pipeline.media.cutting.window import packets_from
from pipeline.media.probe import Probe, SoundProbe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COPIED = ("aac", "mp3", "opus", "ac3", "eac3", "alac", "flac")
"""Audio codecs whose packets are copied into an mp4."""

AAC_DELAY = 1024
"""Samples that FFmpeg's AAC encoder puts before the first (its initial padding); also the samples per packet."""

_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sample rates that AAC supports."""

AAC_BITRATE = 128_000
"""Of audio that is encoded again, bits a second."""

SETTLE_MS = 200
"""Audio decoded before the start, so that the decoder's overlap and bit reservoir have settled."""

_AAC_LC = 2
"""Its type in an AAC track's header: without spectral band replication or other tools."""

_SILENT_AAC = {1: bytes.fromhex("01182007"), 2: bytes.fromhex("211004608c1c")}
"""By number of channels: what FFmpeg's encoder makes of silence, at any rate."""

_MOST_GAP_S = Fraction(40, 1000)
"""How far audio without time stamps may be from its place before its track is encoded anew."""

ROUNDED_PER_S = 1000
"""Containers with times in ms (Matroska) round a block's time by up to 1 / 1000 s: gaps this small don't count."""


def encode_audio(container: Any, stream: Any, source: Probe, start_ms: int, end_ms: int) -> Track | None:
    """AAC packets of the audio from start_ms to end_ms of source time (silence where the source has none).

    Times are on the source's clock in samples. The first packet holds the encoder's delay and so comes AAC_DELAY
    samples before `start_ms`. Returns None where the source has no audio at all there.
    """
    samples, rate = decode_audio(container, stream, source, start_ms, end_ms)
    if samples is None:
        return None
    template, packets = _aac(samples, rate)
    first = round((Fraction(start_ms, 1000) + source.zero_s) * rate) - AAC_DELAY
    times = [first + i * AAC_DELAY for i in range(len(packets))]
    for packet, pts in zip(packets, times, strict=True):
        packet.pts = pts
    return Track(template, packets, times, Fraction(1, rate))


def without_gaps(stream: Any, packets: Sequence[Any], begin: int) -> list[Any]:
    """A track's packets with silent ones where some are missing, from tick `begin` on, so that their samples as one
    array keep to the clock within half a packet. [] where that takes packets of another codec than plain AAC.
    """
    base = stream.time_base
    silence = _silence(stream.codec_context)
    usual = sorted(packet.duration or 0 for packet in packets)[len(packets) // 2]
    length = Fraction(AAC_DELAY, stream.codec_context.sample_rate) / base if silence else Fraction(usual)
    longest = length + (length / 2 if silence else _MOST_GAP_S / base)
    filled: list[Any] = []
    last = begin - length
    for packet in packets:
        since = packet.pts - last
        if since > longest and not silence:
            return []
        n_missing = round((since - length) / length) if since > longest else 0
        for n in range(n_missing, 0, -1):
            silent = av.Packet(silence)
            silent.pts, silent.duration, silent.time_base = round(packet.pts - n * length), round(length), base
            silent.is_keyframe = True
            filled.append(silent)
        filled.append(packet)
        last = packet.pts
    return filled


def _silence(context: Any) -> bytes:
    """A packet of silence that this track's decoder takes; b"" unless it is AAC-LC whose header says so (ISO/IEC
    14496-3, 1.6.2.1: five bits of type, four of rate, four of channels) in mono or stereo.
    """
    head: bytes = context.extradata or b""
    if context.codec.canonical_name != "aac" or context.frame_size != AAC_DELAY or context.sample_rate not in _RATES:
        return b""
    return _SILENT_AAC.get(head[1] >> 3 & 15, b"") if len(head) > 1 and head[0] >> 3 == _AAC_LC else b""


def decode_audio(
    container: Any, stream: Any, source: SoundProbe, start_ms: int, end_ms: int
) -> tuple[NDArray[np.float32] | None, int]:
    """(samples, rate) of a stretch of audio: float32, 1 or 2 channels x samples, within -1 .. 1; None if there is none.

    Packets that don't decode become silence.
    """
    context = stream.codec_context
    audio = ClipAudio(context.sample_rate, context.channels, source, start_ms, end_ms)
    for frame in audio_frames(container, stream, source, start_ms, end_ms):
        audio.add(frame)
    return audio.result


class ClipAudio:
    """The samples of a stretch of source time, collected from decoded frames: float32, 1 or 2 channels x samples."""

    def __init__(self, rate: int, channels: int, source: SoundProbe, start_ms: int, end_ms: int) -> None:
        import numpy as np  # heavy, and not needed for clips whose audio is copied

        self._rate = rate if rate in _RATES else 48000
        self._layout = "mono" if channels == 1 else "stereo"
        self._samples = np.zeros((1 if channels == 1 else 2, (end_ms - start_ms) * self._rate // 1000), np.float32)
        self._resampler: Any = None
        self._kind: tuple[str, str, int] | None = None  # format, layout and rate of what it was made for
        self._start_s = Fraction(start_ms, 1000) + source.zero_s
        self._index_of = cache(self._indices)
        self._has_audio = False
        self._next: int | None = None  # where the next block belongs if there is no gap
        self._n_heard = 0

    def add(self, frame: Any) -> None:
        """Adds a decoded frame; samples outside the stretch are dropped."""
        for part in self._resampled(frame):
            if part.pts is not None:
                at = self._index_of(part.time_base)(part.pts)
                if self._next is not None and abs(at - self._next) <= self._rate // ROUNDED_PER_S:
                    at = self._next
                self._next = at + part.samples
                self._has_audio |= _put(self._samples, part, at)
                self._n_heard = max(self._n_heard, min(self._next, self._samples.shape[1]))

    def _indices(self, base: Fraction) -> Callable[[int], int]:
        """Returns the function from a block's time on this clock to the index of its first sample in the stretch."""
        return ticks_of(base, Fraction(1, self._rate), self._start_s)

    def _resampled(self, frame: Any) -> list[Any]:
        """Returns the frame's samples; another format, layout or rate than before starts a new resampler.

        PyAV's own does not look again where the first frame needed no work.
        """
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            self._resampler = av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
            self._kind = kind
        return list(self._resampler.resample(frame))

    @property
    def heard_s(self) -> float:
        """Seconds from the stretch's start to the end of the audio received so far."""
        return self._n_heard / self._rate

    @property
    def so_far(self) -> tuple[NDArray[np.float32] | None, int]:
        """Like `result`, but only up to the end of the audio received so far."""
        return (self._samples[:, : self._n_heard] if self._has_audio else None), self._rate

    @property
    def result(self) -> tuple[NDArray[np.float32] | None, int]:
        """(samples, rate); None where no frame was inside the stretch."""
        return (self._samples if self._has_audio else None), self._rate


def audio_frames(container: Any, stream: Any, source: SoundProbe, start_ms: int, end_ms: int) -> Iterator[Any]:
    """Yields decoded frames from a little before start_ms on, up to end_ms; packets that do not decode are left out."""
    end = tick_at(end_ms, source, stream.time_base)
    stream.codec_context.flush_buffers()
    for packet in packets_from(container, stream, tick_at(start_ms - SETTLE_MS, source, stream.time_base)):
        if packet.pts is not None and packet.pts >= end:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            continue


def _put(samples: NDArray[np.float32], block: Any, at: int) -> bool:
    """Copies a frame of planar floats to index `at`; returns False where it is entirely outside."""
    import numpy as np

    first, last = max(0, at), min(samples.shape[1], at + block.samples)
    if first >= last:
        return False
    for channel, plane in zip(samples, block.planes, strict=True):
        channel[first:last] = np.frombuffer(plane, np.float32)[first - at : last - at]
    return True


def _aac(samples: NDArray[np.float32], rate: int) -> tuple[Any, list[Any]]:
    """(stream to copy parameters from, AAC packets in order)."""
    import numpy as np

    buffer = io.BytesIO()
    layout = "mono" if samples.shape[0] == 1 else "stereo"
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:  # noqa: TID251 - written
        stream = container.add_stream("aac", rate=rate)
        stream.layout, stream.bit_rate = layout, AAC_BITRATE
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        stream.codec_context.thread_count = 1
        for at in range(0, samples.shape[1], AAC_DELAY):
            block = np.ascontiguousarray(samples[:, at : at + AAC_DELAY])
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return read_back(buffer)


def read_back(buffer: io.BytesIO) -> tuple[Any, list[Any]]:
    """(stream, packets) of the only track of an mp4 just written: encoded packets with the parameters to mux them."""
    buffer.seek(0)
    container: Any = av.open(buffer, format="mp4")  # noqa: TID251 - one format
    stream = container.streams[0]
    return stream, [packet for packet in container.demux(stream) if packet.size]
