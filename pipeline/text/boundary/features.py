"""The boundary model's input features: each word without case and marks, and the gap that follows it.

Pauses are start-to-start gaps, since automatic tracks have no word ends, normalised by the track's median gap.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.text.captions.pace import LETTER_STEPS, TYPICAL_MS

N_NUMBERS = 9
"""Columns of the numeric features: see `numbers`."""
N_BUCKETS = 2048
"""Hash buckets for words outside the vocabulary, by their last three letters."""
MAX_ROWS = 1 << 16
"""Larger than the number of rows of any embedding table of words."""
TURN = 1
"""The row that is inserted between two words where the track shows a change of speaker."""
UNKNOWN = "\x00"
"""Used for a token without a word in it and, in training, for hidden words."""
MAX_GAP_MS = 8000
TYPICAL_MEDIAN_MS = 220

_JUNK = re.compile(r"[^\w'&%$+.-]|_")
_EDGES = ".-'\""


def normalise(text: str) -> str:
    """Normalises a word for the model: lower case, no marks at its edges, every digit 0. "" for marks alone."""
    text = text.lower().replace("’", "'")
    if not text.isalpha():
        text = _JUNK.sub("", text).strip(_EDGES)
        text = re.sub(r"\d", "0", text)
    return text


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Maps words to rows of the embedding table: 0 padding, TURN, then the known words, then the hash buckets."""

    words: dict[str, int]

    @classmethod
    def of(cls, words: Sequence[str]) -> "Vocabulary":
        """Makes the vocabulary of these known words, in this order."""
        return cls({word: i + 2 for i, word in enumerate(words)})

    @property
    def size(self) -> int:
        """The number of rows of the embedding table."""
        return 2 + len(self.words) + N_BUCKETS

    def id(self, normalised: str) -> int:
        """The row of a normalised word."""
        known = self.words.get(normalised)
        if known is not None:
            return known
        return 2 + len(self.words) + zlib.crc32((normalised or UNKNOWN)[-3:].encode()) % N_BUCKETS


def pair_keys(rows: NDArray[np.integer]) -> NDArray[np.int64]:
    """[n] a key for each row of the embedding table and the row after it; 0 for the last."""
    keys = np.zeros(len(rows), np.int64)
    keys[:-1] = rows[:-1].astype(np.int64) * MAX_ROWS + rows[1:]
    return keys


def pair_rows(rows: NDArray[np.integer], known: NDArray[np.int64]) -> NDArray[np.int64]:
    """[n] the row in the table of pairs for each word and the next: 1 + its index in `known` (sorted keys); 0: none."""
    if not len(known):
        return np.zeros(len(rows), np.int64)
    keys = pair_keys(rows)
    at = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[at] == keys, at + 1, 0)


def numbers(
    normalised: Sequence[str], starts_ms: NDArray[np.int64], known: NDArray[np.bool_], turns: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Numeric features [n, N_NUMBERS] of the n words of a track.

    starts_ms [n]; known [n]: the gap after the word is between two stamped words; turns [n]: another speaker follows.
    Columns: log of the gap relative to the track's median; the same relative to the gap expected for the word's length;
    whether the gap is over 2 s; whether it is known; whether the speaker changes; letters / 10; how rare such a long
    gap is in this track; and two that are equal for all words, since they describe how this speaker pauses: the share
    of long gaps, and how much longer than the median the longest 3 % are.
    """
    n = len(normalised)
    letters = np.fromiter((len(word) for word in normalised), np.float32, n)
    gap = np.zeros(n, np.float32)
    gap[:-1] = np.clip(np.diff(starts_ms), 0, MAX_GAP_MS)
    known = known & (np.arange(n) < n - 1)
    out = np.zeros((n, N_NUMBERS), np.float32)
    out[:, 3] = known
    out[:, 4] = turns
    out[:, 5] = letters / 10
    if not known.any():
        return out
    median = max(float(np.median(gap[known])), 40.0)
    expected = np.interp(letters, LETTER_STEPS, TYPICAL_MS).astype(np.float32) * (median / TYPICAL_MEDIAN_MS)
    over = np.clip(np.log((gap + 40) / (expected + 40)), -2, 4)
    out[:, 0] = np.where(known, np.log((gap + 40) / (median + 40)), 0)
    out[:, 1] = np.where(known, over, 0)
    out[:, 2] = known & (gap > 2000)
    ordered = np.sort(over[known])
    rarer = 1 - np.searchsorted(ordered, over, side="left") / len(ordered)
    out[:, 6] = np.where(known, -np.log(rarer + 1 / len(ordered)) / 4, 0)
    out[:, 7] = 10 * np.mean(gap[known] > 3.5 * median)
    out[:, 8] = np.log((float(np.quantile(gap[known], 0.97)) + 40) / (median + 40))
    return out
