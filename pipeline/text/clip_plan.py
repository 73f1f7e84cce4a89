"""Plans the clips of one video from its words.

A clip is a run of whole sentences near a target length. The plan is the cheapest partition of the words. A clip costs
the square of its distance to the target. A border inside speech costs `border_weight` times -log of the probability
that a sentence ends there, plus `unmarked_weight` times the probability that there is no mark at all. A doubtful border
costs the mean of the video's doubtful borders less; a certain border costs nothing. So a doubtful border is used only
where the lengths gain by it, rather at a comma than inside a clause, and doubt alone makes no clip longer, nor shorter
where ends are certain. Planning is a pure function of its arguments. Speech without a likely sentence end within the
length limit is split at its longest silence. No word is cut, and clips do not overlap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pipeline.config.text import ClipConfig
from pipeline.text.boundary.evidence import Marks
from pipeline.text.captions.pace import words_in
from pipeline.text.captions.track import Word

MAX_GAP_MS = 2000
"""A longer silence ends a clip, unless the sentence goes on after it."""
MAX_PAUSE_MS = 10_000
"""A longer silence ends a clip in any case; captions that are typed live come in rows with up to this between them."""
GOES_ON = 0.5
"""A sentence goes on where its end is less probable than this."""
MIN_END = 0.02
"""No clip ends where a sentence end is less probable than this, unless nothing else keeps it within the limit."""
MAX_SPANS = 64
"""A clip never joins more spans between possible borders than this: it bounds the work where times do not advance."""
N_PLANS = 2
"""The plan is made this many times: the second time, each doubtful border is refunded the mean cost of the doubtful
borders of the first plan (see `_join`). A third time would change nothing more.
"""


@dataclass(frozen=True, slots=True)
class BorderCosts:
    """What a border costs that may be no sentence end, against missing the target; measured in docs/lab/text.md."""

    border_weight: float = 1.5
    """Times -log of the probability of a sentence end."""
    unmarked_weight: float = 3.0
    """Times the probability that not even a comma belongs there."""


BORDER_COSTS = BorderCosts()
BORDER_SHARE = 0.15
"""Share of a long span's length at each end where it is not split."""


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """Words `first` to `last` (exclusive) and the span to cut, padding included."""

    first: int
    last: int
    start_ms: int
    end_ms: int
    text: str
    confidence: float
    """Share of the clip's words that have a stamp (1.0 if no alignment was needed)."""


def plan_clips(
    words: Sequence[Word],
    marks: Marks,
    config: ClipConfig,
    *,
    anchored: Sequence[bool] | None = None,
    duration_ms: int = 0,
    weights: BorderCosts = BORDER_COSTS,
) -> list[PlannedClip]:
    """Plans the clips of a video, in time order.

    `marks`: the marks after each of n words. `anchored` (from an alignment): which words have a stamp of their own;
    None: all. `duration_ms` (0: unknown) limits the last clip. Scene cuts are known only once the media is there, and
    may split clips then (`media.scenes.action: split`).
    """
    if not words:
        return []
    times = _Times(words)
    bounds = [0, *(np.flatnonzero(_must_part(times, marks)) + 1).tolist(), len(words)]
    groups = [_group(words, times, marks, first, last, config, weights) for first, last in pairwise(bounds)]
    refund = 0.0
    for _ in range(N_PLANS):
        joined = [_join(group, refund) for group in groups]
        paid = np.concatenate([group.paid_for_doubt(borders) for group, borders in zip(groups, joined, strict=True)])
        refund = float(paid.mean()) if len(paid) else 0.0
    spans = [span for group, borders in zip(groups, joined, strict=True) for span in group.spans(borders)]
    return _padded(words, spans, config, anchored, duration_ms)


Span = tuple[int, int]


class _Times:
    """Starts and ends of the words in ms, [n] each; and how many words there are before each and at the end [n + 1]."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.starts = np.fromiter((word.start_ms for word in words), np.int64, len(words))
        self.ends = np.fromiter((word.end_ms for word in words), np.int64, len(words))
        self.counted = np.cumsum([0.0, *(words_in(word.text) for word in words)])


def _must_part(times: _Times, marks: Marks) -> NDArray[np.bool_]:
    """[n - 1] whether clips must part after each word: at a silence that is long for where it is."""
    parted: NDArray[np.bool_] = times.starts[1:] - times.ends[:-1] > np.where(
        marks.ends[:-1] < GOES_ON, MAX_PAUSE_MS, MAX_GAP_MS
    )
    return parted


@dataclass(frozen=True, slots=True)
class _Group:
    """Words between which no silence forces a border, as m spans that clips consist of.

    bounds [m + 1]: the words where the spans begin, and the end; costs [m]: the cost of a border after each span;
    doubtful [m]: whether a sentence may end there, or not (neither certain nor the split of a long span);
    lengths [m, k]: the cost of a clip that ends with each span and has k, k - 1, ... 1 spans.
    """

    bounds: NDArray[np.int64]
    costs: NDArray[np.float64]
    doubtful: NDArray[np.bool_]
    lengths: NDArray[np.float64]

    def paid_for_doubt(self, borders: NDArray[np.int64]) -> NDArray[np.float64]:
        """Returns the costs of the doubtful borders among these spans."""
        costs: NDArray[np.float64] = self.costs[borders][self.doubtful[borders]]
        return costs

    def spans(self, borders: NDArray[np.int64]) -> list[Span]:
        """Returns the words of the clips that end with these spans."""
        return list(pairwise([int(self.bounds[0]), *self.bounds[borders + 1].tolist()]))


def _group(
    words: Sequence[Word], times: _Times, marks: Marks, first: int, last: int, config: ClipConfig, weights: BorderCosts
) -> _Group:
    """Divides words first to last (exclusive): clips may end where a sentence may or where a long span is split."""
    limit_ms = round(config.max_s * 1000) - 2 * config.pad_ms
    likely = (np.flatnonzero(marks.ends[first : last - 1] >= MIN_END) + first + 1).tolist()
    cuts = [first]
    for a, b in pairwise([first, *likely, last]):
        cuts += _within(words, times, a, b, limit_ms)
    bounds = np.array(cuts, np.int64)
    ends, inner = (np.append(column[bounds[1:-1] - 1], end) for column, end in ((marks.ends, 1.0), (marks.inner, 0.0)))
    costs = -weights.border_weight * np.log(np.maximum(ends, MIN_END)) + weights.unmarked_weight * (1 - ends - inner)
    return _Group(bounds, costs, (ends >= MIN_END) & (ends < 1), _lengths(times, bounds, limit_ms, config))


def _within(words: Sequence[Word], times: _Times, first: int, last: int, limit_ms: int) -> list[int]:
    """The ends of a span's parts, each within the limit: a span that is too long is split at its longest silences."""
    done: list[int] = []
    waiting = [(first, last)]
    while waiting:
        a, b = waiting.pop()
        if b - a < 2 or times.ends[b - 1] - times.starts[a] <= limit_ms:
            done.append(b)
            continue
        cut = _best_cut(words, a, b)
        waiting += [(cut, b), (a, cut)]
    return done


