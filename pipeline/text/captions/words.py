"""Turns rows of timed pieces into words and events: the only place where caption text becomes words, for all formats.

Word starts come from the stamps where they are true, and are spread by letters inside the cue where there are none. No
format has the end of a stamped word: it is the next word's start, or earlier if a word that long ends earlier before a
pause.
"""

import re
from bisect import bisect_right
from itertools import pairwise

from manifests.reasons import Reason
from pipeline.text.captions.pace import longest_ms, spoken_ms
from pipeline.text.captions.tokens import Labels, Token, count_labels, is_note, is_punctuation, opens, tokenize
from pipeline.text.captions.track import BrokenTrack, Event, Row, Rows, Track, Word

MIN_FINAL_SHARE = 0.01
"""Share of words with a sentence mark from which a track counts as punctuated (real tracks: <0.0015 or >0.015)."""
FINAL_MARKS = frozenset(
    ".?!…"
    "。．！？｡"  # Chinese, Japanese
    "؟۔"  # Arabic, Persian, Urdu
    "।॥"  # Hindi, Bengali, Marathi and other scripts of India
    "።፧"  # Amharic
    "։՞"  # Armenian
    "။"  # Burmese
    "។៕"  # Khmer
    "།༎"  # Tibetan
)
"""What ends a sentence, in any script."""
CLOSING = "\"”’'»)]」』）】》›"
"""What may stand behind it."""
MAX_TOKENS = 50_000
"""Most words, sounds and speaker marks of a track: over five hours of talk. This bounds the cost of a track."""
_TOKEN_MARK = re.compile(r"[\[({*【［（>♪♫♬♩🎵🎶]")
SONG_GAP_MS = 20_000
"""Longest time between the note that opens a song and the note that closes it."""
NOTE = "♪"
CREDIT_ROWS = 3
"""Credits are looked for in this many rows at either end of a track."""


def ends_with_mark(text: str) -> bool:
    """Whether a word ends with a sentence mark, ignoring closing quotes and brackets."""
    return text.rstrip(CLOSING)[-1:] in FINAL_MARKS


def build_track(read: Rows, *, kind: str, language: str) -> Track:
    """Builds the track from a reader's rows, in time order."""
    refuse_endless(read.rows)
    rows = sorted(read.rows, key=lambda row: row.start_ms)
    false_times = read.drop_times or _evenly_spaced(rows)
    word_timed = not false_times and _has_word_times(rows, read.kind)
    automatic = word_timed or false_times or read.kind == "auto" or kind == "auto" or _overlaps(rows)
    words, events = _Builder(rows, word_timed, automatic).build()
    return Track(
        words=tuple(words),
        events=tuple(events),
        format=read.format,
        kind=kind or ("auto" if automatic else "manual"),
        language=language or read.language,
        punctuated=share_final(words) >= MIN_FINAL_SHARE,
        word_timed=word_timed,
        false_times=false_times,
    )


def refuse_endless(rows: list[Row]) -> None:
    """Raises BrokenTrack if rows have more words, sounds and marks than MAX_TOKENS; counts before any are made."""
    n_tokens = n_pieces = 0
    for row in rows:
        text = row.text
        n_tokens += len(text.split())
        if _TOKEN_MARK.search(text):
            n_tokens += 2 * len(_TOKEN_MARK.findall(text))
        n_pieces += len(row.pieces)
        if n_tokens > MAX_TOKENS or n_pieces > MAX_TOKENS:
            raise BrokenTrack(f"more than {MAX_TOKENS} words and marks", Reason.TOO_LONG)


def share_final(words: list[Word]) -> float:
    """Share of the words that end with a sentence mark."""
    return sum(1 for word in words if ends_with_mark(word.text)) / max(len(words), 1)


def _evenly_spaced(rows: list[Row]) -> bool:
    """Whether word times were made by dividing each row evenly, as in translated and re-timed tracks."""
    n_rows = n_even = 0
    for row in rows:
        if row.inner_times < 4:
            continue
        stamps = [piece.start_ms for piece in row.pieces[1:] if piece.start_ms is not None and piece.text.strip()]
        gaps = [b - a for a, b in pairwise(stamps)]
        if len(gaps) < 3:
            continue
        n_rows += 1
        n_even += max(gaps) - min(gaps) <= 2
    return n_even > 0.5 * n_rows


