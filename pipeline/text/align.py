"""Gives text without its own word times those of a stamped track, by an edit-distance alignment of the two word lists.

Anchors are equal words, and words that are equal once joined or split ("ice cream", "icecream"). Where only a few words
are between two anchors, misheard ones ("models" as "model") take the stamps nearest to their expected times; the rest
are placed by their expected lengths, next to the anchor on the side where their sentence continues. A single equal word
inside a long mismatch is not an anchor ("the" occurs everywhere).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from typing import Any, NamedTuple

from rapidfuzz.distance import Levenshtein

from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions.track import Event, Track, Word
from pipeline.text.captions.words import in_time_order

LONE_MISMATCH = 3
"""A single equal word is an anchor only if the mismatches beside it are at most this long."""
MAX_JOINED = 4
"""At most this many words may be written as one."""
JOINED_LETTERS = 4
"""Joined words of fewer letters are not evidence."""
JOIN_REACH = 12
"""Joined words are looked for in mismatches of at most this many words on each side."""
MISHEARD = 4
"""Misheard words are matched where at most this many words are between two anchors."""
MIN_WORD_MS, LETTER_MS = 90, 45
"""Expected length of a word: measured on stamped tracks with known word ends (median; speech at 3 words a second)."""

_NUMBERS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen twenty
"""
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_AS_DIGITS = {word: str(n) for n, word in enumerate(_NUMBERS.split())}
_AS_DIGITS |= {word: str(10 * n) for n, word in enumerate(_TENS.split(), start=3)}
_AS_DIGITS |= {"&": "and", "%": "percent", "+": "plus", "=": "equals", "ok": "okay", "'cause": "because"}


@dataclass(frozen=True, slots=True)
class Alignment:
    """The text's words with times, and for each whether it was anchored on an equal stamped word.

    A word that has its own stamp, equal or not, is `timed`.
    """

    words: tuple[Word, ...]
    anchored: tuple[bool, ...]
    confidence: float
    """Share of the words that have a stamp of the other track; 1.0 if there are no words."""


def align_words(text_words: Sequence[str], timed_words: Sequence[Word]) -> Alignment:
    """Returns the text's words, in order, with the times of the stamped words. Different speech gives no anchors."""
    texts = [comparable(text) for text in text_words]
    stamped = [comparable(word.text) for word in timed_words]
    anchors = _anchors(texts, stamped, text_words, timed_words)
    ends = sentence_ends(text_words)
    standing = _with_misheard(text_words, anchors, ends, timed_words)
    words = in_time_order(_place(list(text_words), standing, ends, timed_words))
    anchored = [False] * len(texts)
    for anchor in anchors:
        anchored[anchor.first : anchor.last] = [True] * (anchor.last - anchor.first)
    confidence = sum(word.timed for word in words) / len(words) if words else 1.0
    return Alignment(tuple(words), tuple(anchored), confidence)


def align_track(text: Track, stamped: Track, *, min_confidence: float = 0.0) -> tuple[Track, Alignment]:
    """Returns a manual track with an automatic track's word times; events keep their own.

    If the two do not carry the same speech (confidence below the limit), the text keeps its own cue times and no word
    of the alignment is `anchored`.
    """
    alignment = align_words([word.text for word in text.words], stamped.words)
    if alignment.confidence < min_confidence or not stamped.words:
        return text, Alignment(text.words, (False,) * len(text.words), 0.0)
    aligned = Track(
        words=alignment.words,
        events=_moved_events(text, alignment.words),
        format=text.format,
        kind="manual_aligned",
        language=text.language,
        punctuated=text.punctuated,
        word_timed=True,
        false_times=text.false_times,
    )
    return aligned, alignment


def comparable(text: str) -> str:
    """The form in which words are compared: letters and digits alone, small numbers as digits."""
    text = text.lower().replace("’", "'").strip(".,;:!?…\"”“'()[]«»–—-")
    text = _AS_DIGITS.get(text, text)
    return text if text.isalnum() else "".join(char for char in text if char.isalnum()) or text


class _Anchor(NamedTuple):
    """Words first to last (exclusive) of the text match the stamped words from `at` to `end` (exclusive)."""

    first: int
    last: int
    at: int
    end: int


