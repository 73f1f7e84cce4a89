"""Text without word times of its own gets those of a stamped track: an edit-distance alignment of the two word lists.

Times are taken from runs of equal words only; between them words are placed by the length they are expected to have,
against the anchor on the side where their sentence continues. A lone equal word inside a long mismatch is no anchor
("the" is found everywhere).
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rapidfuzz.distance import Levenshtein

from pipeline.text.boundary.marks import sentence_ends
from pipeline.text.captions.track import Event, Track, Word
from pipeline.text.captions.words import in_time_order

LONE_MISMATCH = 3
"""A single equal word is trusted only if the mismatches beside it are at most this long."""
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
    """The text's words with times, and for each whether it was anchored on an equal stamped word."""

    words: tuple[Word, ...]
    anchored: tuple[bool, ...]

    @property
    def confidence(self) -> float:
        """Share of the words that were anchored."""
        return confidence_of(self.anchored)


def confidence_of(anchored: Sequence[bool]) -> float:
    """Share of anchored words; 1.0 of none."""
    return sum(anchored) / len(anchored) if anchored else 1.0


def align_words(text_words: Sequence[str], timed_words: Sequence[Word]) -> Alignment:
    """The text's words, in their order, with the times of the stamped words. Another speech gives no anchor."""
    texts = [comparable(text) for text in text_words]
    stamped = [comparable(word.text) for word in timed_words]
    partner = _partners(texts, stamped)
    words = _place(list(text_words), partner, timed_words)
    return Alignment(tuple(in_time_order(words)), tuple(p is not None for p in partner))


def align_track(text: Track, stamped: Track, *, min_confidence: float = 0.0) -> tuple[Track, Alignment]:
    """A manual track with an automatic track's word times; events keep their own.

    Where the two are not of one speech (confidence below the limit) the text keeps its own cue times, and the
    alignment's `anchored` says so.
    """
    found = align_words([word.text for word in text.words], stamped.words)
    if found.confidence < min_confidence or not stamped.words:
        return text, Alignment(text.words, (False,) * len(text.words))
    aligned = Track(
        words=found.words,
        events=_moved_events(text, found.words),
        format=text.format,
        kind="manual_aligned",
        language=text.language,
        punctuated=text.punctuated,
        word_timed=True,
        false_times=text.false_times,
    )
    return aligned, found


def comparable(text: str) -> str:
    """A word as it is compared: letters and digits alone, small numbers as digits."""
    text = text.lower().replace("’", "'").strip(".,;:!?…\"”“'()[]«»–—-")
    text = _AS_DIGITS.get(text, text)
    return text if text.isalnum() else "".join(char for char in text if char.isalnum()) or text


def _partners(texts: list[str], stamped: list[str]) -> list[int | None]:
    """For each text word the stamped word that is its anchor, or None."""
    partner: list[int | None] = [None] * len(texts)
    blocks = list(Levenshtein.opcodes(texts, stamped))
    for number, block in enumerate(blocks):
        if block.tag != "equal":
            continue
        size = block.src_end - block.src_start
        if size == 1 and len(texts[block.src_start]) < 6 and _mismatch_beside(blocks, number) > LONE_MISMATCH:
            continue
        for k in range(size):
            partner[block.src_start + k] = block.dest_start + k
    return partner


def _mismatch_beside(blocks: Sequence[Any], number: int) -> int:
    """The length of the longer mismatch next to a block."""
    sizes = [
        max(block.src_end - block.src_start, block.dest_end - block.dest_start)
        for block in [*blocks[max(number - 1, 0) : number], *blocks[number + 1 : number + 2]]
        if block.tag != "equal"
    ]
    return max(sizes, default=0)


def _place(texts: list[str], partner: list[int | None], timed: Sequence[Word]) -> list[Word]:
    """Words with times: anchored ones take their partner's, the others lie between the anchors beside them."""
    if not timed:
        return [Word(text, 0, 0, False) for text in texts]
    ends = sentence_ends(texts)
    words: list[Word] = []
    at = 0
    while at < len(texts):
        mate = partner[at]
        if mate is not None:
            words.append(replace(timed[mate], text=texts[at]))
            at += 1
            continue
        end = at
        while end < len(texts) and partner[end] is None:
            end += 1
        before = partner[at - 1] if at else None
        after = partner[end] if end < len(texts) else None
        n_left = _words_before_a_break(ends, at, end)
        words.extend(_fill(texts[at:end], n_left, before, after, timed))
        at = end
    return words


def _words_before_a_break(ends: Sequence[bool], first: int, last: int) -> int:
    """How many of the words first to last (exclusive) belong to what stands before them: up to the last sentence end.

    Where no sentence ends there, half of them.
    """
    for at in range(last - 1, max(first - 2, -1), -1):
        if ends[at]:
            return at + 1 - first
    return (last - first) // 2


def _fill(texts: list[str], n_left: int, before: int | None, after: int | None, timed: Sequence[Word]) -> list[Word]:
    """Words without an anchor, between the stamped words `before` and `after` (None: the track's edge).

    As many stamped words there: one takes the times of one. More or fewer: the same span by length. None: the first
    `n_left` words follow the anchor before, the others lead up to the anchor after.
    """
    skipped = timed[before + 1 if before is not None else 0 : after if after is not None else len(timed)]
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
    """From where the word before is expected to end to where the word after starts; at a track's edge, as needed."""
    if before is None:
        right = timed[after].start_ms if after is not None else needed_ms
        return max(0, right - needed_ms), right
    word = timed[before]
    left = min(word.start_ms + expected_ms(word.text), max(word.end_ms, word.start_ms))
    right = timed[after].start_ms if after is not None else left + needed_ms
    return left, max(left, right)


def _over(texts: Sequence[str], lengths: Sequence[int], left: int, right: int) -> list[Word]:
    """Words spread over a span in proportion to their lengths."""
    total, passed, words = sum(lengths) or 1, 0, []
    for text, length in zip(texts, lengths, strict=True):
        start = left + (right - left) * passed // total
        passed += length
        words.append(Word(text, start, left + (right - left) * passed // total, False))
    return words


def expected_ms(text: str) -> int:
    """How long a word is expected to last, ms."""
    return MIN_WORD_MS + LETTER_MS * len(text)


def _moved_events(text: Track, words: Sequence[Word]) -> tuple[Event, ...]:
    """The text's events; a speaker mark goes where the word that it precedes went."""
    starts = [word.start_ms for word in text.words]
    moved = []
    for event in text.events:
        at = bisect_left(starts, event.start_ms)
        if event.kind in ("speaker_change", "speaker") and at < len(words):
            event = replace(event, start_ms=words[at].start_ms, end_ms=words[at].start_ms)
        moved.append(event)
    return tuple(sorted(moved, key=lambda event: event.start_ms))