def _best_cut(words: Sequence[Word], first: int, last: int) -> int:
    """The word before which to split a long span: after the longest silence, away from the ends; commas count extra."""
    margin = max(1, round((last - first) * BORDER_SHARE))
    middle = (first + last) / 2

    def worth(i: int) -> tuple[float, float]:
        gap = words[i].start_ms - words[i - 1].start_ms
        comma = 400 if words[i - 1].text[-1:] in ",;:–—-" else 0
        return gap + comma, -abs(i - middle)

    return max(range(first + margin, last - margin + 1), key=worth)


def _lengths(times: _Times, bounds: NDArray[np.int64], limit_ms: int, config: ClipConfig) -> NDArray[np.float64]:
    """See `_Group.lengths`; infinite where a clip of several spans would be too long."""
    starts, ends = times.starts[bounds[:-1]], times.ends[bounds[1:] - 1]
    last = np.arange(len(starts))
    fits = np.searchsorted(starts, ends - limit_ms)
    width = int(np.clip((last - fits).max() + 1, 1, MAX_SPANS))
    first = last[:, None] - np.arange(width - 1, -1, -1)
    at = np.maximum(first, 0)
    n_words = times.counted[bounds[1:, None]] - times.counted[bounds[at]]
    costs = _cost(ends[:, None] - starts[at], n_words, config)
    costs[(first < np.minimum(fits, last)[:, None]) | (first < 0)] = np.inf
    return costs


def _join(group: _Group, refund: float) -> NDArray[np.int64]:
    """Returns the last span of each clip in the cheapest partition (dynamic programming over the spans).

    `refund` is the mean cost of a doubtful border, subtracted from each of those, so that plans with few borders are
    not cheaper: without it, clips get longer the more doubtful a track's sentence ends are. A certain end gets none:
    a border that costs nothing would pay, and clips get shorter.
    """
    n, width = group.lengths.shape
    costs = group.costs - refund * group.doubtful
    best = np.full(width + n, np.inf)
    best[width - 1] = 0.0
    back = np.zeros(n, np.int64)
    for j in range(n):
        options = best[j : j + width] + group.lengths[j]
        k = int(options.argmin())
        back[j] = j - width + k
        best[j + width] = options[k] + costs[j]
    clips: list[int] = []
    j = n - 1
    while j >= 0:
        clips.append(j)
        j = int(back[j])
    return np.array(clips[::-1], np.int64)


def _cost(lengths_ms: NDArray[np.int64], n_words: NDArray[np.float64], config: ClipConfig) -> NDArray[np.float64]:
    """Squared relative distance to the configured target (words or seconds); too short a clip costs more."""
    if config.steer_by == "words":
        miss = n_words / config.target_words - 1
    else:
        miss = (lengths_ms + 2 * config.pad_ms) / (config.target_s * 1000) - 1
    costs: NDArray[np.float64] = miss * miss + np.where(lengths_ms < config.min_s * 1000, 4.0, 0.0)
    return costs


def _padded(
    words: Sequence[Word], spans: Sequence[Span], config: ClipConfig, anchored: Sequence[bool] | None, duration_ms: int
) -> list[PlannedClip]:
    """Pads the spans and makes clips of them: never over a neighbouring word, sharing silences with neighbours."""
    clips = []
    for first, last in spans:
        start, end = words[first].start_ms, words[last - 1].end_ms
        before = words[first - 1].end_ms if first else 0
        video_end = max(duration_ms, end) if duration_ms else end + config.pad_ms
        after = words[last].start_ms if last < len(words) else video_end
        clip_start = start - min(config.pad_ms, _room(start - before, first > 0))
        clip_end = end + min(config.pad_ms, _room(after - end, last < len(words)))
        trusted = sum(anchored[first:last]) / (last - first) if anchored is not None else 1.0
        text = " ".join(word.text for word in words[first:last])
        clips.append(PlannedClip(first, last, clip_start, clip_end, text, round(trusted, 4)))
    return clips


def _room(gap_ms: int, shared: bool) -> int:
    """How much of a silence a clip may take: half of it if another clip is beyond."""
    gap_ms = max(gap_ms, 0)
    return gap_ms // 2 if shared else gap_ms
