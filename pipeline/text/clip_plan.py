"""Sentences to clips: the plan of one video.

A clip is a run of whole sentences near a target length. The plan is the cheapest way to cut the list of sentences,
where a clip costs the square of its distance to the target; it is a pure function of its arguments. Sentences longer
than the bound are split between words, at the longest silence. No word is cut, and clips do not overlap by default.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.config.text import ClipConfig
from pipeline.text.captions.track import Word
from pipeline.text.sentences import Sentence

SCENE_REACH_MS = 250
"""A scene cut this near to a gap between words is taken as lying in it."""
MAX_SENTENCES = 64
"""A clip never joins more sentences than this: it bounds the work on a track whose times stand still."""
BORDER_SHARE = 0.15
"""Share of a sentence's length at its ends where a long one is not split."""


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """Words `first` to `last` (exclusive) and the span to cut, padding included."""

    first: int
    last: int
    start_ms: int
    end_ms: int
    text: str
    confidence: float
    """Share of the clip's words that stand on a stamp (1.0 where no alignment was needed)."""


def plan_clips(
    words: Sequence[Word],
    sentences: Sequence[Sentence],
    config: ClipConfig,
    *,
    anchored: Sequence[bool] | None = None,
    scene_cuts_ms: Sequence[int] = (),
    duration_ms: int = 0,
) -> list[PlannedClip]:
    """The clips of a video in time order.

    `anchored` (from an alignment): which words have a stamp of their own; None: all. Clips end at
    `scene_cuts_ms` that fall between words; a run knows cuts only once it has the media, and splits there
    (`media.scenes.action: split`). `duration_ms` (0: not known) bounds the last clip.
    """
    cuts = sorted(scene_cuts_ms)
    spans = [part for s in sentences for part in _split_sentence(words, s.first, s.last, config, cuts)]
    groups = [clip for group in _groups(words, spans, config, cuts) for clip in _join(words, group, config)]
    return _padded(words, groups, config, anchored, duration_ms)


Span = tuple[int, int]


def _length_ms(words: Sequence[Word], first: int, last: int) -> int:
    return words[last - 1].end_ms - words[first].start_ms


def _split_sentence(
    words: Sequence[Word], first: int, last: int, config: ClipConfig, cuts: Sequence[int]
) -> list[Span]:
    """A sentence as spans within the bounds: cut at silences over the limit, at scene cuts, and where too long."""
    limit_ms = round(config.max_s * 1000) - 2 * config.pad_ms
    bounds = [first]
    bounds += [i for i in range(first + 1, last) if _must_break(words, i, config, cuts)]
    bounds.append(last)
    done: list[Span] = []
    waiting = list(pairwise(bounds))[::-1]
    while waiting:
        a, b = waiting.pop()
        if b - a < 2 or _length_ms(words, a, b) <= limit_ms:
            done.append((a, b))
            continue
        cut = _best_cut(words, a, b)
        waiting += [(cut, b), (a, cut)]
    return done


def _must_break(words: Sequence[Word], at: int, config: ClipConfig, cuts: Sequence[int]) -> bool:
    """Whether clips must part before word `at`: a long silence, or a scene cut between the two words."""
    gap = words[at].start_ms - words[at - 1].end_ms
    return gap > config.max_gap_s * 1000 or _cut_between(words[at - 1].end_ms, words[at].start_ms, cuts)


def _cut_between(end_ms: int, start_ms: int, cuts: Sequence[int]) -> bool:
    at = bisect_left(cuts, end_ms - SCENE_REACH_MS)
    return at < len(cuts) and cuts[at] <= start_ms + SCENE_REACH_MS


def _best_cut(words: Sequence[Word], first: int, last: int) -> int:
    """Where to split too long a span: before the word after the longest silence, away from the ends; commas help."""
    margin = max(1, round((last - first) * BORDER_SHARE))
    middle = (first + last) / 2

    def worth(i: int) -> tuple[float, float]:
        gap = words[i].start_ms - words[i - 1].start_ms
        comma = 400 if words[i - 1].text[-1:] in ",;:–—-" else 0
        return gap + comma, -abs(i - middle)

    return max(range(first + margin, last - margin + 1), key=worth)


def _groups(words: Sequence[Word], spans: Sequence[Span], config: ClipConfig, cuts: Sequence[int]) -> list[list[Span]]:
    """Runs of spans that may be joined: parted by long silences and scene cuts."""
    groups: list[list[Span]] = []
    for span in spans:
        if groups and not _must_break(words, span[0], config, cuts):
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _join(words: Sequence[Word], spans: Sequence[Span], config: ClipConfig) -> list[Span]:
    """The cheapest partition of consecutive spans into clips (dynamic programming over the last clip's first span)."""
    limit_ms = round(config.max_s * 1000) - 2 * config.pad_ms
    best: list[tuple[float, int]] = [(0.0, 0)]
    for j in range(1, len(spans) + 1):
        options = []
        for i in range(j - 1, max(j - 1 - MAX_SENTENCES, -1), -1):
            length = _length_ms(words, spans[i][0], spans[j - 1][1])
            if length > limit_ms and i < j - 1:
                break
            options.append((best[i][0] + _cost(length, spans[j - 1][1] - spans[i][0], config), i))
        best.append(min(options))
    clips: list[Span] = []
    j = len(spans)
    while j > 0:
        i = best[j][1]
        clips.append((spans[i][0], spans[j - 1][1]))
        j = i
    return clips[::-1]


def _cost(length_ms: int, n_words: int, config: ClipConfig) -> float:
    """Squared distance to the target that the configuration steers by, in shares of it; too short costs more."""
    if config.steer_by == "words":
        miss = n_words / config.target_words - 1
    else:
        miss = (length_ms + 2 * config.pad_ms) / (config.target_s * 1000) - 1
    too_short = 4.0 if length_ms < config.min_s * 1000 else 0.0
    return miss * miss + too_short


def _padded(
    words: Sequence[Word], spans: Sequence[Span], config: ClipConfig, anchored: Sequence[bool] | None, duration_ms: int
) -> list[PlannedClip]:
    """Spans as clips with room around them: never over a neighbouring word, and shared with a neighbouring clip."""
    clips = []
    for first, last in spans:
        start, end = words[first].start_ms, words[last - 1].end_ms
        before = words[first - 1].end_ms if first else 0
        video_end = max(duration_ms, end) if duration_ms else end + config.pad_ms
        after = words[last].start_ms if last < len(words) else video_end
        clip_start = start - min(config.pad_ms, _room(start - before, first > 0, config))
        clip_end = end + min(config.pad_ms, _room(after - end, last < len(words), config))
        trusted = sum(anchored[first:last]) / (last - first) if anchored is not None else 1.0
        text = " ".join(word.text for word in words[first:last])
        clips.append(PlannedClip(first, last, clip_start, clip_end, text, round(trusted, 4)))
    return clips


def _room(gap_ms: int, shared: bool, config: ClipConfig) -> int:
    """How much of a silence a clip may take: half where another clip begins beyond it, plus the allowed overlap."""
    gap_ms = max(gap_ms, 0)
    return min(gap_ms, gap_ms // 2 + config.overlap_ms) if shared else gap_ms
