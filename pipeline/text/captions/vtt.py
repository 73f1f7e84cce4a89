"""Reads WebVTT and SubRip, manual and automatic, and removes the rolling repeats of automatic tracks.

A rolling track shows each spoken row three times: timed (first word bare, then `<00:00:01.280><c> word</c>`), as a
10 ms copy, and as the upper row while the next is spoken. A row is new unless the screen before it showed the same
text, and each shown row excuses one repeat, so a speaker who says "no" twice is heard twice.
"""

import re
from collections import Counter

from pipeline.text.captions.cues import Cue, read_cues, stamp_ms
from pipeline.text.captions.markup import strip_tags, unescape
from pipeline.text.captions.track import BrokenTrack, Piece, Row, Rows

_INNER = re.compile(r"<(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})>")
_VOICE = re.compile(r"<v(?:\.[^\s<>]*)?\s([^<>\n]+)>")
_HEADER = re.compile(r"^(Kind|Language):\s*(\S+)", re.MULTILINE)

COPY_MS = 60
"""A cue this short is a copy of the row before (10 ms in YouTube's files, rounded up by converters)."""
SCREEN_ROWS = 15
"""Rows that a caption screen can hold (CEA-608)."""
CLEAR_MS = 200
"""After this long without a cue the screen is empty, so the same text again was spoken again."""
MAX_STRAY_TIMES = 0.05
"""Share of inner times outside their cue above which they are on another clock (live captions)."""


def read_vtt(text: str) -> Rows:
    """Reads the rows of a WebVTT file. Raises BrokenTrack if it has no cue."""
    cues = read_cues(text, comments=True)
    if not cues:
        raise BrokenTrack("the caption file holds no cue")
    head = dict(_HEADER.findall(text[:2000].split("-->", 1)[0]))
    rows = _rows(cues, "vtt")
    rows.language = head.get("Language", "")
    return rows


def read_srt(text: str) -> Rows:
    """Reads the rows of a SubRip file. Raises BrokenTrack if it has no cue."""
    cues = read_cues(text, comments=False)
    if not cues:
        raise BrokenTrack("the caption file holds no cue")
    return _rows(cues, "srt")


def _rows(cues: list[Cue], format_: str) -> Rows:
    cues = _without_resent(cues)
    cues.sort(key=lambda cue: cue.start_ms)
    parsed = [(cue, [_line(line, cue) for line in cue.lines]) for cue in cues]
    if _is_live(parsed):
        return Rows(_live_rows(parsed), format_, kind="auto", drop_times=True)
    if _is_rolling(parsed):
        return Rows(_rolled_out(parsed), format_, kind="auto")
    return Rows([row for cue, lines in parsed if (row := _whole_cue(cue, lines))], format_)


def _without_resent(cues: list[Cue]) -> list[Cue]:
    """The cues without those that repeat the times and text of the cue before."""
    kept: list[Cue] = []
    for cue in cues:
        if not kept or cue != kept[-1]:
            kept.append(cue)
    return kept


def _line(raw: str, cue: Cue) -> Row:
    """Makes a row of a line of a cue: tags are removed, inner stamps and the voice label kept."""
    if "<" not in raw:
        return Row(cue.start_ms, cue.end_ms, [Piece(unescape(strip_tags(raw)), cue.start_ms)])
    voice = _VOICE.search(raw)
    parts = _INNER.split(raw)
    pieces = [Piece(unescape(strip_tags(parts[0])), cue.start_ms)]
    for at in range(1, len(parts), 5):
        text = unescape(strip_tags(parts[at + 4]))
        if text:
            pieces.append(Piece(text, stamp_ms(parts[at], parts[at + 1], parts[at + 2], parts[at + 3])))
    speaker = unescape(voice[1]).strip() if voice else ""
    inner = sum(1 for piece in pieces[1:] if piece.text.strip())
    return Row(cue.start_ms, cue.end_ms, pieces, speaker=speaker, inner_times=inner)


Parsed = list[tuple[Cue, list[Row]]]


def _is_live(parsed: Parsed) -> bool:
    """Whether inner times are on another clock than the cues."""
    n_inner = n_stray = 0
    for cue, lines in parsed:
        for row in lines:
            stamps = [piece.start_ms for piece in row.pieces[1:] if piece.start_ms is not None]
            n_inner += len(stamps)
            n_stray += sum(1 for stamp in stamps if not cue.start_ms - 1 <= stamp <= cue.end_ms + 1)
    return n_inner > 0 and n_stray > MAX_STRAY_TIMES * n_inner and n_stray > 1


