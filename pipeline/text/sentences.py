"""Splits words into sentences: by the track's own marks if it has them, else by a boundary model.

A change of speaker always ends a sentence. In a track with marks, a run of more than MAX_WORDS without any end is
split by the model, inside that run alone. In a track without marks, sentences that are too long are split at the
likeliest points of the model.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from manifests.reasons import Reason
from pipeline.config.text import SentenceConfig
from pipeline.engine.work.unit import Rejected
from pipeline.text.boundary import MODEL_LANGUAGES, BoundaryModel, best_threshold, load_model
from pipeline.text.boundary.evidence import Marks
from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions.track import Track, Word, primary

MAX_WORDS = 120
"""Longer runs without a sentence end are split where the model finds an end likeliest, in any track."""
BY_MARKS = "punctuation"
"""The `boundary_model` of clips from tracks whose own marks were used."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words `first` to `last` (exclusive) of a track, with their span and text."""

    first: int
    last: int
    start_ms: int
    end_ms: int
    text: str


def split_sentences(
    track: Track,
    config: SentenceConfig,
    model: BoundaryModel | None = None,
    probability: NDArray[np.float32] | None = None,
    max_words: int = MAX_WORDS,
) -> list[Sentence]:
    """The sentences of a track, in order; together they contain every word once. `probability`: see sentence_breaks."""
    ends = sentence_breaks(track, config, model, probability, max_words)
    bounds = [0, *(np.flatnonzero(ends) + 1).tolist()]
    return [sentence_of(track.words, a, b) for a, b in pairwise(bounds)]


def model_used(track: Track, config: SentenceConfig, model: BoundaryModel | None = None) -> str:
    """The name of what decides where this track's sentences end: `punctuation`, or the name of a model."""
    return BY_MARKS if track.punctuated else (model or model_for(track, config)).name


def model_for(track: Track, config: SentenceConfig) -> BoundaryModel:
    """The model for the track's language: pauses where no shipped net knows it (unknown: English).

    Raises Rejected if the configuration has tracks without marks in such a language rejected.
    """
    language = primary(track.language) or "en"
    if config.model != "net" or config.weights:
        return load_model(config.model, config.weights)
    if language in MODEL_LANGUAGES:
        return load_model("net", "", language)
    if config.other_languages == "reject" and not track.punctuated:
        raise Rejected(Reason.NO_SENTENCE_MODEL, f"no marks, and the sentence model does not know {language}")
    return load_model("pause")


def sentence_of(words: Sequence[Word], first: int, last: int) -> Sentence:
    """Words first to last (exclusive) as a sentence."""
    text = " ".join(word.text for word in words[first:last])
    return Sentence(first, last, words[first].start_ms, words[last - 1].end_ms, text)


def mark_probabilities(
    track: Track, config: SentenceConfig, model: BoundaryModel | None = None, max_words: int = MAX_WORDS
) -> Marks:
    """The probabilities of marks after each of n words.

    Ends are certain (1) after the last word, before a change of speaker and, in a track with marks, at its marks.
    Elsewhere they are the model's if the track has no marks, or within a run of more than `max_words` without any;
    otherwise 0.
    """
    words = track.words
    certain = speaker_turns(track)
    if not words:
        return Marks.of_ends(certain.astype(np.float32))
    if track.punctuated:
        certain |= np.array(sentence_ends([word.text for word in words]), np.bool_)
    certain[-1] = True
    unmarked = _unmarked(certain, max_words) if track.punctuated else ~certain
    combined = Marks.of_ends(certain.astype(np.float32))
    if unmarked.any():
        by_model = (model or model_for(track, config)).probabilities(words, speaker_turns(track))
        combined.ends[unmarked] = by_model.ends[unmarked]
        combined.inner[unmarked] = by_model.inner[unmarked]
    return combined


def _unmarked(certain: NDArray[np.bool_], max_words: int) -> NDArray[np.bool_]:
    """[n] whether a word is in a run of more than max_words without a certain end (the run's last word excluded)."""
    inside = np.zeros(len(certain), np.bool_)
    for first, last in _runs(certain):
        inside[first : last - 1] = last - first > max_words
    return inside


def sentence_breaks(
    track: Track,
    config: SentenceConfig,
    model: BoundaryModel | None = None,
    probability: NDArray[np.float32] | None = None,
    max_words: int = MAX_WORDS,
) -> NDArray[np.bool_]:
    """[n] whether a sentence ends after each word; the last word always does.

    `probability`: the ends from `mark_probabilities`, if already made.
    """
    if probability is None:
        probability = mark_probabilities(track, config, model, max_words).ends
    certain: NDArray[np.bool_] = probability == 1
    if np.all(certain | (probability == 0)):
        return certain
    threshold = (model or model_for(track, config)).threshold or best_threshold(probability)
    ends: NDArray[np.bool_] = probability >= threshold
    for first, last in _runs(ends):
        _split_long(probability, ends, first, last, max_words)
    return ends


def _runs(ends: NDArray[np.bool_]) -> list[tuple[int, int]]:
    bounds = [0, *(np.flatnonzero(ends) + 1).tolist()]
    return list(pairwise(bounds))


def _split_long(
    probability: NDArray[np.float32], ends: NDArray[np.bool_], first: int, last: int, max_words: int
) -> None:
    """Splits a run at its likeliest inner point until no part is longer than max_words."""
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
