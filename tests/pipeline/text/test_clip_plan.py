"""The plan: whole sentences near the target, within the bounds, never a word cut, never an overlap."""

from collections.abc import Iterable
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.config.text import ClipConfig
from pipeline.text.boundary.evidence import Marks
from pipeline.text.captions.track import Word
from pipeline.text.clip_plan import BORDER_COSTS, BorderCosts, PlannedClip, plan_clips

FREE = BorderCosts(border_weight=0.0, unmarked_weight=0.0)
"""Borders cost nothing: only lengths count."""
Ends = NDArray[np.float32]


def speech(*sentences: tuple[int, int], word_ms: int = 300, gap_ms: int = 20) -> tuple[list[Word], Ends]:
    """Words of sentences, each given as (number of words, silence after it in ms), and where they surely end."""
    words: list[Word] = []
    bounds = []
    now = 1000
    for n, silence in sentences:
        for _ in range(n):
            words.append(Word(f"w{len(words)}", now, now + word_ms - gap_ms, True))
            now += word_ms
        now += silence
        bounds.append(len(words))
    return words, ends_at(len(words), *bounds)


def ends_at(n: int, *lasts: int, probability: float = 1.0) -> Ends:
    """Probabilities of an end after each of n words: this one where a sentence of so many words ends, else none."""
    ends = np.zeros(n, np.float32)
    ends[np.array(lasts) - 1] = probability
    return ends


def plan(words: list[Word], ends: Ends, config: ClipConfig, **known: Any) -> list[PlannedClip]:
    """The clips where only the ends of sentences are known."""
    return plan_clips(words, Marks.of_ends(ends), config, **known)


def lengths_s(clips: list[PlannedClip]) -> list[float]:
    return [(clip.end_ms - clip.start_ms) / 1000 for clip in clips]


def test_short_sentences_are_joined_to_about_the_target() -> None:
    words, ends = speech(*[(10, 200)] * 40)
    found = lengths_s(plan(words, ends, ClipConfig()))
    assert 11 < sum(found) / len(found) < 15.5


def test_steering_by_words_aims_at_words() -> None:
    words, ends = speech(*[(8, 150)] * 40, word_ms=250)
    clips = plan(words, ends, ClipConfig(steer_by="words"))
    assert 28 < sum(c.last - c.first for c in clips) / len(clips) < 37


def test_a_long_silence_parts_clips() -> None:
    words, ends = speech((10, 2500), (10, 200))
    assert [(c.first, c.last) for c in plan(words, ends, ClipConfig())] == [(0, 10), (10, 20)]


@pytest.mark.parametrize(("silence_ms", "probability", "n_clips"), [(9000, 0.4, 1), (9000, 0.5, 2), (11_000, 0, 2)])
def test_a_clip_goes_on_after_a_silence_if_its_sentence_does(silence_ms: int, probability: float, n_clips: int) -> None:
    words, ends = speech((10, silence_ms), (10, 200))
    ends[9] = probability
    assert len(plan(words, ends, ClipConfig(target_s=15.0), weights=FREE)) == n_clips


def test_too_long_a_sentence_is_split_between_words_at_its_longest_silence() -> None:
    words, _ = speech((60, 700), (60, 0))
    clips = plan(words, ends_at(120, 120), ClipConfig())
    assert clips[0].last <= 60
    assert 60 in {clip.last for clip in clips}
    assert all(length <= 25 for length in lengths_s(clips))


def test_padding_stays_inside_the_silence_and_is_shared() -> None:
    words, ends = speech((50, 300), (50, 100))
    one, two = plan(words, ends, ClipConfig(pad_ms=200))
    assert one.end_ms == words[49].end_ms + 160
    assert one.end_ms <= two.start_ms <= words[50].start_ms


def test_the_last_clip_ends_with_the_video() -> None:
    words, ends = speech((50, 0))
    end = words[-1].end_ms
    assert plan(words, ends, ClipConfig(), duration_ms=end + 50)[-1].end_ms == end + 50
    assert plan(words, ends, ClipConfig())[-1].end_ms == end + 200


