"""Reads the cue blocks that WebVTT and SubRip share, leniently: real files break every rule of both.

Everything before the first time line is the head (WEBVTT, Style, comments) and has no text. A time line starts a cue
even without a blank line before it.
"""

import re
from dataclasses import dataclass

_STAMP = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIME_LINE = re.compile(rf"^\s*{_STAMP}\s*-->\s*{_STAMP}(?!\d)")
_COMMENT = re.compile(r"^(NOTE|STYLE|REGION)(\s|$)")


@dataclass(slots=True)
class Cue:
    """One cue: its times and its raw lines, without blank ones."""

    start_ms: int
    end_ms: int
    lines: list[str]


def stamp_ms(hours: str | None, minutes: str, seconds: str, fraction: str) -> int:
    """Milliseconds from the four groups of a time stamp; `.5` is half a second."""
    whole = (int(hours or 0) * 60 + int(minutes)) * 60 + int(seconds)
    return whole * 1000 + int(fraction.ljust(3, "0"))


def read_cues(text: str, *, comments: bool) -> list[Cue]:
    """Returns the cues of a file in file order. `comments` (vtt): NOTE and STYLE blocks are skipped."""
    lines = text.split("\n")
    cues: list[Cue] = []
    in_comment, previous_index = False, -1
    for number, line in enumerate(lines):
        match = _TIME_LINE.match(line) if "-->" in line else None
        if match:
            previous_index = _take_identifier(cues, lines, number, previous_index, names=comments)
            groups = match.groups()
            cues.append(Cue(stamp_ms(*groups[:4]), stamp_ms(*groups[4:]), []))
            in_comment = False
        elif not line:
            in_comment = False
        elif in_comment or not cues:
            continue
        elif comments and not lines[number - 1] and _COMMENT.match(line):
            in_comment = True
        elif not line.isspace():
            cues[-1].lines.append(line)
    return cues


def _take_identifier(cues: list[Cue], lines: list[str], number: int, previous_index: int, *, names: bool) -> int:
    """Removes a cue number or name above a time line from the cue before; returns the latest srt number seen.

    With a blank line above, any number is an identifier and in vtt (`names`) any line is; directly below text, only a
    number that continues the count is an identifier: a spoken "7" stays.
    """
    above = lines[number - 1].strip() if number else ""
    index = int(above) if above.isascii() and above.isdigit() and len(above) < 9 else -1
    if not above:
        return previous_index
    if not cues:
        return index if index >= 0 else previous_index
    after_blank = not lines[number - 2].strip()
    number_line = index >= 0 and (after_blank or index == previous_index + 1)
    name_line = names and after_blank and len(cues[-1].lines) > 1
    if cues[-1].lines and (number_line or name_line):
        cues[-1].lines.pop()
    return index if index >= 0 else previous_index
