"""Makes a script's caption files in the formats of the site's `timedtext` that are read: json3 and vtt.

Automatic tracks are lower case without punctuation, each word with its own time, in rolling lines: a line stays up
while the next is spoken, so events overlap, with a newline event between them. Manual tracks are punctuated cues of
a few seconds without word times.
"""

import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from miniyoutube.answers import Json
from miniyoutube.script import Script, Word, as_written, shots_of

_WORDS_A_LINE = 7
"""Words per line in automatic captions."""
_CUE_CHARACTERS = 70
"""Most characters of a manual cue."""

CLEARED_AFTER_MS = 150
"""A pause this long clears the caption screen."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A line of a manual track."""

    start_ms: int
    end_ms: int
    text: str


def manual_cues(script: Script) -> list[Cue]:
    """The punctuated cues: each sentence in pieces of at most 70 characters, timed by its words."""
    return [cue for shot in shots_of(script) if shot.words for cue in _cues_of(shot.words)]


def automatic_lines(script: Script) -> list[tuple[Word, ...]]:
    """The lines of an automatic track: up to seven words each, broken at pauses, regardless of grammar."""
    return [
        shot.words[i : i + _WORDS_A_LINE] for shot in shots_of(script) for i in range(0, len(shot.words), _WORDS_A_LINE)
    ]


def automatic_json3(script: Script) -> bytes:
    """The automatic track in json3: a window event, then rolling lines with an offset for each word."""
    events: list[Json] = [
        {"tStartMs": 0, "dDurationMs": script.duration_ms, "id": 1, "wpWinPosId": 1, "wsWinStyleId": 1}
    ]
    lines = automatic_lines(script)
    for i, line in enumerate(lines):
        start_ms = line[0].start_ms
        if i:
            pause_ms = max(1, start_ms - lines[i - 1][-1].start_ms)
            events.append(
                {
                    "tStartMs": start_ms - 10,
                    "dDurationMs": pause_ms,
                    "wWinId": 1,
                    "aAppend": 1,
                    "segs": [{"utf8": "\n"}],
                }
            )
        gone_ms = lines[i + 1][-1].end_ms if i + 1 < len(lines) else line[-1].end_ms + 500
        events.append(
            {
                "tStartMs": start_ms,
                "dDurationMs": gone_ms - start_ms,
                "wWinId": 1,
                "segs": [_automatic_segment(word, start_ms, j) for j, word in enumerate(line)],
            }
        )
    return _json({"wireMagic": "pb3", "pens": [{}], "wsWinStyles": [{}], "wpWinPositions": [{}], "events": events})


def manual_json3(script: Script) -> bytes:
    """The manual track in json3: an event for each cue, its text in a single segment."""
    events = [
        {"tStartMs": cue.start_ms, "dDurationMs": cue.end_ms - cue.start_ms, "segs": [{"utf8": cue.text}]}
        for cue in manual_cues(script)
    ]
    return _json({"wireMagic": "pb3", "pens": [{}], "wsWinStyles": [{}], "wpWinPositions": [{}], "events": events})


def caption_file(script: Script, kind: str, format_: str) -> bytes | None:
    """A track's file; `kind` is "manual" or "auto"; None for a format that isn't served."""
    makers: dict[tuple[str, str], Callable[[Script], bytes]] = {
        ("auto", "json3"): automatic_json3,
        ("manual", "json3"): manual_json3,
        ("auto", "vtt"): _automatic_vtt,
        ("manual", "vtt"): lambda script: _vtt(manual_cues(script)),
    }
    make = makers.get((kind, format_))
    return make(script) if make else None


def _automatic_segment(word: Word, line_start_ms: int, index: int) -> Json:
    segment: Json = {"utf8": word.text if index == 0 else f" {word.text}", "acAsrConf": 0}
    if index:
        segment["tOffsetMs"] = word.start_ms - line_start_ms
    return segment


def _cues_of(words: Sequence[Word]) -> list[Cue]:
    """Splits a sentence into cues, between words."""
    written = as_written(tuple(words)).split()
    cues, first = [], 0
    for i in range(len(words)):
        text = " ".join(written[first : i + 1])
        is_last = i + 1 == len(words)
        if is_last or len(text) + 1 + len(written[i + 1]) > _CUE_CHARACTERS:
            cues.append(Cue(words[first].start_ms, words[i].end_ms, text))
            first = i + 1
    return cues


def _automatic_vtt(script: Script) -> bytes:
    """The automatic track in vtt: every line comes twice, once growing with word times, once complete.

    It is shown above the next line while that grows, unless a pause between the two cleared the screen.
    """
    blocks, before, shown_until_ms = [], "", 0
    for line in automatic_lines(script):
        before = before if line[0].start_ms - shown_until_ms < CLEARED_AFTER_MS else ""
        timed = line[0].text + "".join(f"<{_clock(word.start_ms)}><c> {word.text}</c>" for word in line[1:])
        text = " ".join(word.text for word in line)
        start, end = _clock(line[0].start_ms), _clock(line[-1].end_ms)
        blocks.append(f"{start} --> {end} align:start position:0%\n{before or ' '}\n{timed}\n")
        blocks.append(f"{end} --> {_clock(line[-1].end_ms + 10)} align:start position:0%\n{text}\n \n")
        before, shown_until_ms = text, line[-1].end_ms + 10
    return ("WEBVTT\nKind: captions\nLanguage: en\n\n" + "\n".join(blocks)).encode()


def _vtt(cues: Sequence[Cue]) -> bytes:
    blocks = [f"{_clock(c.start_ms)} --> {_clock(c.end_ms)}\n{html.escape(c.text, quote=False)}\n" for c in cues]
    return ("WEBVTT\nKind: captions\nLanguage: en\n\n" + "\n".join(blocks)).encode()


def _clock(ms: int) -> str:
    """HH:MM:SS.mmm"""
    seconds, rest_ms = divmod(ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{rest_ms:03}"


def _json(data: Json) -> bytes:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()