def _anchors(
    texts: list[str], stamped: list[str], text_words: Sequence[str], timed_words: Sequence[Word]
) -> list[_Anchor]:
    """Finds what is equal in both, in order: single words, and words joined or split."""
    anchors: list[_Anchor] = []
    blocks = list(Levenshtein.opcodes(texts, stamped))
    at = 0
    while at < len(blocks):
        if blocks[at].tag == "equal":
            anchors += _equal_words(texts, blocks, at)
            at += 1
            continue
        end = at + 1
        while end < len(blocks) and blocks[end].tag != "equal":
            end += 1
        region = _Anchor(blocks[at].src_start, blocks[end - 1].src_end, blocks[at].dest_start, blocks[end - 1].dest_end)
        said = [_letters(text) for text in text_words[region.first : region.last]]
        heard = [_letters(word.text) for word in timed_words[region.at : region.end]]
        anchors += _joined_words(said, heard, region)
        at = end
    return anchors


def _equal_words(texts: list[str], blocks: Sequence[Any], number: int) -> list[_Anchor]:
    block = blocks[number]
    size = block.src_end - block.src_start
    if size == 1 and len(texts[block.src_start]) < 6 and _mismatch_beside(blocks, number) > LONE_MISMATCH:
        return []
    pairs = zip(range(block.src_start, block.src_end), range(block.dest_start, block.dest_end), strict=True)
    return [_Anchor(i, i + 1, j, j + 1) for i, j in pairs]


def _letters(text: str) -> str:
    """The form in which joined words are compared: "one" stays a word here, since it may be part of "everyone"."""
    return "".join(char for char in text.lower() if char.isalnum())


def _joined_words(said: list[str], heard: list[str], region: _Anchor) -> list[_Anchor]:
    """Finds words of a mismatch (`said` and `heard`, letters only) that are equal to their counterparts once joined."""
    n, m = len(said), len(heard)
    if not (0 < n <= JOIN_REACH and 0 < m <= JOIN_REACH) or n + m < 3:
        return []
    heard_at: dict[str, list[tuple[int, int]]] = {}
    for j in range(m):
        for k in range(1, min(MAX_JOINED, m - j) + 1):
            heard_at.setdefault("".join(heard[j : j + k]), []).append((j, j + k))
    anchors: list[_Anchor] = []
    i = floor = 0
    while i < n:
        for k in range(min(MAX_JOINED, n - i), 0, -1):
            text = "".join(said[i : i + k])
            spans = [span for span in heard_at.get(text, ()) if span[0] >= floor and span[1] - span[0] + k > 2]
            if len(text) >= JOINED_LETTERS and spans:
                at, end = spans[0]
                anchors.append(_Anchor(region.first + i, region.first + i + k, region.at + at, region.at + end))
                i, floor = i + k - 1, end
                break
        i += 1
    return anchors


def _mismatch_beside(blocks: Sequence[Any], number: int) -> int:
    """The length of the longer mismatch next to a block."""
    sizes = [
        max(block.src_end - block.src_start, block.dest_end - block.dest_start)
        for block in [*blocks[max(number - 1, 0) : number], *blocks[number + 1 : number + 2]]
        if block.tag != "equal"
    ]
    return max(sizes, default=0)


def _with_misheard(
    texts: Sequence[str], anchors: list[_Anchor], ends: Sequence[bool], timed: Sequence[Word]
) -> list[_Anchor]:
    """Returns the anchors and, between any two, pairs of words where the second was heard for the first."""
    extended = anchors[:1]
    for before, after in pairwise(anchors):
        n, m = after.first - before.last, after.at - before.end
        if 0 < m <= n <= MISHEARD:
            n_left = _words_before_a_break(ends, before.last, after.first)
            guess = _fill(list(texts[before.last : after.first]), n_left, before.end - 1, after.at, timed, skip=True)
            heard = [word.start_ms for word in timed[before.end : after.at]]
            for j, i in enumerate(_nearest([word.start_ms for word in guess], heard)):
                at, stamp = before.last + i, before.end + j
                extended.append(_Anchor(at, at + 1, stamp, stamp + 1))
        extended.append(after)
    return extended


def _nearest(expected_ms: Sequence[int], heard_ms: Sequence[int]) -> tuple[int, ...]:
    """Chooses an expected start for each heard start, in order, with the smallest sum of distances."""
    options = combinations(range(len(expected_ms)), len(heard_ms))
    return min(
        options, key=lambda chosen: sum(abs(expected_ms[i] - ms) for i, ms in zip(chosen, heard_ms, strict=True))
    )


