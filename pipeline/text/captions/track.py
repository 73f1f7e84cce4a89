"""The result of reading a caption file: words with times, events, and the kind of track.

Also the intermediate form that every format's reader produces (rows of timed pieces of text), so that words are made
from text in a single place (`words.py`). All times are integer milliseconds in the source video.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from manifests.reasons import Reason
from pipeline.engine.work.unit import Rejected

MAX_MS = 10**12
"""No time of a track is this large (31 years): a larger number is not a time."""


class BrokenTrack(Rejected):
    """A caption payload without usable words. `reason` is its reject code, `detail` a clear line."""

    def __init__(self, detail: str, reason: Reason = Reason.BROKEN_CAPTIONS) -> None:
        super().__init__(reason, detail)

    def __reduce__(self) -> tuple[Any, ...]:
        return BrokenTrack, (self.detail, self.reason)


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word as written, marks included. `timed`: the track stamps its start; otherwise it is interpolated."""

    text: str
    start_ms: int
    end_ms: int
    timed: bool


@dataclass(frozen=True, slots=True)
class Event:
    """Something in the track that is not a spoken word.

    kind: `sound` ([Music], (Laughter), ♪), `speaker_change` (>> or a dash), `speaker` (a label, text is the name),
    `credit` (who wrote the captions), `masked` (profanity that the platform hid; the word `[__]` stands for it).
    """

    kind: str
    text: str
    start_ms: int
    end_ms: int


EQUAL_CODES = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "fil": "tl", "nb": "no", "nn": "no"}
"""Codes of languages that sites and detectors of languages write in two ways, each with the one that is used here."""


def current_tag(tag: str) -> str:
    """A language tag in small letters, with the code that is used here of its language: he-il of iw-IL."""
    code, dash, rest = tag.casefold().partition("-")
    return EQUAL_CODES.get(code, code) + dash + rest


def primary(tag: str) -> str:
    """The language of a tag without its region or script, in small letters: en of en-US."""
    return current_tag(tag).partition("-")[0]


@dataclass(frozen=True, slots=True)
class Track:
    """A caption track as words and events, each in time order."""

    words: tuple[Word, ...]
    events: tuple[Event, ...]
    format: str
    """json3, vtt or srt."""
    kind: str
    """manual, auto, or manual_aligned once a manual track has been given the times of an automatic track."""
    language: str
    punctuated: bool
    """The track has sentence marks of its own."""
    word_timed: bool
    """Words were stamped individually; False: times are known per cue and interpolated inside it."""
    false_times: bool = False
    """The track did have word times, but false ones (translated, re-timed, live), which were dropped."""


class Piece(NamedTuple):
    """Some text of a row, and the time stamped on it (None: no stamp)."""

    text: str
    start_ms: int | None


@dataclass(slots=True)
class Row:
    """Text that appeared at the same moment: a caption line, or a cue of several lines separated by newlines."""

    start_ms: int
    end_ms: int | None
    """When it leaves the screen; None if the format does not say."""
    pieces: list[Piece]
    speaker: str = ""
    """A label in the markup (`<v Host>`)."""
    inner_times: int = 0
    """Number of stamps inside the row, that is, after its first word."""

    @property
    def text(self) -> str:
        """The row's text, with newlines between its lines."""
        if len(self.pieces) == 1:
            return self.pieces[0].text
        return "".join([piece.text for piece in self.pieces])


@dataclass(slots=True)
class Rows:
    """The result of a format's reader: the rows in file order, and facts that only the format knows."""

    rows: list[Row]
    format: str
    kind: str = ""
    """`auto` if the file itself shows it; "" if it does not say."""
    language: str = ""
    drop_times: bool = False
    """Inner times are known to be false (live tracks)."""
