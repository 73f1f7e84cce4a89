"""Captions and videos in tables, and the text stages run over them."""

import json
import time
from pathlib import Path
from typing import Any

from hdvila_testing.rows import commit_rows
from manifests.schema import TABLES
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import (
    TranscriptsStage,
)

SPEECH = (
    "Hello everyone and welcome back to the workshop. Today we are going to build a small wooden box with a lid. "
    "First we measure the board, and then we cut it into five equal pieces. After that the glue goes on. Wait an hour. "
    "Now the lid can be sanded until it fits. Thank you for watching and see you next time!"
)


def auto(text: str = SPEECH, step: int = 350) -> bytes:
    """An automatic json3 track: about a word each step, lower case, no marks, rows of eight words."""
    words = [word.strip(".,!").lower() for word in text.split()]
    starts = [1000 + i * step + (i % 8 * 37) % 90 for i in range(len(words))]
    events = []
    for at in range(0, len(words), 8):
        row = range(at, min(at + 8, len(words)))
        segs = [{"utf8": (" " if i > at else "") + words[i], "tOffsetMs": starts[i] - starts[at]} for i in row]
        events.append({"tStartMs": starts[at], "dDurationMs": 9 * step, "segs": segs})
    return json.dumps({"events": events}).encode()


def manual(text: str = SPEECH, step: int = 350, shift: int = 400) -> bytes:
    """A manual srt of the same words, its cues late by `shift`."""
    words = text.split()
    blocks = []
    for n, i in enumerate(range(0, len(words), 7), 1):
        a, b = 1000 + shift + i * step, 1000 + shift + min(i + 7, len(words)) * step
        stamps = [f"00:00:{ms // 1000:02d},{ms % 1000:03d}" for ms in (a, b)]
        blocks.append(f"{n}\n{stamps[0]} --> {stamps[1]}\n{' '.join(words[i : i + 7])}")
    return "\n\n".join(blocks).encode()


def caption(video_id: str, kind: str, payload: bytes, language: str = "en", format: str = "json3") -> dict[str, Any]:
    track = language if kind == "manual" else f"{language}-orig"
    return {
        "video_id": video_id, "kind": kind, "language": language, "track": track, "format": format, "payload": payload,
    }  # fmt: skip


def video(video_id: str, **known: Any) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in TABLES["videos"]:
        empty: Any = [] if "list" in str(field.type) else "" if str(field.type) == "string" else 0
        row[field.name] = False if str(field.type) == "bool" else empty
    return row | {"video_id": video_id, "category_id": 3, "channel_id": "ch"} | known


def store_with(folder: Path, captions: list[dict[str, Any]], videos: list[dict[str, Any]] | None = None) -> Store:
    store = Store(str(folder))
    ids = sorted({row["video_id"] for row in captions})
    known = videos if videos is not None else [video(i) for i in ids]
    commit_rows(store, "extract", "abc", {"captions": captions, "videos": known})
    return store


def run(store: Store, stage: TranscriptsStage | ClipsStage, scratch: Path) -> Output:
    (unit,) = stage.units(store)
    output = stage.process(unit, Context(store, scratch, time.monotonic() + 60))
    commit_rows(store, stage.name, unit.name, output.rows)
    return output
