"""How much of each clip's own text a recogniser heard in its time.

In:  planned clips, the row of `heard` of their video        Out: `TextsHeard`
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from manifests.rows import ClipRow, HeardRow, WordRow
from manifests.sample import RECOGNISED

_BESIDE_MS = 200
"""Words heard this long before and after a clip count as its own: captions' times and those heard differ by as much."""

_NEAR_MS = 1500
"""A clip's first and last word are looked for so far from its borders."""
_MARK = re.compile(r"[.?!…。？！؟।]['\"”’)]*$")

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff"
"""Scripts that put no space between words (Thai, Lao, Burmese, Khmer, Japanese, Chinese): a letter is a word."""
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])[^\W_])+(?:'[^\W_]+)?")


@dataclass(frozen=True, slots=True)
class TextsHeard:
    """`shares`: by a clip's number how much of its text was heard, 0 to 1; without clips in whose time nothing was.
    `doubted`: the clips at whose start or end the recogniser hears a sentence go on.
    """

    by: str = ""
    shares: Mapping[int, float] = field(default_factory=dict)
    doubted: Collection[int] = ()


NOT_HEARD = TextsHeard()


def texts_heard(clips: Sequence[ClipRow], rows: Sequence[HeardRow]) -> TextsHeard:
    """Compares the texts of a video's clips with what was heard in it: its row, if it has one."""
    if not rows:
        return NOT_HEARD
    of_others = [clip for clip in clips if clip["caption_kind"] != RECOGNISED]
    said = {clip["n"]: said_in(rows[0]["words"], clip["start_ms"], clip["end_ms"]) for clip in of_others}
    shares = {clip["n"]: share_heard(clip["text"], heard) for clip in of_others if (heard := said[clip["n"]])}
    doubted = {clip["n"] for clip in of_others if clip["n"] in shares and is_doubted(clip, rows[0]["words"])}
    return TextsHeard(rows[0]["heard_by"], shares, doubted)


def is_doubted(clip: ClipRow, words: Sequence[WordRow]) -> bool:
    """Whether a sentence goes on at one of a clip's borders as it was heard: no mark ends the word before it.

    A border is found by the clip's first or last word, heard nearest to it; where that is not heard, nobody knows.
    """
    own = _words(clip["text"])
    if not own:
        return False
    starts, ends = clip["start_ms"], clip["end_ms"]
    before = _nearest(own[0], starts, words, "start_ms") - 1
    last = _nearest(own[-1], ends, words, "end_ms")
    return any(0 <= i < len(words) - 1 and not _MARK.search(words[i]["text"]) for i in (before, last))


def _nearest(word: str, at_ms: int, words: Sequence[WordRow], side: Literal["start_ms", "end_ms"]) -> int:
    """The index of the nearest word heard that is this one, -1 if none is near."""
    first, last = (bisect_left(words, at_ms + by, key=lambda heard: heard[side]) for by in (-_NEAR_MS, _NEAR_MS))
    same = [i for i in range(first, last) if _words(words[i]["text"]) == [word]]
    return min(same, key=lambda i: abs(words[i][side] - at_ms), default=-1)


def said_in(words: Iterable[WordRow], start_ms: int, end_ms: int) -> str:
    """What was heard from start_ms to end_ms, and a little around."""
    first, last = start_ms - _BESIDE_MS, end_ms + _BESIDE_MS
    return " ".join(word["text"] for word in words if word["end_ms"] > first and word["start_ms"] < last)


def share_heard(text: str, heard: str) -> float:
    """Of the words of a text and those heard, the share that are in both in the same order, 0 to 1 (an F1)."""
    from rapidfuzz.distance import LCSseq  # here, since `cut` imports this module and compares no texts

    own, other = _words(text), _words(heard)
    return round(2 * LCSseq.similarity(own, other) / max(1, len(own) + len(other)), 4)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold().replace("’", "'"))
