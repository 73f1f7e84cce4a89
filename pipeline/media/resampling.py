"""Resamples a clip's audio and mixes it to mono or stereo."""

import av
import numpy as np
from numpy.typing import NDArray


def resampled(samples: NDArray[np.float32], rate: int, wanted_rate: int, wanted_channels: int) -> NDArray[np.float32]:
    """Resamples float32 audio (1 or 2 channels x samples) to a rate and channel count; sample 0 keeps its time."""
    if (samples.shape[0], rate) == (wanted_channels, wanted_rate):
        return samples
    layouts = {1: "mono", 2: "stereo"}
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layouts[samples.shape[0]])
    frame.sample_rate = rate
    resampler = av.AudioResampler(format="fltp", layout=layouts[wanted_channels], rate=wanted_rate)
    blocks = [part.to_ndarray() for given in (frame, None) for part in resampler.resample(given)]
    return np.concatenate(blocks, axis=1) if blocks else np.zeros((wanted_channels, 0), np.float32)
