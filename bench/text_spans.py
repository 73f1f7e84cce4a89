"""Spans of sentences whose text was aligned to an automatic-like track: the part of `bench/text.py` about `align.py`.

The truth is the speech's own word times. The stamped track is made from them: case, marks and word ends are removed,
words dropped or changed into others of the same speech.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.boundary_text import UNKNOWN_MS, pool_turns
from bench.text_tracks import gold, pair_words, unmarked
from pipeline.text.align import align_words
from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions import Word
from pipeline.text.captions.words import in_time_order

TRUSTED = 0.6
"""A sentence is trusted from this share of stamped words on (the default of `text.clips.min_confidence`)."""
N_SEEDS = 5
MIN_KNOWN = 0.9
"""Calls in which fewer words have true times are left out: the others would count as dropped."""


class Speech(NamedTuple):
    """A human transcript and the words that were spoken, with true times."""

    texts: list[str]
    last_words: list[int]
    """Indices of the words that end its sentences."""
    truth: list[Word | None]
    """[n] the true times of each word of the text; None if unknown."""
    spoken: list[Word]


class Errors(NamedTuple):
    """The measurements on one speech: errors in ms, and the share of sentences that are trusted."""

    starts: list[int]
    starts_of_survivors: list[int]
    """Start errors of sentences whose first word is in the stamped track."""
    ends: list[int]
    trusted: float


def of_pair(folder: Path) -> Speech:
    """A lecture with a human transcript: times come from matching the transcript to all the words."""
    texts, marks = gold(folder)
    spoken = pair_words(folder)
    found = align_words(texts, spoken)
    truth = [word if anchored else None for word, anchored in zip(found.words, found.anchored, strict=True)]
    return Speech(texts, np.flatnonzero(np.array(marks) >= 2).tolist(), truth, spoken)


def of_calls(pool: Path) -> Iterator[Speech]:
    """The held earnings calls, whose transcripts have aligned word times."""
    for _, name, turns in pool_turns(pool, ("held",)):
        if not name.startswith("earnings22"):
            continue
        tokens = [token for turn in turns for token in turn]
        ends = [end for turn in turns for end in sentence_ends([text for text, _, _ in turn])]
        truth = [
            Word(text, start, end, True) if UNKNOWN_MS not in (start, end) else None for text, start, end in tokens
        ]
        spoken = in_time_order([word for word in truth if word is not None])
        if len(spoken) < MIN_KNOWN * len(tokens):
            continue
        yield Speech([text for text, _, _ in tokens], np.flatnonzero(ends).tolist(), truth, spoken)


def damaged(words: Sequence[Word], rng: random.Random, share: float) -> tuple[list[Word], set[int]]:
    """The words with a share of them dropped and as many changed, and the starts of those left unchanged."""
    pool = [word.text for word in words]
    out, left = [], set()
    for word in words:
        draw = rng.random()
        if draw < share:
            continue
        if draw >= 2 * share:
            left.add(word.start_ms)
        out.append(Word(rng.choice(pool) if draw < 2 * share else word.text, word.start_ms, word.end_ms, True))
    return out, left


def errors(speech: Speech, share: float, seed: int) -> Errors:
    """Compares one speech with its damaged track."""
    stamped = unmarked("", speech.spoken, [0] * len(speech.spoken)).track.words
    heard, left = damaged(stamped, random.Random(seed), share)
    words = align_words(speech.texts, in_time_order(heard)).words
    starts, survivors, ends, trusted, first = [], [], [], 0, 0
    for last in speech.last_words:
        inside = words[first : last + 1]
        true_first, true_last = speech.truth[first], speech.truth[last]
        first = last + 1
        if sum(word.timed for word in inside) < TRUSTED * len(inside):
            continue
        trusted += 1
        if true_first is not None:
            starts.append(abs(inside[0].start_ms - true_first.start_ms))
            survivors += starts[-1:] if true_first.start_ms in left else []
        if true_last is not None:
            ends.append(abs(inside[-1].end_ms - true_last.end_ms))
    return Errors(starts, survivors, ends, trusted / len(speech.last_words))


def report_spans(pairs: Sequence[Path], pool: Path | None) -> None:
    """Prints errors of aligned sentences on lectures and held calls, and the result for another speech's track."""
    print("\naligned spans of trusted sentences, ms, means over speeches and five seeds")
    print(
        "  targets at 20 + 20 %: trusted 0.80; starts median 30, of surviving first words p95 200, of all p95 500; ends"
    )
    print("  median 150 (calls)")
    print(f"  {'':12}{'dropped + changed':>18}{'trusted':>9}{'start med':>11}{'p95':>7}{'survivors p95':>15}", end="")
    print(f"{'end med':>9}{'p95':>7}")
    lectures = [of_pair(folder) for folder in pairs]
    groups: dict[str, list[Speech]] = {"lectures": lectures, "calls": list(of_calls(pool)) if pool else []}
    for name, speeches in groups.items():
        for share in (0.0, 0.1, 0.2) if speeches else ():
            rows = [errors(speech, share, seed) for speech in speeches for seed in range(N_SEEDS if share else 1)]
            cells = [
                float(np.mean([np.percentile(values, q) for row in rows if (values := row[column])]))
                for column, q in ((0, 50), (0, 95), (1, 95), (2, 50), (2, 95))
            ]
            line = "".join(f"{cell:>{w}.0f}" for cell, w in zip(cells, (11, 7, 15, 9, 7), strict=True))
            label = f"  {f'{len(speeches)} {name}':12}{f'{share:.0%} + {share:.0%}':>18}"
            print(f"{label}{np.mean([row.trusted for row in rows]):>9.3f}{line}")
    others = [align_words(a.texts, b.spoken).confidence for a in lectures for b in lectures if a is not b]
    print(f"  another lecture's words instead: confidence {np.mean(others):.3f}, at most {max(others):.3f}")