def test_confidence_is_the_share_of_anchored_words() -> None:
    words, ends = speech((40, 200))
    anchored = [True] * 30 + [False] * 10
    assert plan(words, ends, ClipConfig(), anchored=anchored)[0].confidence == 0.75


def test_a_likelier_end_is_preferred_to_a_nearer_one() -> None:
    words, _ = speech((100, 0))
    ends = ends_at(100, 45, 100, probability=0.1)
    ends[39] = 0.9
    assert plan(words, ends, ClipConfig())[0].last == 40
    assert plan(words, ends, ClipConfig(), weights=FREE)[0].last == 45


def test_the_weight_decides_how_far_a_clip_goes_for_a_better_end() -> None:
    words, ends = speech(*[(6, 100)] * 60)
    doubtful = np.where(ends > 0, 0.1, 0.0).astype(np.float32)
    doubtful[59::60] = 1.0
    borders = {clip.last for clip in plan(words, doubtful, ClipConfig(), weights=BorderCosts(border_weight=1.0))}
    assert all(last % 60 == 0 for last in borders)
    near = {clip.last for clip in plan(words, doubtful, ClipConfig(), weights=FREE)}
    assert any(last % 60 for last in near)


def test_a_comma_is_preferred_to_the_middle_of_a_clause() -> None:
    words, _ = speech((100, 0))
    marks = Marks.of_ends(ends_at(100, 38, 45, 100, probability=0.1))
    marks.inner[37] = 0.8
    assert plan_clips(words, marks, ClipConfig())[0].last == 38
    assert plan_clips(words, marks, ClipConfig(), weights=BorderCosts(unmarked_weight=0.0))[0].last == 45


def test_doubt_alone_makes_no_clip_longer() -> None:
    words, ends = speech(*[(6, 100)] * 100)
    sure, doubtful = (
        lengths_s(plan(words, ends * np.float32(probability), ClipConfig())) for probability in (1.0, 0.1)
    )
    assert abs(sum(doubtful) / len(doubtful) - sum(sure) / len(sure)) < 0.5


MARKED = [(10, 200), (6, 300), (14, 250)] * 40
"""Sentences of 2 to 5 s in a track with marks: every end is certain."""


@pytest.mark.parametrize("beside", ["a sentence far too long", "a run without marks"])
def test_marked_speech_is_planned_the_same_whatever_is_beside_it(beside: str) -> None:
    alone = plan(*speech(*MARKED, (10, 3000)), ClipConfig())
    words, ends = speech(*MARKED, (10, 3000), *[(200, 3000)] * 20)
    if beside == "a run without marks":
        ends[-4000:] = np.tile(np.array([0, 0, 0, 0.1], np.float32), 1000)
    planned = plan(words, ends, ClipConfig())

    assert [(clip.first, clip.last) for clip in planned[: len(alone)]] == [(clip.first, clip.last) for clip in alone]


def test_a_sentence_that_must_be_split_makes_the_clips_around_it_no_shorter() -> None:
    whole, split = (
        plan(*speech(*[*MARKED[:12], (n, 200)] * 10), ClipConfig()) for n in (10, 100)
    )  # 3 s, and 30 s: longer than a clip may be
    assert np.mean(lengths_s(split)) == pytest.approx(np.mean(lengths_s(whole)), rel=0.05)


SPEECH = st.lists(st.tuples(st.integers(1, 60), st.integers(0, 4000)), min_size=1, max_size=25)
CONFIGS = st.builds(
    ClipConfig,
    steer_by=st.sampled_from(["seconds", "words"]),
    target_s=st.floats(5, 15),
    max_s=st.floats(15, 30),
    pad_ms=st.integers(0, 500),
)


