"""The hdvila source: the released HD-VILA-100M JSONL, whose clips come from the file in place of sentence splitting.

    {"video_id": "…", "url": "…", "clip": [{"clip_id": "<video_id>.<n>.mp4", "span": ["HH:MM:SS.mmm", "HH:MM:SS.mmm"]}]}

The text of the clips is a second JSONL, {"clip_id", "text"}; where it is not given, the captions inside a span serve.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from pipeline.sources import Listed
from pipeline.sources.ids import is_site_id, video_id_of
from pipeline.sources.lines import read_lines

_TIME = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,9}))?")


def list_file(path: Path, cursor: int, texts: Sequence[Path]) -> Iterator[tuple[Listed, int]]:
    """(result with its spans, byte after its line). A line that is no such object is a result `bad_id`."""
    known = ClipTexts(texts)
    for position, (line, after) in enumerate(read_lines(path, cursor)):
        if line:
            yield parse_line(line, position, known), after


def parse_line(line: str, position: int, texts: "ClipTexts") -> Listed:
    """One object of the file. Spans that are no spans are left out; without an id the result's id is no site id."""
    try:
        row = json.loads(line)
        video_id = str(row.get("video_id") or video_id_of(str(row.get("url", ""))))
        clips = row.get("clip") or []
    except (ValueError, AttributeError):
        return Listed(f"line at {position}", position)
    if not is_site_id(video_id) or not isinstance(clips, list):
        return Listed(video_id[:64] or f"line at {position}", position)
    spans = [span for span in (_span(clip, video_id, texts) for clip in clips) if span]
    return Listed(video_id, position, given_spans=json.dumps(spans, ensure_ascii=False, separators=(",", ":")))


def _span(clip: Any, video_id: str, texts: "ClipTexts") -> dict[str, Any] | None:
    if not isinstance(clip, dict):
        return None
    clip_id, span = str(clip.get("clip_id", "")), clip.get("span")
    if not clip_id.startswith(f"{video_id}.") or not isinstance(span, list) or len(span) != 2:
        return None
    number = clip_id.removeprefix(f"{video_id}.").removesuffix(".mp4")
    start_ms, end_ms = parse_time_ms(str(span[0])), parse_time_ms(str(span[1]))
    if not number.isdigit() or start_ms is None or end_ms is None or end_ms <= start_ms:
        return None
    return {"n": int(number), "start_ms": start_ms, "end_ms": end_ms, "text": texts.get(clip_id)}


def parse_time_ms(text: str) -> int | None:
    """Milliseconds of HH:MM:SS.mmm; the digits after the point are a fraction, however many there are."""
    found = _TIME.fullmatch(text.strip())
    if not found:
        return None
    hours, minutes, seconds, fraction = found.groups()
    milliseconds = int(((fraction or "") + "000")[:3])
    return ((int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + milliseconds


class ClipTexts:
    """Clip texts by clip id. Holds a hash and a byte position a clip, not the texts."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._places: dict[int, tuple[int, int]] = {}
        for number, path in enumerate(self._paths):
            before = 0
            for line, after in read_lines(path):
                if clip_id := _clip_id(line):
                    self._places[hash(clip_id)] = (number, before)
                before = after

    def get(self, clip_id: str) -> str:
        """The text of a clip; "" where none is given."""
        place = self._places.get(hash(clip_id))
        if place is None:
            return ""
        path, offset = self._paths[place[0]], place[1]
        with path.open("rb") as file:
            file.seek(offset)
            try:
                row = json.loads(file.readline())
            except ValueError as error:
                raise UserError(f"{path}: changed while it was read ({error})") from None
        return str(row.get("text", "")) if row.get("clip_id") in (clip_id, clip_id.removesuffix(".mp4")) else ""


def _clip_id(line: str) -> str:
    try:
        row = json.loads(line)
    except ValueError:
        return ""
    return str(row.get("clip_id", "")) if isinstance(row, dict) else ""
