"""Caption tracks that try to break their readers: damaged real ones, and made ones: deep, endless or not text."""

# ruff: noqa: E501 - a table of texts reads better in long lines

import json
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.hostile_inputs import Case, Home, NeighbourLost, mutated
from hdvila_testing.rows import commit_rows
from manifests.schema import TABLES
from pipeline.config.text import TextConfig
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context
from pipeline.text.clips import ClipsStage
from pipeline.text.transcripts import TranscriptsStage

GOOD = (
    b"WEBVTT\n\n00:00.000 --> 00:09.000\nA small brown dog runs over the wide green field and barks at two white birds.\n\n"
    b"00:09.000 --> 00:18.000\nThen it lies down in the shade of an old tree and sleeps until the evening comes.\n"
)
MB = 1 << 20


def cases(seed: int, n: int, home: Home) -> Iterator[Case]:
    """Yields `n` tracks: the made ones, then real ones with random damage."""
    made = list(_made().items())
    for name, (format_, make) in made[:: max(1, len(made) // n)] if n < len(made) else made:
        yield Case("captions", name, lambda folder, f=format_, m=make: _try(m(), f, folder))  # type: ignore[misc]
    real = [p for p in sorted((home.samples / "captions").rglob("*.*")) if p.suffix[1:] in _FORMATS]
    for number in range(n - len(made)):
        chance = random.Random(f"{seed} captions {number}")
        path = chance.choice(real)
        data = mutated(path.read_bytes(), chance)
        format_ = path.suffix[1:] if chance.random() < 0.8 else chance.choice(_FORMATS)
        name = f"{path.name} damaged, {number}"
        yield Case("captions", name, lambda folder, d=data, f=format_: _try(d, f, folder))  # type: ignore[misc]


_FORMATS = ("vtt", "srt", "json3")


def warm_up(folder: Path) -> None:
    """Loads models and libraries in the parent, so that no input is charged for them."""
    flat = "\n".join(f"a word or two {i} of plain talk that goes on" for i in range(60)).replace("\n", " ")
    _try(_cues(30, flat[:200] + " {i}"), "vtt", folder)


def _try(payload: bytes, format_: str, folder: Path) -> str:
    """Puts the track between two good ones through both text stages; returns its reject, or "clips"."""
    store = Store(str(folder / "out"))
    captions = [_row("good1", GOOD, "vtt"), _row("bad", payload, format_), _row("good2", GOOD, "vtt")]
    videos = [_video(i) for i in ("good1", "bad", "good2")]
    commit_rows(store, "extract", "u", {"captions": captions, "videos": videos})
    (folder / "scratch").mkdir()
    context = Context(store, folder / "scratch", time.monotonic() + 60)
    reasons: dict[str, str] = {}
    for stage in (TranscriptsStage(TextConfig()), ClipsStage(TextConfig())):
        for unit in stage.units(store):
            output = stage.process(unit, context)
            reasons |= {r.video_id: f"{r.reason.value}: {r.detail}" for r in output.rejects if not r.clip_id}
            commit_rows(store, stage.name, unit.name, output.rows)
    clips = store.read_table("clips", ["video_id"]).column("video_id").to_pylist()
    if {"good1", "good2"} - set(clips):
        raise NeighbourLost(str(reasons))
    return reasons.get("bad", "clips")


def _row(video_id: str, payload: bytes, format_: str) -> dict[str, Any]:
    return {"video_id": video_id, "kind": "", "language": "en", "track": "en", "format": format_, "payload": payload}


def _video(video_id: str) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in TABLES["videos"]:
        empty: Any = [] if "list" in str(field.type) else "" if str(field.type) == "string" else 0
        row[field.name] = False if str(field.type) == "bool" else empty
    return row | {"video_id": video_id, "category_id": 1, "channel_id": video_id}


def _json3(*segs: Any, **event: Any) -> bytes:
    events = [{"tStartMs": 900 * i, "dDurationMs": 900, "segs": [seg], **event} for i, seg in enumerate(segs)]
    return json.dumps({"events": events}).encode()


def _words(n: int, text: str = "word") -> bytes:
    return (
        b'{"events":['
        + b",".join(b'{"tStartMs":%d,"segs":[{"utf8":" %s%d"}]}' % (300 * i, text.encode(), i) for i in range(n))
        + b"]}"
    )


def _cues(n: int, text: str, step_ms: int = 1000) -> bytes:
    def stamp(ms: int) -> str:
        return f"{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"

    cues = (f"{stamp(i * step_ms)} --> {stamp((i + 1) * step_ms)}\n{text.format(i=i)}\n\n" for i in range(n))
    return ("WEBVTT\n\n" + "".join(cues)).encode()


def _growing(n: int) -> bytes:
    """A live screen whose one row grows by a fragment with each cue, with stamps on another clock."""
    parts = (
        f"00:{i // 60 % 60:02d}:{i % 60:02d}.000 --> 00:{i // 60 % 60:02d}:{i % 60:02d}.900\n{'ab ' * i}<09:00:00.000><c>x</c>\n\n"
        for i in range(n)
    )
    return ("WEBVTT\n\n" + "".join(parts)).encode()


def _made() -> dict[str, tuple[str, Callable[[], bytes]]]:
    """{name: (format, how to make it)}."""
    texts = "some words that go on and on for a while "
    return {
        "json3 lone surrogate": ("json3", lambda: _json3(*({"utf8": f"word \\ud800 {i} and more. "} for i in range(40))).replace(b"\\\\ud800", b"\\ud800")),
        "json3 49,500 words": ("json3", lambda: _words(49_500)),
        "json3 119,000 words": ("json3", lambda: _words(119_000)),
        "json3 290,000 words": ("json3", lambda: _words(290_000)),
        "json3 400,000 words": ("json3", lambda: _words(400_000)),
        "json3 28 MB": ("json3", lambda: _words(700_000)),
        "json3 of empty objects, 7 MB": ("json3", lambda: b'{"events":[' + b"{}," * (7 * MB // 3) + b"{}]}"),
        "json3 of lists": ("json3", lambda: b"[" * 200_000),
        "json3 of keys": ("json3", lambda: b'{"events":[' + b",".join(b'{"a%d":0}' % i for i in range(590_000)) + b"]}"),
        "json3 of strings": ("json3", lambda: b'{"events":[],"x":[' + b",".join(b'"%d"' % i for i in range(1_400_000)) + b"]}"),
        "json3 one word of 15 MB": ("json3", lambda: _json3({"utf8": "w" * (15 * MB)})),
        "json3 of one-letter words, 15 MB": ("json3", lambda: _json3({"utf8": "w " * (7 * MB)})),
        "json3 of notes, 15 MB": ("json3", lambda: json.dumps({"events": [{"tStartMs": 0, "segs": [{"utf8": "\u266aa" * (4 * MB)}]}]}, ensure_ascii=False).encode()),
        "json3 of line ends": ("json3", lambda: _json3({"utf8": "\n" * (7 * MB)}, {"utf8": texts * 9})),
        "json3 of brackets": ("json3", lambda: _json3({"utf8": "[a](b)" * (2 * MB)})),
        "json3 of entities": ("json3", lambda: _json3({"utf8": "&amp;amp;#39; " * MB})),
        "json3 endless entity": ("json3", lambda: _json3({"utf8": "&#" + "9" * 5000 + "; " + texts}, {"utf8": texts * 5})),
        "json3 endless hex entity": ("json3", lambda: _json3({"utf8": "&#x" + "f" * 500_000 + "; " + texts})),
        "json3 number of 5,000 digits": ("json3", lambda: b'{"events":[{"tStartMs":' + b"9" * 5000 + b',"segs":[{"utf8":"a"}]}]}'),
        "json3 times of nothing": ("json3", lambda: _json3({"utf8": texts, "tOffsetMs": None}, {"utf8": texts, "tOffsetMs": [1]})),
        "json3 all at one time": ("json3", lambda: json.dumps({"events": [{"tStartMs": 5, "segs": [{"utf8": f" w{i}"}]} for i in range(60_000)]}).encode()),
        "json3 not a dict": ("json3", lambda: b'{"events": [1, null, "x", {"segs": 5}]}'),
        "vtt of spaces in a voice": ("vtt", lambda: _cues(3, "<v" + " " * 300_000 + texts)),
        "vtt of open tags": ("vtt", lambda: _cues(3, "<a" * 200_000 + texts)),
        "vtt of override codes": ("vtt", lambda: _cues(3, "{{\\a" * 200_000 + texts)),
        "vtt of stamps": ("vtt", lambda: _cues(20, "<00:00:01.000><c> a</c>" * 8000)),
        "vtt of short lines, 15 MB": ("vtt", lambda: b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + b"ab\n" * (5 * MB)),
        "vtt of lines below the limit": ("vtt", lambda: b"WEBVTT\n\n00:00.000 --> 00:01.000\n" + b"ab\n" * 290_000),
        "vtt of cues, 400,000 lines": ("vtt", lambda: _cues(130_000, "word{i}")),
        "vtt of blank lines": ("vtt", lambda: b"WEBVTT" + b"\n" * (15 * MB)),
        "vtt of one line, 15 MB": ("vtt", lambda: _cues(1, "a, b. " * (5 * MB // 2))),
        "vtt live and growing": ("vtt", lambda: _growing(2500)),
        "vtt live, long rows alike": ("vtt", lambda: _cues(900, "x" * 16_000 + "{i}<09:00:00.000><c>y</c>")),
        "vtt one word at one time": ("vtt", lambda: _cues(50_000, "same", step_ms=0)),
        "vtt of labels": ("vtt", lambda: _cues(4000, "Name{i} of a man: says\n- " + "a b c: " * 5)),
        "vtt of numbers": ("vtt", lambda: _cues(3000, "1 " * 60)),
        "vtt of at signs": ("vtt", lambda: _cues(300, "a@" * 2000 + "x" * 2000)),
        "vtt of profanity and dots": ("vtt", lambda: _cues(3000, "U.S. Mr. e.g. ... !? " * 4)),
        "srt of 12,000 overlapping words": ("srt", lambda: _cues(4000, "three more words", 900).replace(b"WEBVTT\n\n", b"")),
        "utf-16": ("vtt", lambda: b"\xff\xfe" + GOOD.decode().encode("utf-16-le")),
        "utf-16 of wide letters, 15 MB": ("vtt", lambda: b"\xff\xfe" + ("\U0001f3b5" * (15 * MB // 4)).encode("utf-16-le")),
        "one wide letter, 15 MB": ("vtt", lambda: _cues(1, "\U0001f3b5" + "word, " * (5 * MB // 2))),
        "nothing": ("vtt", lambda: b""),
        "blanks": ("json3", lambda: b" \n" * 1000),
        "zeros": ("json3", lambda: bytes(MB)),
        "html": ("vtt", lambda: b"<!DOCTYPE html><html><body>Sign in</body></html>"),
        "a film": ("vtt", lambda: b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 4000),
    }  # fmt: skip
