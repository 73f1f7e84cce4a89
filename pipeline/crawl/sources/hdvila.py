"""The hdvila source: the released HD-VILA-100M JSONL, whose clips come from the file instead of sentence splitting.

    {"video_id": "…", "url": "…", "clip": [{"clip_id": "<video_id>.<n>.mp4", "span": ["HH:MM:SS.mmm", "HH:MM:SS.mmm"]}]}

The clips' texts are in a second JSONL, {"clip_id", "text"}; if it is not given, the captions within a span are used.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from manifests.origin import is_site_id, video_id_of
from manifests.sample import GivenSpan
from pipeline.crawl.sources import Listed
from pipeline.crawl.sources.ids import read_lines
from pipeline.engine.work.boundary import plain

_CLIP_ID = re.compile(r'"clip_id"\s*:\s*"([A-Za-z0-9_-]{11})\.(\d{1,9})(?:\.mp4)?"')
_TIME = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?")


def list_file(path: Path, cursor: int) -> Iterator[tuple[Listed, int]]:
    """Yields (result with its spans, byte offset after its line). A line without such an object becomes a `bad_id`
    reject.
    """
    for position, (line, after) in enumerate(read_lines(path, cursor)):
        if line:
            yield parse_line(line, position), after


def parse_line(line: str, position: int) -> Listed:
    """Parses an object of the file. Invalid spans are left out; without an id, the result's id is not a site id."""
    try:
        row = json.loads(line)
        video_id = str(row.get("video_id") or video_id_of(str(row.get("url", ""))))
        clips = row.get("clip") or []
    except (ValueError, AttributeError, RecursionError):
        return Listed(f"line at {position}", position)
    if not is_site_id(video_id) or not isinstance(clips, list):
        return Listed(plain(video_id[:64]) or f"line at {position}", position)
    spans = [span for span in (_span(clip, video_id) for clip in clips) if span]
    return Listed(video_id, position, given_spans=_as_json(spans))


def _as_json(spans: list[GivenSpan]) -> str:
    return plain(json.dumps(spans, ensure_ascii=False, separators=(",", ":")))


def _span(clip: Any, video_id: str) -> GivenSpan | None:
    if not isinstance(clip, dict):
        return None
    clip_id, span = str(clip.get("clip_id", "")), clip.get("span")
    if not clip_id.startswith(f"{video_id}.") or not isinstance(span, list) or len(span) != 2:
        return None
    number = clip_id.removeprefix(f"{video_id}.").removesuffix(".mp4")
    start_ms, end_ms = parse_time_ms(str(span[0])), parse_time_ms(str(span[1]))
    if not number.isdigit() or start_ms is None or end_ms is None or end_ms <= start_ms:
        return None
    return {"n": int(number), "start_ms": start_ms, "end_ms": end_ms, "text": ""}


def parse_time_ms(text: str) -> int | None:
    """Milliseconds of HH:MM:SS.mmm; the digits after the point are a fraction, however many there are."""
    match = _TIME.fullmatch(text.strip())
    if not match:
        return None
    hours, minutes, seconds, fraction = match.groups()
    milliseconds = int(((fraction or "") + "000")[:3])
    return ((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + milliseconds


def with_texts(results: Sequence[Listed], paths: Sequence[Path]) -> list[Listed]:
    """The results with the texts of their clips. The files, which may hold 100 million lines in any order, are read
    once; only what is wanted is kept.
    """
    spans = {listed.video_id: json.loads(listed.given_spans) for listed in results if listed.given_spans}
    wanted = {(video_id, span["n"]): span for video_id, own in spans.items() for span in own}
    for path in paths if wanted else ():
        for line, _ in read_lines(path):
            clip_id = _CLIP_ID.search(line)
            if clip_id and (span := wanted.get((clip_id[1], int(clip_id[2])))):
                span["text"] = _text(line)
    return [
        replace(listed, given_spans=_as_json(spans[listed.video_id])) if listed.given_spans else listed
        for listed in results
    ]


def _text(line: str) -> str:
    try:
        return str(json.loads(line).get("text", ""))
    except (ValueError, AttributeError):
        return ""