def _has_word_times(rows: list[Row], kind: str) -> bool:
    """Whether rows of several words have inner stamps. If every row is one word, the format's own kind decides."""
    several = [row for row in rows if len(row.text.split()) > 1]
    if not several:
        return kind == "auto"
    return sum(1 for row in several if row.inner_times) >= 0.5 * len(several)


def _overlaps(rows: list[Row]) -> bool:
    """Whether this is an automatic track exported row by row: each row stays while the next is shown."""
    pairs = list(pairwise(rows))
    over = sum(1 for a, b in pairs if a.end_ms is not None and a.end_ms > b.start_ms > a.start_ms)
    return len(pairs) >= 4 and over >= 0.5 * len(pairs) and not any("\n" in row.text.strip() for row in rows)


class _Builder:
    """Walks the rows once and collects words and events."""

    def __init__(self, rows: list[Row], word_timed: bool, automatic: bool) -> None:
        self.rows, self.word_timed, self.automatic = rows, word_timed, automatic
        self.labels: Labels | None = None if word_timed else count_labels([row.text for row in rows])
        self.words: list[Word] = []
        self.events: list[Event] = []
        self.opening = ""
        self.song: tuple[int, int] | None = None
        """Start of a song that no note has closed yet, and when the row in which it began ends, ms."""

    def build(self) -> tuple[list[Word], list[Event]]:
        at = 0
        while at < len(self.rows):
            end = at + 1
            while not self.word_timed and end < len(self.rows) and self.rows[end].start_ms == self.rows[at].start_ms:
                end += 1
            next_ms = self.rows[end].start_ms if end < len(self.rows) else None
            self._add_rows(self.rows[at:end], at, next_ms)
            at = end
        self._end_song()
        return in_time_order(self.words), sorted(self.events, key=lambda event: event.start_ms)

    def _add_rows(self, rows: list[Row], number: int, next_ms: int | None) -> None:
        """Adds rows that start together: they are spoken one after the other within the same span."""
        tokens: list[tuple[Token, int | None]] = []
        for row in rows:
            if row.speaker:
                tokens.append((Token("speaker", row.speaker, 0), None))
            edge = number < CREDIT_ROWS or number >= len(self.rows) - CREDIT_ROWS
            credits = edge and not self.word_timed
            made = tokenize(row.text, labels=self.labels, credits=credits, automatic=self.automatic)
            tokens.extend(zip(made, self._stamps(row, made), strict=True))
        start_ms = max(rows[0].start_ms, 0)
        limit_ms = _limit(rows, next_ms)
        starts = _place([token for token, _ in tokens], [stamp for _, stamp in tokens], start_ms, limit_ms)
        for i, (token, stamp) in enumerate(tokens):
            after = starts[i + 1] if i + 1 < len(tokens) else None
            if not is_note(token):
                self._add(token, starts[i], after, limit_ms, timed=stamp is not None)
        shown_ms = max([limit_ms, *(row.end_ms for row in rows if row.end_ms is not None)])
        self._add_songs([token for token, _ in tokens], starts, min(shown_ms, next_ms or shown_ms))

    def _add_songs(self, tokens: list[Token], starts: list[int], shown_ms: int) -> None:
        """Adds songs as sounds that span them: from one note to the next, or to the edge of what is shown together.

        A note before words opens a song, a note after words closes it, possibly some rows later. `shown_ms`: when the
        tokens leave the screen.
        """
        notes = [i for i, token in enumerate(tokens) if is_note(token)]
        for i in notes:
            alone, last = len(tokens) == len(notes), i == len(tokens) - 1
            if i == 0 and not alone:
                self._end_song()
                self.song = (starts[i], shown_ms)
            elif last and not alone:
                begin = self.song[0] if self.song and starts[0] - self.song[1] <= SONG_GAP_MS else starts[0]
                self.song = (begin, shown_ms)
                self._end_song()
            elif alone or self.song:
                self.song = (self.song[0] if self.song else starts[i], shown_ms if alone else starts[i])
                self._end_song()
            else:
                self.song = (starts[i], shown_ms)

    def _end_song(self) -> None:
        if self.song:
            start_ms, end_ms = self.song
            self.events.append(Event("sound", NOTE, start_ms, max(end_ms, start_ms)))
        self.song = None

    def _stamps(self, row: Row, tokens: list[Token]) -> list[int | None]:
        """The stamp of each token: that of its piece, if it is the first word that starts in that piece."""
        if not self.word_timed:
            return [None] * len(tokens)
        offsets, at = [], 0
        for piece in row.pieces:
            offsets.append(at)
            at += len(piece.text)
        stamps: list[int | None] = []
        used = -1
        for token in tokens:
            index = bisect_right(offsets, token.offset) - 1
            fresh = index != used
            stamps.append(row.pieces[index].start_ms if fresh else None)
            if token.kind in ("word", "sound"):
                used = index
        return stamps

    def _add(self, token: Token, start_ms: int, after_ms: int | None, limit_ms: int, *, timed: bool) -> None:
        if token.kind != "word":
            end_ms = after_ms if after_ms is not None else max(limit_ms, start_ms)
            self.events.append(Event(token.kind, token.text, start_ms, max(end_ms, start_ms)))
            return
        if is_punctuation(token.text):
            self._attach(token.text)
            return
        end_ms = after_ms if after_ms is not None else limit_ms
        if self.word_timed:
            end_ms = start_ms + spoken_ms(token.text)
        text, self.opening = self.opening + token.text, ""
        self.words.append(Word(text, start_ms, max(end_ms, start_ms), timed and self.word_timed))

    def _attach(self, marks: str) -> None:
        """Attaches marks without a word to the word before or, if they open something, to the word after."""
        if opens(marks) or not self.words:
            self.opening += marks if opens(marks) else ""
            return
        last = self.words[-1]
        self.words[-1] = Word(last.text + marks, last.start_ms, last.end_ms, last.timed)


