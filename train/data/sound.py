"""A view of pictures that brings the clip's sound along, for models that hear."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from manifests.sample import read_sample
from train.data.decode import SampleBroken
from train.data.mel import EXTENSION, read_mel
from train.data.registry import SampleView, Seen, Source

Spectrogram = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SoundView:
    """Adds `mel` [bins, columns], ln of power, and `has_sound` [], 1 or 0, to what a view of pictures gives."""

    pictures: SampleView
    n_bins: int
    n_columns: int

    @property
    def n_pictures(self) -> int:
        """Those of the view of pictures."""
        return self.pictures.n_pictures

    def members(self, source: Source) -> tuple[str, ...]:
        """Those of the view of pictures, and mel.npy; a file of a folder has none, and no sound here."""
        return (*self.pictures.members(source), *(() if source == "film" else (EXTENSION,)))

    def blank(self) -> dict[str, npt.NDArray[Any]]:
        """Black and silent."""
        return {**self.pictures.blank(), **self._silence()}

    def _silence(self) -> dict[str, npt.NDArray[Any]]:
        return {"mel": np.zeros((self.n_bins, self.n_columns), np.float32), "has_sound": np.zeros((), np.float32)}

    def decode(self, members: Mapping[str, bytes], source: Source, draw: np.random.Generator | None) -> Seen:
        """Raises SampleBroken also for a spectrogram that is missing, damaged, or of another number of bins."""
        seen = self.pictures.decode(members, source, draw)
        if source == "film" or not read_sample(members["json"]).has_audio:
            return Seen({**seen.arrays, **self._silence()}, seen.text)
        try:
            mel = read_mel(members)
        except ValueError as error:
            raise SampleBroken(str(error)) from None
        if mel.values.shape[0] != self.n_bins or not mel.values.shape[1]:
            shape = "x".join(map(str, mel.values.shape))
            raise SampleBroken(f"its spectrogram is {shape}, model.sound_bins is {self.n_bins}")
        sound = {"mel": averaged(mel.values, self.n_columns), "has_sound": np.ones((), np.float32)}
        return Seen({**seen.arrays, **sound}, seen.text)


def averaged(values: Spectrogram, n_columns: int) -> Spectrogram:
    """[bins, n_columns]: means over equal parts of the columns; of fewer columns, each several times."""
    n = values.shape[1]
    starts = np.arange(n_columns) * n // n_columns
    stops = np.maximum(starts + 1, (np.arange(n_columns) + 1) * n // n_columns)
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, 1, dtype=np.float64)], 1)
    return np.asarray((sums[:, stops] - sums[:, starts]) / (stops - starts), np.float32)


def with_sound(view: SampleView, model: Any) -> SoundView:
    """The view with the sound that a model hears."""
    return SoundView(view, model.sound_bins, model.sound_columns)