def _place(texts: list[str], anchors: list[_Anchor], ends: Sequence[bool], timed: Sequence[Word]) -> list[Word]:
    """Gives words times: anchored ones take their partners', the others are placed between the anchors beside them."""
    if not timed:
        return [Word(text, 0, 0, False) for text in texts]
    words: list[Word] = []
    before: int | None = None
    for anchor in [*anchors, None]:
        at, end = len(words), anchor.first if anchor else len(texts)
        if end > at:
            after = anchor.at if anchor else None
            words.extend(_fill(texts[at:end], _words_before_a_break(ends, at, end), before, after, timed))
        if anchor:
            words.extend(_anchored(texts[anchor.first : anchor.last], timed[anchor.at : anchor.end]))
            before = anchor.end - 1
    return words


def _anchored(texts: list[str], partners: Sequence[Word]) -> list[Word]:
    """The words of an anchor: the first has its stamp; surplus words share the span in proportion to their lengths."""
    if len(texts) == len(partners) == 1:
        return [replace(partners[0], text=texts[0])]
    words = _over(texts, [len(text) for text in texts], partners[0].start_ms, partners[-1].end_ms)
    return [replace(words[0], timed=partners[0].timed), *words[1:]]


def _words_before_a_break(ends: Sequence[bool], first: int, last: int) -> int:
    """How many of the words first to last (exclusive) belong with the words before: those up to the last sentence end.

    Half of them if no sentence ends there.
    """
    for at in range(last - 1, max(first - 2, -1), -1):
        if ends[at]:
            return at + 1 - first
    return (last - first) // 2


def _fill(
    texts: list[str], n_left: int, before: int | None, after: int | None, timed: Sequence[Word], *, skip: bool = False
) -> list[Word]:
    """Places words without an anchor between the stamped words `before` and `after` (None: the track's edge).

    If there are as many stamped words in between, they share out the stamps one to one. If more or fewer, the words
    share their span by length. If none, or with `skip`, the first `n_left` words follow the anchor before, and the
    others lead up to the anchor after.
    """
    skipped = (
        () if skip else timed[before + 1 if before is not None else 0 : after if after is not None else len(timed)]
    )
    if len(skipped) == len(texts):
        return [replace(word, text=text, timed=False) for text, word in zip(texts, skipped, strict=True)]
    lengths = [expected_ms(text) for text in texts]
    if skipped:
        return _over(texts, lengths, skipped[0].start_ms, skipped[-1].end_ms)
    left, right = _room(sum(lengths), before, after, timed)
    if sum(lengths) >= right - left:
        return _over(texts, lengths, left, right)
    return [
        *_over(texts[:n_left], lengths[:n_left], left, left + sum(lengths[:n_left])),
        *_over(texts[n_left:], lengths[n_left:], right - sum(lengths[n_left:]), right),
    ]


def _room(needed_ms: int, before: int | None, after: int | None, timed: Sequence[Word]) -> tuple[int, int]:
    """From the expected end of the word before to the start of the word after; at a track's edge, as much as needed."""
    if before is None:
        right = timed[after].start_ms if after is not None else needed_ms
        return max(0, right - needed_ms), right
    word = timed[before]
    left = min(word.start_ms + expected_ms(word.text), max(word.end_ms, word.start_ms))
    right = timed[after].start_ms if after is not None else left + needed_ms
    return left, max(left, right)


def _over(texts: Sequence[str], lengths: Sequence[int], left: int, right: int) -> list[Word]:
    """Spreads words over a span in proportion to their lengths."""
    total, passed, words = sum(lengths) or 1, 0, []
    for text, length in zip(texts, lengths, strict=True):
        start = left + (right - left) * passed // total
        passed += length
        words.append(Word(text, start, left + (right - left) * passed // total, False))
    return words


def expected_ms(text: str) -> int:
    """The expected length of a word, ms."""
    return MIN_WORD_MS + LETTER_MS * len(text)


def _moved_events(text: Track, words: Sequence[Word]) -> tuple[Event, ...]:
    """The text's events; a speaker mark moves with the word that it precedes."""
    starts = [word.start_ms for word in text.words]
    moved = []
    for event in text.events:
        at = bisect_left(starts, event.start_ms)
        if event.kind in ("speaker_change", "speaker") and at < len(words):
            event = replace(event, start_ms=words[at].start_ms, end_ms=words[at].start_ms)
        moved.append(event)
    return tuple(sorted(moved, key=lambda event: event.start_ms))
