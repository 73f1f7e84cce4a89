"""Check `silence`: whether a clip has audible audio."""

import numpy as np
from numpy.typing import NDArray

from pipeline.config.media import MediaConfig
from pipeline.media.checks import Audio, Check, Seen

SILENT_DBFS = -60.0
"""A clip is silent if its loudest 100 ms are below: a thousandth of full scale."""


def loudest_dbfs(samples: NDArray[np.float32] | None, rate: int) -> float:
    """Loudness (RMS) of the loudest 100 ms of a clip's audio (channels x samples), dBFS; -120 for none or digital 0."""
    if samples is None:
        return -120.0
    size = max(1, rate // 10)
    mono = samples.mean(axis=0)
    blocks = mono[: mono.size // size * size].reshape(-1, size) if mono.size >= size else mono[None]
    loudest = float((blocks**2).mean(axis=1).max()) if blocks.size else 0.0
    return max(-120.0, 10 * float(np.log10(loudest))) if loudest > 0 else -120.0


def silence(seen: Seen, _config: MediaConfig) -> str:
    """Finds silence, or missing audio."""
    loudness = loudest_dbfs(*seen.audio)
    return f"loudest 100 ms at {loudness:.0f} dBFS" if loudness < SILENT_DBFS else ""


def enough(audio: Audio, _config: MediaConfig) -> bool:
    """Whether the beginning of a clip's audio is already loud enough to pass."""
    samples, rate = audio
    if samples is None:
        return False
    whole = samples.shape[1] // (rate // 10) * (rate // 10)  # in whole blocks, as `silence` will see them
    return whole > 0 and loudest_dbfs(samples[:, :whole], rate) >= SILENT_DBFS


CHECKS = (Check("silence", "audio", silence, enough=enough),)