def _limit(rows: list[Row], next_ms: int | None) -> int:
    """The end of these rows' words: the cue's end, the next cue's start, or as long as they can last."""
    start_ms = rows[0].start_ms
    ends = [row.end_ms for row in rows if row.end_ms is not None]
    longest = start_ms + sum(longest_ms(text) for row in rows for text in row.text.split())
    limits = [longest]
    if ends and max(ends) > start_ms:
        limits.append(max(ends))
    if next_ms is not None:
        limits.append(next_ms)
    if all(text.startswith("[") for row in rows for text in row.text.split()) and ends:
        limits = limits[1:]
    return max(min(limits), start_ms)


def _place(tokens: list[Token], stamps: list[int | None], start_ms: int, limit_ms: int) -> list[int]:
    """A start for each token, never going back: its stamp, or a time between its neighbours' stamps by letters."""
    starts: list[int] = []
    floor = start_ms
    at = 0
    while at < len(tokens):
        stamp = stamps[at]
        begin = floor if stamp is None else max(stamp, floor)
        end = at + 1
        while end < len(tokens) and stamps[end] is None:
            end += 1
        if end - at == 1:
            starts.append(begin)
        else:
            until = stamps[end] if end < len(tokens) else max(limit_ms, begin)
            starts.extend(_spread(tokens[at:end], begin, max(until or 0, begin)))
        floor = starts[-1]
        at = end
    return starts


def _spread(tokens: list[Token], begin_ms: int, until_ms: int) -> list[int]:
    weights = [len(token.text) + 1 if token.kind in ("word", "sound") else 0 for token in tokens]
    total = sum(weights) or 1
    starts, passed = [], 0
    for weight in weights:
        starts.append(begin_ms + (until_ms - begin_ms) * passed // total)
        passed += weight
    return starts


def in_time_order(words: list[Word]) -> list[Word]:
    """Adjusts the words so that starts never go back and ends never pass the next start."""
    ordered: list[Word] = []
    latest = 0
    for i, word in enumerate(words):
        start = max(word.start_ms, latest)
        following = words[i + 1].start_ms if i + 1 < len(words) else word.end_ms
        end = max(min(word.end_ms, max(following, start)), start)
        latest = start
        ordered.append(
            word if (start, end) == (word.start_ms, word.end_ms) else Word(word.text, start, end, word.timed)
        )
    return ordered
