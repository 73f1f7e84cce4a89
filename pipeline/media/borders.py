"""Moves the borders of planned clips into the nearest silence, within what the words of the captions allow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from manifests.rows import WordRow
from manifests.sample import GIVEN
from pipeline.media.cutting.span import Span
from pipeline.media.speech import REACH_MS, Speech

_INSIDE_SILENCE_MS = 20
"""How far inside a silence a border is put: detectors differ by a step or two."""


@dataclass(frozen=True, slots=True)
class ClipWords:
    """The words of a clip: `n` of its video's, from index `first` on, in source time."""

    of_video: Sequence[WordRow]
    first: int
    n: int

    @property
    def own(self) -> Sequence[WordRow]:
        """The clip's words."""
        return self.of_video[self.first : self.first + self.n]


def in_silence(span: Span, row: Mapping[str, Any], words: ClipWords | None, speech: Speech, duration_ms: int) -> Span:
    """The span of a planned clip (a row of CLIPS) with its borders moved; the same if it was given, or has no words.

    Borders that two clips have in one pause of the captions go into the same silence, in the same order.
    """
    if row["boundary_model"] == GIVEN or not words or not words.n:
        return span
    start, end = (
        _moved(border, words.of_video, at, speech, duration_ms)
        for border, at in ((span.start_ms, words.first), (span.end_ms, words.first + words.n))
    )
    return replace(span, start_ms=start, end_ms=end) if start < end else span


def _moved(border_ms: int, words: Sequence[WordRow], at: int, speech: Speech, duration_ms: int) -> int:
    """Moves a border before word `at` into the silence nearest to the middle of the pause that the captions have there.

    It passes neither the word before nor the one after: many tracks say only when a word begins, and begin a word with
    the pause before it, so that one may end as late as the next begins.
    """
    earliest = words[at - 1]["start_ms"] if at else 0
    latest = words[at + 1]["start_ms"] if at + 1 < len(words) else duration_ms
    middle = (words[at - 1]["end_ms"] + words[at]["start_ms"]) // 2 if 0 < at < len(words) else border_ms
    if abs(middle - border_ms) > REACH_MS:
        middle = border_ms
    near = max(earliest, middle - 2 * REACH_MS), min(latest, middle + 2 * REACH_MS)
    nearest = min(speech.silences(*near), key=lambda s: max(s[0] - middle, middle - s[1], 0), default=None)
    if nearest is None:
        return border_ms
    margin = min(_INSIDE_SILENCE_MS, (nearest[1] - nearest[0]) // 2)
    moved = min(max(border_ms, nearest[0] + margin), nearest[1] - margin)
    return moved if abs(moved - border_ms) <= REACH_MS else border_ms
