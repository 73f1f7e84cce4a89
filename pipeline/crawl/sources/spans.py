"""Clips that come with a video in a list: spans with their texts, however a table writes them.

`clips` are [[start, end], …], or HD-VILA-100M's [{clip_id, span}, …]; instead of them a row may have `start` and `end`.
Times are seconds or "HH:MM:SS.mmm". A `caption` is the text of all clips of its row, a list of captions has one for
each; without clips it is the text of the whole video.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.sample import WHOLE_MS, GivenSpan
from pipeline.engine.work.boundary import plain

_TIME = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?")
_CLIP_ID = re.compile(r"(?P<video>.+)\.(?P<n>\d{1,9})(?:\.mp4)?")
LONGEST_S = 1e7
_UNREADABLE = (0, 0)
"""Start and end of a span that cannot be read: the clip is rejected later, the others of its video are not."""


def spans_of(row: Mapping[str, Any]) -> list[GivenSpan]:
    """The spans of a row, in the form of `videos.given_spans`. One that cannot be read ends where it begins."""
    clips, captions = value_of(row.get("clips")), value_of(row.get("caption"))
    if clips is None and ("start" in row or "end" in row):
        clips = [[row.get("start"), row.get("end")]]
    texts = [text_of(text) for text in captions] if isinstance(captions, list) else text_of(row.get("caption"))
    if not clips:
        whole = " ".join(texts) if isinstance(texts, list) else texts
        return [_span(0, 0, WHOLE_MS, whole)] if whole else []
    spans: list[GivenSpan] = []
    for place, clip in enumerate(clips if isinstance(clips, list) else [clips]):
        text = texts if isinstance(texts, str) else (texts[place] if place < len(texts) else "")
        n, (start_ms, end_ms) = _clip(clip, place, row)
        spans.append(_span(n, start_ms, end_ms, text))
    return spans


def _span(n: int, start_ms: int, end_ms: int, text: str) -> GivenSpan:
    return {"n": n, "start_ms": start_ms, "end_ms": end_ms, "text": text}


def _clip(clip: Any, place: int, row: Mapping[str, Any]) -> tuple[int, tuple[int, int]]:
    """A clip's number and its times in ms."""
    if isinstance(clip, dict):
        named = named_clip(str(clip.get("clip_id", "")))
        if named is None or named[0] != text_of(row.get("id")):
            return place, _UNREADABLE
        place, clip = named[1], clip.get("span")
    if not isinstance(clip, list | tuple) or len(clip) != 2:
        return place, _UNREADABLE
    start_ms, end_ms = (time_ms(time) for time in clip)
    return place, _UNREADABLE if start_ms is None or end_ms is None else (start_ms, end_ms)


def has_texts(given_spans: str) -> bool:
    """Whether any of the spans in `videos.given_spans` comes with its text, so that no captions are needed."""
    return any(span["text"] for span in json.loads(given_spans or "[]"))


def some_usable(spans: Sequence[GivenSpan]) -> bool:
    """Whether any of these spans can be cut."""
    return any(span["end_ms"] > span["start_ms"] or span["end_ms"] == WHOLE_MS for span in spans)


def joined(rows: Sequence[str]) -> str:
    """The spans of several rows of one video as one JSON list: each once, those whose number is taken after all."""
    if len(rows) == 1:
        return rows[0]
    spans: dict[int, GivenSpan] = {}
    seen, last = set(), -1
    for span in (span for row in rows for span in json.loads(row)):
        what = span["start_ms"], span["end_ms"], span["text"]
        if what in seen:
            continue
        seen.add(what)
        n = span["n"] if span["n"] not in spans else last + 1
        spans[n] = _span(n, *what)
        last = max(last, n)
    return as_json(list(spans.values()))


def with_texts(spans: str, video_id: str, texts: Mapping[tuple[str, int], str]) -> str:
    """The spans with the texts of a second file, by video and number."""
    read: list[GivenSpan] = json.loads(spans)
    for span in read:
        span["text"] = texts.get((video_id, span["n"]), span["text"])
    return as_json(read)


def named_clip(clip_id: str) -> tuple[str, int] | None:
    """Video and number of a clip's id, `<video>.<n>` or `<video>.<n>.mp4`."""
    match = _CLIP_ID.fullmatch(clip_id)
    return (match["video"], int(match["n"])) if match else None


def as_json(spans: Sequence[GivenSpan]) -> str:
    """As `videos.given_spans` has them; "" for none."""
    return json.dumps(spans, ensure_ascii=False, separators=(",", ":")) if spans else ""


def time_ms(value: Any) -> int | None:
    """Milliseconds of seconds or of HH:MM:SS.mmm (the digits after the point are a fraction); None for no time."""
    value = value_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LONGEST_S:
        return round(value * 1000)
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    if not match:
        return None
    hours, minutes, seconds, fraction = match.groups()
    milliseconds = int(((fraction or "") + "000")[:3])
    return ((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + milliseconds


def text_of(value: Any) -> str:
    """A cell as text; "" for what is no text and no whole number."""
    return plain(value).strip() if isinstance(value, str) else str(value) if isinstance(value, int) else ""


def value_of(value: Any) -> Any:
    """A cell's value: in text, a list or a number is read as JSON or as Python prints it, so that CSV can hold them."""
    if not isinstance(value, str) or value.strip()[:1] not in {*"[{-0123456789"}:
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        pass
    if not value.lstrip().startswith("["):
        return value
    try:
        return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return value