@given(SPEECH, st.integers(60, 900), CONFIGS, st.data())
def test_any_plan_keeps_every_word_whole_in_order_within_bounds(
    shape: list[tuple[int, int]], word_ms: int, config: ClipConfig, data: st.DataObject
) -> None:
    words, ends = speech(*shape, word_ms=word_ms)
    duration = words[-1].end_ms + data.draw(st.integers(0, 300))
    clips = plan(words, ends, config, duration_ms=duration)
    assert [i for clip in clips for i in range(clip.first, clip.last)] == list(range(len(words)))
    assert all(clip.start_ms <= words[clip.first].start_ms for clip in clips)
    assert all(words[clip.last - 1].end_ms <= clip.end_ms for clip in clips)
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(clips))
    assert all(length <= config.max_s + 0.001 for length in lengths_s(clips))
    assert clips[0].start_ms >= 0
    assert clips[-1].end_ms <= duration
    assert clips == plan(words, ends, config, duration_ms=duration)


def cheapest(words: list[Word], marks: Marks, config: ClipConfig) -> list[int]:
    """Where clips end by trying every partition of the sentences, by the costs that the module promises."""
    limit_ms = config.max_s * 1000 - 2 * config.pad_ms
    ends = [i + 1 for i in range(len(words) - 1) if marks.ends[i] >= 0.02] + [len(words)]

    def clip(first: int, last: int) -> float:
        length_ms = words[last - 1].end_ms - words[first].start_ms
        if length_ms > limit_ms:
            return np.inf
        by_words = (last - first) / config.target_words - 1
        by_time = (length_ms + 2 * config.pad_ms) / (config.target_s * 1000) - 1
        miss = by_words if config.steer_by == "words" else by_time
        return miss * miss + (4.0 if length_ms < config.min_s * 1000 else 0.0)

    def border(last: int) -> float:
        if last == len(words):
            return 0.0
        end, inner = float(marks.ends[last - 1]), float(marks.inner[last - 1])
        return -BORDER_COSTS.border_weight * np.log(max(end, 0.02)) + BORDER_COSTS.unmarked_weight * (1 - end - inner)

    def is_doubtful(last: int) -> bool:
        return last < len(words) and marks.ends[last - 1] < 1

    def cost(chosen: Iterable[int], refund: float) -> float:
        return sum(clip(a, b) + border(b) - refund * is_doubtful(b) for a, b in pairwise((0, *chosen)))

    inner_ends = (inner for n in range(len(ends)) for inner in combinations(ends[:-1], n))
    every: list[tuple[int, ...]] = [(*inner, ends[-1]) for inner in inner_ends]
    first = min(every, key=lambda chosen: cost(chosen, 0.0))
    paid = [border(last) for last in first if is_doubtful(last)]
    refund = float(np.mean(paid)) if paid else 0.0
    return list(min(every, key=lambda chosen: cost(chosen, refund)))


@pytest.mark.parametrize("steer_by", ["seconds", "words"])
@pytest.mark.parametrize("seed", range(5))
def test_the_plan_is_the_cheapest_of_all_partitions(seed: int, steer_by: Any) -> None:
    random = np.random.default_rng(seed)
    sentences = [
        (int(n), int(gap)) for n, gap in zip(random.integers(2, 9, 9), random.integers(0, 900, 9), strict=True)
    ]
    words, sure = speech(*sentences)
    ends = np.where(sure > 0, random.uniform(0.02, 1.0, len(words)), random.uniform(0, 0.019, len(words)))
    ends[np.flatnonzero(sure)[seed % 4 :: 4]] = 1.0  # a change of speaker
    inner = np.where(sure > 0, random.uniform(0, 1, len(words)) * (1 - ends), 0)
    marks = Marks.of_ends(ends.astype(np.float32))
    marks.inner[:] = inner
    config = ClipConfig(target_s=5.0, target_words=14, max_s=9.0, min_s=2.5, steer_by=steer_by, pad_ms=100)

    assert [clip.last for clip in plan_clips(words, marks, config)] == cheapest(words, marks, config)
