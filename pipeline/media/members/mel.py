"""Member KEY.mel.npy: a log-mel spectrogram of the clip's audio, for models that take audio.

float16, bins x frames. Column k is centred at k hops from the clip's start. Windows (Hann) are 2.5 hops long, at least
25 ms, and reach into silence beyond the clip. Filters are triangles on the mel scale of HTK (2595 log10(1 + f / 700))
from 0 Hz to half the rate; values are ln(max(power, 1e-10)).
"""

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from manifests.members import MelFields
from manifests.sample import SampleJson
from pipeline.config.media import MediaConfig
from pipeline.media.checks import Audio
from pipeline.media.members import Made, Member
from pipeline.media.resampling import resampled

MEL_RATE, MEL_HOP_MS = 16_000, 10
"""Hz of the audio that it is made from, and ms from one column to the next: as models of speech take them."""
FLOOR = 1e-10
_WINDOW_MS = 25.0


def make(audio: Audio, duration_ms: int, config: MediaConfig) -> Made:
    """Makes the spectrogram of a clip; of silence where it has no audio."""
    members = config.members
    samples, rate = audio
    hop = MEL_RATE * MEL_HOP_MS // 1000
    n_samples = duration_ms * MEL_RATE // 1000
    mono = np.zeros(n_samples, np.float32) if samples is None else resampled(samples, rate, MEL_RATE, 1)[0]
    mono = np.pad(mono[:n_samples], (0, max(0, n_samples - len(mono))))
    mel = log_mel(mono, MEL_RATE, hop, members.mel_bins)
    buffer = io.BytesIO()
    np.save(buffer, mel, allow_pickle=False)
    fields = {
        "mel_rate": MEL_RATE,
        "mel_bins": members.mel_bins,
        "mel_hop_ms": float(MEL_HOP_MS),
        "mel_frames": mel.shape[1],
    }
    return Made(buffer.getvalue(), fields)


def log_mel(mono: NDArray[np.float32], rate: int, hop: int, n_bins: int) -> NDArray[np.float16]:
    """[bins, frames] of a mono signal; a column per hop, the first centred on the first sample."""
    window = max(round(_WINDOW_MS * rate / 1000), 5 * hop // 2)
    size = 1 << (window - 1).bit_length()
    padded = np.pad(mono, (window // 2, window))
    starts = np.arange(0, len(mono), hop)
    taper = np.hanning(window + 1)[:-1].astype(np.float32)
    filters = mel_filters(rate, size, n_bins)
    columns = [
        filters @ np.abs(np.fft.rfft(padded[starts[k : k + 512, None] + np.arange(window)] * taper, size)).T ** 2
        for k in range(0, len(starts), 512)
    ]
    power = np.concatenate(columns, axis=1) if columns else np.zeros((n_bins, 0))
    return np.log(np.maximum(power, FLOOR)).astype(np.float16)


def mel_filters(rate: int, size: int, n_bins: int) -> NDArray[np.float64]:
    """[bins, size // 2 + 1] triangular filters over the bins of a Fourier transform of `size` samples."""
    top = 2595 * np.log10(1 + rate / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, n_bins + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0, np.minimum((frequencies - low) / (middle - low), (high - frequencies) / (high - middle)))


def faults(sample: SampleJson, data: bytes) -> Iterator[str]:
    """Yields what is wrong with a KEY.mel.npy."""
    try:
        fields = MelFields.model_validate(sample.model_extra or {})
        mel = np.load(io.BytesIO(data), allow_pickle=False)
    except ValidationError:
        yield "mel.npy: the json does not describe it"
        return
    except (ValueError, OSError, EOFError) as error:
        yield f"mel.npy: cannot be read ({error})"
        return
    if (mel.dtype, mel.shape) != (np.float16, (fields.mel_bins, fields.mel_frames)):
        yield f"mel.npy: is {mel.dtype} {mel.shape}, the json says float16 {(fields.mel_bins, fields.mel_frames)}"


MEMBER = Member("mel.npy", "audio", faults, audio=make)
