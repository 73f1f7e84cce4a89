"""Words to sentences: by the track's own marks where it has them, else by a boundary model.

A change of speaker always ends a sentence. In a track with marks, a run longer than `max_words` without any end (an
unmarked stretch) is split by the model inside that run alone; without marks, too long a sentence is split at the
model's likeliest places.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.config.text import SentenceConfig
from pipeline.text.boundary import BoundaryModel, best_threshold, load_model
from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions.track import Track, Word

BY_MARKS = "punctuation"
"""What clips say of a track whose own marks were used."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words `first` to `last` (exclusive) of a track, with their span and text."""

    first: int
    last: int
    start_ms: int
    end_ms: int
    text: str


def split_sentences(track: Track, config: SentenceConfig, model: BoundaryModel | None = None) -> list[Sentence]:
    """The sentences of a track in order; together they hold every word once."""
    ends = sentence_breaks(track, config, model)
    bounds = [0, *(np.flatnonzero(ends) + 1).tolist()]
    return [sentence_of(track.words, a, b) for a, b in pairwise(bounds)]


def model_used(track: Track, config: SentenceConfig, model: BoundaryModel | None = None) -> str:
    """What decides where this track's sentences end: `punctuation`, or the name of a model."""
    return BY_MARKS if track.punctuated else (model or load_model(config.model)).name


def sentence_of(words: Sequence[Word], first: int, last: int) -> Sentence:
    """Words first to last (exclusive) as a sentence."""
    text = " ".join(word.text for word in words[first:last])
    return Sentence(first, last, words[first].start_ms, words[last - 1].end_ms, text)


def sentence_breaks(track: Track, config: SentenceConfig, model: BoundaryModel | None = None) -> NDArray[np.bool_]:
    """[n] whether a sentence ends after each word; the last word always does."""
    words = track.words
    turns = speaker_turns(track)
    if not words:
        return turns
    if track.punctuated:
        ends = turns | np.array(sentence_ends([word.text for word in words]), np.bool_)
        ends[-1] = True
        if longest_run(ends) <= config.max_words:
            return ends
    else:
        ends = turns.copy()
        ends[-1] = True
    return _by_model(track, config, model or load_model(config.model), ends, turns)


def _by_model(
    track: Track, config: SentenceConfig, model: BoundaryModel, ends: NDArray[np.bool_], turns: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The given ends, and the model's inside every unmarked run."""
    probability = model.probabilities(track.words, turns)
    threshold = config.threshold or model.threshold or best_threshold(probability)
    for first, last in _runs(ends):
        if track.punctuated and last - first <= config.max_words:
            continue
        ends[first:last] |= probability[first:last] >= threshold
    for first, last in _runs(ends):
        _split_long(probability, ends, first, last, config.max_words)
    return ends


def _runs(ends: NDArray[np.bool_]) -> list[tuple[int, int]]:
    bounds = [0, *(np.flatnonzero(ends) + 1).tolist()]
    return list(pairwise(bounds))


def longest_run(ends: NDArray[np.bool_]) -> int:
    """The number of words in the longest sentence."""
    return max((last - first for first, last in _runs(ends)), default=0)


def _split_long(
    probability: NDArray[np.float32], ends: NDArray[np.bool_], first: int, last: int, max_words: int
) -> None:
    """Splits a run at its likeliest inner place until no part is longer than max_words."""
    waiting = [(first, last)]
    while waiting:
        a, b = waiting.pop()
        if b - a <= max_words:
            continue
        margin = max(1, min(5, (b - a) // 4))
        cut = a + margin + int(np.argmax(probability[a + margin - 1 : b - margin]))
        ends[cut - 1] = True
        waiting += [(a, cut), (cut, b)]


def speaker_turns(track: Track) -> NDArray[np.bool_]:
    """[n] whether the speaker changes after each word."""
    turns = np.zeros(len(track.words), np.bool_)
    starts = [word.start_ms for word in track.words]
    for event in track.events:
        if event.kind not in ("speaker_change", "speaker"):
            continue
        at = bisect_left(starts, event.start_ms)
        if 0 < at <= len(turns):
            turns[at - 1] = True
    return turns
