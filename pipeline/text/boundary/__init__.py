"""Models that find sentence ends in tracks without marks, behind one small protocol.

net      the default: shipped weights, words and pauses, numpy alone
sat      SaT through `wtpsplit-lite`, where it is installed and its weights are reachable
pause    the baseline: a gap longer than the track's own limit
"""

import zipfile
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from pipeline.text.boundary.evidence import Marks
from pipeline.text.boundary.features import normalise
from pipeline.text.boundary.net import BoundaryNet
from pipeline.text.captions.track import Word

ModelName = Literal["net", "sat", "pause"]
MODEL_FILE = Path(__file__).with_name("model.npz")
MODEL_LANGUAGES = frozenset({"en", "de", "es", "fr", "pt"})
"""The languages of the shipped nets: those in which they were measured to find more sentences than pauses do."""


def shipped_net(language: str) -> Path:
    """The shipped net's file for one of MODEL_LANGUAGES."""
    return MODEL_FILE if language == "en" else MODEL_FILE.with_name(f"model_{language}.npz")


SHIPPED_NAMES = {shipped_net(language): f"net-{language}-1" for language in MODEL_LANGUAGES} | {MODEL_FILE: "net-3"}
"""The names of the shipped nets' files; other files are named after a hash."""


class BoundaryModel(Protocol):
    """Finds sentence ends in words without marks. `name` goes into every clip's json."""

    name: str
    threshold: float
    """A sentence ends where the probability reaches this; 0: use the track's threshold of best expected F1."""

    def probabilities(self, words: Sequence[Word], turns: NDArray[np.bool_]) -> Marks:
        """Returns the marks after each of n words; turns [n]: another speaker follows the word.

        A model that only finds sentence ends gives 0 for other marks.
        """
        ...


@cache
def load_model(name: ModelName = "net", weights: str = "", language: str = "en") -> BoundaryModel:
    """Loads a model by name, once per process; language: which of the shipped nets. Raises UserError if that fails.

    `weights`: your own model file (net) or folder (sat); "": the shipped weights, or the hub's.
    """
    if name == "pause":
        return PauseModel()
    if name == "sat":
        from pipeline.text.boundary.sat import SatModel

        return SatModel(Path(weights) if weights else None)
    return NetModel(Path(weights) if weights else shipped_net(language))


class NetModel:
    """A network over words and pauses: the shipped network, or your own, which is named after a hash of its file."""

    threshold = 0.0

    def __init__(self, path: Path = MODEL_FILE) -> None:
        try:
            self.name = SHIPPED_NAMES.get(path) or f"net-{zlib.crc32(path.read_bytes()):08x}"
            self._net = BoundaryNet(path)
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            cure = "reinstall the package" if path in SHIPPED_NAMES else "name a file that bench/train_boundary.py made"
            raise UserError(f"{path}: the sentence model cannot be read ({error}); {cure}") from None

    def probabilities(self, words: Sequence[Word], turns: NDArray[np.bool_]) -> Marks:
        """See BoundaryModel."""
        normalised = [normalise(word.text) for word in words]
        return self._net.probabilities(normalised, starts_of(words), known_gaps(words), turns)


class PauseModel:
    """A baseline: the probability grows with the gap after the word, and is 0.5 at 3.5 times the median gap."""

    name = "pause"
    threshold = 0.5
    MEDIANS = 3.5

    def probabilities(self, words: Sequence[Word], turns: NDArray[np.bool_]) -> Marks:
        """See BoundaryModel."""
        gaps = np.diff(starts_of(words), append=starts_of(words)[-1:]).astype(np.float32)
        median = max(float(np.median(gaps)), 1.0) if len(gaps) else 1.0
        ratio = gaps / (median * self.MEDIANS)
        return Marks.of_ends(np.where(turns, 1.0, ratio / (1 + ratio)).astype(np.float32))


def best_threshold(probability: NDArray[np.float32]) -> float:
    """The threshold with the largest expected F1, assuming the probabilities are right: no labels are needed.

    If sentences end at the k likeliest words, the expected F1 is 2 * (sum of their probabilities) / (k + sum of all).
    """
    if not len(probability):
        return 0.5
    ordered = np.sort(probability)[::-1]
    expected = np.cumsum(ordered) / (np.arange(1, len(ordered) + 1) + ordered.sum())
    return float(ordered[int(np.argmax(expected))])


def starts_of(words: Sequence[Word]) -> NDArray[np.int64]:
    """[n] start times in ms."""
    return np.fromiter((word.start_ms for word in words), np.int64, len(words))


def known_gaps(words: Sequence[Word]) -> NDArray[np.bool_]:
    """[n] whether the gap after a word is between two stamped words: an interpolated gap says nothing."""
    timed = np.fromiter((word.timed for word in words), np.bool_, len(words))
    known = timed.copy()
    known[:-1] &= timed[1:]
    return known
