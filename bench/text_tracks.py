"""Tracks with known sentences, for `bench/text.py`: real captions, and a held text pool."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from bench.boundary_text import UNKNOWN_MS, Part, Turn, pool_turns
from pipeline.text.align import comparable
from pipeline.text.boundary.evidence import COMMA, END
from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions import Track, Word, read_track
from pipeline.text.captions.pace import LETTER_STEPS, TYPICAL_MS, spoken_ms
from pipeline.text.captions.words import in_time_order

MARKS = ".,;:!?…\"“”()[]—–-'‘’"
PACE = 1.3
"""Words without times get their typical lengths times this: three words a second."""

Marks = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A track like an old automatic one (lower case, no marks, ends of words unknown), and the truth.

    marks [n]: 0 nothing, COMMA any mark inside a sentence, END a sentence's end after the word.
    """

    name: str
    track: Track
    marks: Marks

    @property
    def ends(self) -> NDArray[np.bool_]:
        """[n] whether a sentence truly ends after each word."""
        return self.marks >= END

    def without_gaps(self) -> Track:
        """The track as if its words were not stamped: models that use pauses see none."""
        words = tuple(Word(w.text, w.start_ms, w.end_ms, False) for w in self.track.words)
        return Track(words, self.track.events, "json3", "auto", "en", False, False)


def unmarked(name: str, words: list[Word], marks: list[int]) -> Spoken:
    """The words without case, marks and word ends; a token of marks alone is merged into the word before."""
    kept: list[Word] = []
    true: list[int] = []
    for word, mark in zip(words, marks, strict=True):
        text = word.text.lower().strip(MARKS)
        if text:
            kept.append(Word(text, word.start_ms, word.start_ms + spoken_ms(text), word.timed))
            true.append(mark)
        elif true:
            true[-1] = max(true[-1], mark)
    true[-1] = END
    stamped = any(word.timed for word in kept)
    track = Track(tuple(in_time_order(kept)), (), "json3", "auto", "en", False, stamped)
    return Spoken(name, track, np.array(true, np.uint8))


def marks_of(tokens: list[str]) -> list[int]:
    """The mark after each written token."""
    ends = sentence_ends(tokens)
    return [
        END if end else COMMA if token.rstrip("\"'”’)")[-1:] in tuple(",;:.…?!–—-") or token == "--" else 0
        for token, end in zip(tokens, ends, strict=True)
    ]


def automatic(captions: Path) -> list[Spoken]:
    """Automatic tracks that came punctuated: their own marks are the truth."""
    found = []
    for path in sorted(captions.glob("en_auto_punct_*")):
        words = list(read_track(path.read_bytes()).words)
        found.append(unmarked(path.name, words, marks_of([word.text for word in words])))
    return found


def pair_folders(captions: Path) -> list[Path]:
    """Folders of lectures with a human transcript, recognised word times and published captions."""
    return [folder for folder in sorted((captions / "pairs").iterdir()) if folder.is_dir()]


def pair_words(folder: Path) -> list[Word]:
    """The recognised words of a pair with their true starts and ends."""
    timings = json.loads((folder / "word_timings.json").read_text(encoding="utf-8"))
    return [Word(t.strip(), round(a * 1000), round(b * 1000), True) for t, a, b in timings if t.strip()]


def gold(folder: Path) -> tuple[list[str], list[int]]:
    """The words of the human transcript (one sentence per line) and the mark after each."""
    words: list[str] = []
    marks: list[int] = []
    for line in (folder / "transcript.txt").read_text(encoding="utf-8").splitlines():
        tokens = [token for token in line.split() if any(char.isalnum() for char in token)]
        if tokens:
            words += tokens
            marks += [min(mark, COMMA) for mark in marks_of(tokens)[:-1]] + [END]
    return words, marks


def lecture(folder: Path) -> Spoken:
    """A pair's recognised words, with the human transcript's marks transferred by alignment."""
    spoken = pair_words(folder)
    words, marks = gold(folder)
    carried = [0] * len(spoken)
    for block in Levenshtein.opcodes([comparable(w) for w in words], [comparable(w.text) for w in spoken]):
        for k in range(block.src_start, block.src_end):
            last = block.dest_end - 1 if block.dest_end > block.dest_start else block.dest_start - 1
            at = min(block.dest_start + k - block.src_start, last)
            if marks[k] and at >= 0:
                carried[at] = max(carried[at], marks[k])
    return unmarked(folder.name, spoken, carried)


def pool_tracks(folder: Path, part: Part) -> list[Spoken]:
    """The episodes of a part of the text pool; those without times get even ones, marked as not stamped."""
    return [_from_turns(name, turns) for _, name, turns in pool_turns(folder, (part,))]


def _from_turns(name: str, turns: list[Turn]) -> Spoken:
    words: list[Word] = []
    marks: list[int] = []
    now = 0.0
    timed = any(start != UNKNOWN_MS for turn in turns for _, start, _ in turn)
    for turn in turns:
        for token, start, _ in turn:
            now = max(now, start) if start != UNKNOWN_MS else now
            words.append(Word(token, round(now), round(now), start != UNKNOWN_MS))
            now += float(np.interp(len(token), LETTER_STEPS, TYPICAL_MS)) * (1.0 if timed else PACE)
        here = marks_of([token for token, _, _ in turn])
        marks += [*here[:-1], END] if here else []
    return unmarked(name, words, marks)
