"""json3: YouTube's own JSON. Exact word starts, no repeats.

Each of `events[]` has `tStartMs` (absolute), `dDurationMs` (time on screen, not of speech) and `segs[]` of `utf8` +
`tOffsetMs` (relative to the event; missing = 0). Events without `segs` open windows and have no text.
"""

import json
from typing import Any

from pipeline.text.captions.markup import unescape
from pipeline.text.captions.track import MAX_MS, BrokenTrack, Piece, Row, Rows


def read_json3(text: str) -> Rows:
    """Reads the rows of a json3 file. Raises BrokenTrack if it is not JSON, or not json3."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenTrack(f"the caption file is not complete JSON ({type(error).__name__})") from None
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise BrokenTrack("the caption file is JSON, but not json3: it has no list of events")
    rows = [row for number, event in enumerate(events) if (row := _row(event, number))]
    if not _spaces_between(rows):
        for row in rows:
            row.pieces = _spaced(row.pieces)
    automatic = any(isinstance(e, dict) and e.get("aAppend") for e in events)
    return Rows(rows, "json3", kind="auto" if automatic else "")


def _row(event: Any, number: int) -> Row | None:
    """Reads one event as a row; None if it has no text."""
    if not isinstance(event, dict):
        raise BrokenTrack(f"json3 event {number} is not an object")
    segs = event.get("segs")
    if not segs:
        return None
    if not isinstance(segs, list):
        raise BrokenTrack(f"json3 event {number}: segs is not a list")
    start_ms = _ms(event.get("tStartMs", 0), number)
    duration = event.get("dDurationMs")
    end_ms = None if duration is None else start_ms + _ms(duration, number)
    pieces: list[Piece] = []
    inner = 0
    for seg in segs:
        if not isinstance(seg, dict) or not isinstance(seg.get("utf8", ""), str):
            raise BrokenTrack(f"json3 event {number}: a seg without text")
        text = unescape(seg.get("utf8", ""))
        if not text:
            continue
        offset = seg.get("tOffsetMs")
        inner += offset is not None and bool(pieces)
        stamp = None if offset is None and pieces else start_ms + _ms(offset or 0, number)
        pieces.append(Piece(text, stamp))
    if not any(piece.text.strip() for piece in pieces):
        return None
    return Row(start_ms, end_ms, pieces, inner_times=inner)


def _ms(value: Any, number: int) -> int:
    """Reads a time field as whole milliseconds; some writers quote it or write a float."""
    try:
        ms = round(float(value))
    except (TypeError, ValueError, OverflowError):
        ms = MAX_MS
    if abs(ms) >= MAX_MS:
        raise BrokenTrack(f"json3 event {number}: {str(value)[:40]!r} is not a time")
    return ms


def _spaces_between(rows: list[Row]) -> bool:
    """Whether the file separates words by spaces at all: some writers strip every seg."""
    joins = [(a.text, b.text) for row in rows for a, b in zip(row.pieces, row.pieces[1:], strict=False)]
    return not joins or any(a[-1:].isspace() or b[:1].isspace() for a, b in joins)


def _spaced(pieces: list[Piece]) -> list[Piece]:
    """Adds the missing space before each piece that starts like a word (`ice` + `-cream` stays one word)."""
    spaced = [Piece(" " + p.text, p.start_ms) if p.text[:1].isalnum() else p for p in pieces[1:]]
    return [*pieces[:1], *spaced]
