"""Reads the text that the sentence boundary model is trained on, and divides it into parts.

A folder with `index.tsv` (columns `file`, `number`, `source_repo`, `path`, ...) and, for each file named there, either
`*.txt.xz` (one episode a line, turns separated by TAB) or `*_timed.tsv.xz` (a word a line: text, start and end in ms,
speaker; a blank line between episodes). Where each episode belongs is decided here, once:

held     never trained or tuned on: 60 captioned talks and 25 earnings calls drawn with seed 0, four shows of a podcast
dev      what rules and weights may be chosen on: the other captioned talks, two shows, ten earnings calls
pauses   read by the text model for the first time when the part that reads pauses is trained: the other earnings
         calls, with their real word times, and one show, with simulated ones
text     everything else: words alone

Captions of videos are in `held` and `dev` alone: no caption is in the weights. An index with a column
`part` says itself where its episodes belong.
"""

import csv
import lzma
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.text.boundary.evidence import COMMA, END
from pipeline.text.boundary.features import normalise
from pipeline.text.boundary.marks import sentence_ends

Part = Literal["held", "dev", "pauses", "text"]
CAPTIONS, CALLS = "google_video_captions.txt.xz", "earnings22_timed.tsv.xz"
N_HELD_CAPTIONS, N_HELD_CALLS, N_DEV_CALLS = 60, 25, 10
HELD_SHOWS = ("spotlight", "brainscience", "afk", "bigtent")
DEV_SHOWS = ("backstage", "rfc")
PAUSE_SHOWS = ("shipit",)

QUESTION = 3
"""The mark of a question, among the marks of `pipeline.text.boundary.evidence`."""
UNKNOWN_MS = -1

_COMMA = re.compile(r"[,;:–—-][\"”’')]*$")
_SPLIT = re.compile(r"[–—/…]|--")


Turn = list[tuple[str, int, int]]
"""A turn: its tokens with their starts and ends in ms (UNKNOWN_MS if unknown)."""


@dataclass(slots=True)
class Lexicon:
    """Every normalised word seen, numbered in order of its first use."""

    numbers: dict[str, int] = field(default_factory=dict)
    cache: dict[str, tuple[tuple[int, ...], int]] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The words by number."""
        return list(self.numbers)

    def read(self, token: str) -> tuple[tuple[int, ...], int]:
        """Returns the word numbers in a written token (`and/or` has two), and COMMA if one follows it, else 0."""
        found = self.cache.get(token)
        if found is None:
            words = [word for part in _SPLIT.split(token) if (word := normalise(part))]
            numbers = tuple(self.numbers.setdefault(word, len(self.numbers)) for word in words)
            found = self.cache[token] = numbers, COMMA if _COMMA.search(token) else 0
        return found


@dataclass(frozen=True, slots=True)
class Episode:
    """One transcript, all [n]: word numbers of a lexicon, the mark after each word, whether the speaker changes after
    it, and its start in ms (UNKNOWN_MS if the source has none).
    """

    part: Part
    name: str
    ids: NDArray[np.int32]
    marks: NDArray[np.uint8]
    turns: NDArray[np.bool_]
    starts_ms: NDArray[np.int32]


def read_pool(folder: Path, lexicon: Lexicon, parts: tuple[Part, ...] = ("text",)) -> list[Episode]:
    """Reads the episodes of these parts, in the order of the index."""
    return [_episode(part, name, turns, lexicon) for part, name, turns in pool_turns(folder, parts)]


def pool_turns(folder: Path, parts: tuple[Part, ...]) -> Iterator[tuple[Part, str, list[Turn]]]:
    """Yields (part, name, turns as written) of these parts' episodes, in the order of the index."""
    with (folder / "index.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    places = _parts(rows)
    names = {(row["file"], int(row["number"])): row["path"] for row in rows}
    for file in dict.fromkeys(row["file"] for row in rows):
        wanted = {number for (name, number), part in places.items() if name == file and part in parts}
        if not wanted:
            continue
        blocks = _timed_blocks(folder / file) if file.endswith(".tsv.xz") else _lines(folder / file)
        for number, turns in enumerate(blocks, start=1):
            if number in wanted:
                yield places[file, number], f"{file.split('.')[0]}/{names[file, number]}", turns


def _parts(rows: list[dict[str, str]]) -> dict[tuple[str, int], Part]:
    drawn = {file: sorted(int(row["number"]) for row in rows if row["file"] == file) for file in (CAPTIONS, CALLS)}
    for file, numbers in drawn.items():
        random.Random(0).shuffle(numbers)
        drawn[file] = numbers
    places: dict[tuple[str, int], Part] = {}
    for row in rows:
        file, number, show = row["file"], int(row["number"]), row["path"].split("/")[0]
        part: Part = "text"
        if file == CAPTIONS:
            part = "held" if drawn[file].index(number) < N_HELD_CAPTIONS else "dev"
        elif file == CALLS:
            rank = drawn[file].index(number)
            part = "held" if rank < N_HELD_CALLS else "dev" if rank < N_HELD_CALLS + N_DEV_CALLS else "pauses"
        elif row["source_repo"] == "thechangelog/transcripts":
            part = "held" if show in HELD_SHOWS else "dev" if show in DEV_SHOWS else part
            part = "pauses" if show in PAUSE_SHOWS else part
        places[file, number] = cast(Part, row["part"]) if row.get("part") else part
    return places


def _lines(path: Path) -> Iterator[list[Turn]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            turns = line.rstrip("\n").split("\t")
            yield [[(token, UNKNOWN_MS, UNKNOWN_MS) for token in turn.split()] for turn in turns]


def _timed_blocks(path: Path) -> Iterator[list[Turn]]:
    turns: list[Turn] = []
    speaker = ""
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            cells = line.rstrip("\n").split("\t")
            if len(cells) < 4:
                yield turns
                turns, speaker = [], ""
                continue
            if cells[3] != speaker or not turns:
                turns.append([])
                speaker = cells[3]
            start, end = (int(cell) if cell else UNKNOWN_MS for cell in cells[1:3])
            turns[-1].append((cells[0], start, end))
    if turns:
        yield turns


def _episode(part: Part, name: str, turns: list[Turn], lexicon: Lexicon) -> Episode:
    ids: list[int] = []
    marks: list[int] = []
    starts: list[int] = []
    turn_ends: list[int] = []
    for turn in turns:
        texts = [token for token, _, _ in turn]
        before = len(ids)
        for (token, start, _), end in zip(turn, sentence_ends(texts), strict=True):
            numbers, mark = lexicon.read(token)
            ids.extend(numbers)
            marks.extend([0] * (len(numbers) - 1) + [mark] * bool(numbers))
            starts.extend([start, *[UNKNOWN_MS] * (len(numbers) - 1)] if numbers else [])
            if end and len(ids) > before:
                marks[-1] = QUESTION if "?" in token else END
        if len(ids) > before:
            marks[-1] = max(marks[-1], END)
            turn_ends.append(len(ids) - 1)
    spoken = np.zeros(len(ids), np.bool_)
    spoken[turn_ends] = True
    return Episode(part, name, np.array(ids, np.int32), np.array(marks, np.uint8), spoken, np.array(starts, np.int32))