def _is_rolling(parsed: Parsed) -> bool:
    """Whether the track re-sends rows: as 10 ms copies, or by showing the last row above the next."""
    n_rolled = n_followed = 0
    shown: list[str] = []
    for cue, lines in parsed:
        texts = _texts(lines)
        if shown and texts:
            n_followed += 1
            copy = cue.end_ms - cue.start_ms <= COPY_MS and set(texts) <= set(shown)
            scroll = len(texts) > 1 and texts[0] == shown[-1]
            n_rolled += copy or scroll
        shown = texts
    return n_rolled > 0 and n_rolled >= 0.2 * n_followed


def _texts(lines: list[Row]) -> list[str]:
    """The plain text of each line that has any, with single spaces."""
    return [text for row in lines if (text := " ".join(row.text.split()))]


def _rolled_out(parsed: Parsed) -> list[Row]:
    """Returns each spoken row once. A row with inner times is always new; others are excused by the screen before."""
    rows: list[Row] = []
    excused: Counter[str] = Counter()
    shown_until_ms = 0
    for cue, lines in parsed:
        if cue.start_ms > shown_until_ms + CLEAR_MS:
            excused.clear()
        shown_until_ms = cue.end_ms
        fresh: list[Row] = []
        for row in lines:
            text = " ".join(row.text.split())
            if not text:
                continue
            if not row.inner_times and excused[text] > 0:
                excused[text] -= 1
                continue
            fresh.append(row)
        excused = Counter(_texts(lines))
        untimed = [row for row in fresh if not row.inner_times]
        if len(untimed) == len(fresh) > 1:
            rows.extend(row for row in [_whole_cue(cue, fresh)] if row)
        else:
            rows.extend(fresh)
    return rows


def _whole_cue(cue: Cue, lines: list[Row]) -> Row | None:
    """Joins all lines of a cue to one row, with newlines between them; None if they have no text."""
    pieces: list[Piece] = []
    for row in lines:
        if not row.text.strip():
            continue
        if pieces:
            pieces.append(Piece("\n", None))
        pieces.extend(row.pieces if not pieces or row.inner_times else [Piece(p.text, None) for p in row.pieces])
    if not pieces:
        return None
    speaker = next((row.speaker for row in lines if row.speaker), "")
    return Row(cue.start_ms, cue.end_ms, pieces, speaker=speaker, inner_times=sum(r.inner_times for r in lines))


def _live_rows(parsed: Parsed) -> list[Row]:
    """Returns each row of a live track once: its screen is edited in place, so a row that grew adds only new text."""
    rows: list[Row] = []
    screen: list[tuple[str, Row]] = []
    for cue, lines in parsed:
        now: list[tuple[str, Row]] = []
        free = screen[-SCREEN_ROWS:]
        for text in (re.sub(r"\s+", " ", row.text).strip() for row in lines):
            if not text.strip():
                continue
            match = next((old for old in free if old[0] == text), None) or _edited(text, free)
            if match is None:
                row = Row(cue.start_ms, cue.end_ms, [Piece(text, cue.start_ms)])
                rows.append(row)
                now.append((text, row))
                continue
            free = [old for old in free if old is not match]
            old_text, row = match
            if old_text != text:
                _grow(row, old_text, text, cue)
            now.append((text, row))
        screen = now
    return rows


def _edited(text: str, shown: list[tuple[str, Row]]) -> tuple[str, Row] | None:
    """Finds the shown row that this text is a later state of: their common beginning is most of the shorter text."""
    for old in reversed(shown):
        common = _common_prefix(old[0], text)
        if common == len(old[0]) or common >= 0.6 * min(len(old[0]), len(text)):
            return old
    return None


def _common_prefix(a: str, b: str) -> int:
    """The length of the common beginning of two texts. A binary search, so that long rows cost little."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _grow(row: Row, old_text: str, text: str, cue: Cue) -> None:
    """Changes a row to `text`: what it already had keeps its time, the rest gets this cue's start."""
    common = _common_prefix(old_text, text)
    surplus = len(old_text) - common
    while surplus > 0:
        last = row.pieces.pop()
        if len(last.text) > surplus:
            row.pieces.append(Piece(last.text[:-surplus], last.start_ms))
        surplus -= len(last.text)
    if text[common:]:
        row.pieces.append(Piece(text[common:], cue.start_ms))
    row.end_ms = cue.end_ms
