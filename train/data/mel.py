"""Reads a clip's log-mel spectrogram, KEY.mel.npy: checks it, and cuts out a time range.

For models that use audio. A data set has it if its pipeline ran with `media.members.mel: true`.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from manifests.members import MelFields
from manifests.sample import read_sample

EXTENSION = "mel.npy"
MAX_BYTES = 64 * 1024**2
"""Largest spectrogram of a clip; a larger array can't be right."""


@dataclass(frozen=True, slots=True)
class LogMel:
    """`values`: float32 `[bins, columns]`, ln of power; column k is centred at k * hop_ms from the clip's start."""

    values: NDArray[np.float32]
    hop_ms: float

    def stretch(self, start_ms: float, end_ms: float) -> NDArray[np.float32]:
        """The columns with centres from start_ms to end_ms (exclusive), in ms from the clip's start."""
        first, last = (max(0, int(np.ceil(ms / self.hop_ms))) for ms in (start_ms, end_ms))
        return self.values[:, first:last]


def read_mel(members: Mapping[str, bytes]) -> LogMel:
    """Reads the spectrogram of a sample's members (`json`, `mel.npy`). ValueError if it is missing or damaged."""
    if EXTENSION not in members:
        raise ValueError(f"has no member {EXTENSION}; make the data set with media.members.mel: true")
    try:
        fields = MelFields.model_validate(read_sample(members["json"]).model_extra or {})
    except ValidationError as error:
        raise ValueError(f"its json does not describe {EXTENSION} ({error.error_count()} faults)") from None
    data = members[EXTENSION]
    if len(data) > MAX_BYTES:
        raise ValueError(f"{EXTENSION} of {len(data)} bytes")
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, EOFError) as error:
        raise ValueError(f"{EXTENSION} cannot be read ({error})") from None
    wanted = (fields.mel_bins, fields.mel_frames)
    if values.dtype != np.float16 or values.shape != wanted:
        raise ValueError(f"{EXTENSION} is {values.dtype} {values.shape}, wanted float16 {wanted}")
    return LogMel(values.astype(np.float32), fields.mel_hop_ms)
