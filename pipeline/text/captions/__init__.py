"""Reads caption files (json3, vtt, srt) into words and events, through `read_track`."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.text.captions.json3 import read_json3
from pipeline.text.captions.markup import decode_text
from pipeline.text.captions.track import BrokenTrack, Event, Rows, Track, Word
from pipeline.text.captions.vtt import read_srt, read_vtt
from pipeline.text.captions.words import build_track

__all__ = ["BrokenTrack", "Event", "Track", "Word", "read_track"]


def read_track(data: bytes, *, format: str = "", kind: str = "", language: str = "") -> Track:
    """Reads a caption file into words and events.

    `format`, `kind` (manual | auto) and `language` are what the caller knows ("" for unknown): the format is detected
    from the content; the hint only decides between the two that look alike (vtt without a header, and srt). Raises
    BrokenTrack, with a reason, for a file that cannot be read or has no text at all.
    """
    text = decode_text(data)
    with _without_collector():
        rows = _read(text, format)
        if not rows.rows:
            raise BrokenTrack("the caption file holds no text")
        return build_track(rows, kind=kind, language=language)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Turns off garbage collection: on a long track, rescanning all objects again and again takes half of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(text: str, hint: str) -> Rows:
    head = text.lstrip()[:1]
    if head in ("{", "["):
        return read_json3(text)
    if head == "<":
        raise BrokenTrack("an XML caption file; read are json3, vtt and srt: ffmpeg -i FILE NEW.srt writes one")
    is_vtt = text.lstrip()[:6] == "WEBVTT" or hint == "vtt"
    if not is_vtt and (hint == "srt" or _numbered(text)):
        return read_srt(text)
    return read_vtt(text)


def _numbered(text: str) -> bool:
    """Whether the first lines look like SubRip: a number, then a time line with a comma."""
    lines = [line for line in text[:400].split("\n") if line.strip()]
    return len(lines) > 1 and lines[0].strip().isdigit() and "-->" in lines[1]
