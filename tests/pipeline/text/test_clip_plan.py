"""The plan: whole sentences near the target, within the bounds, never a word cut, never an overlap."""

from itertools import pairwise
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pipeline.config.text import ClipConfig
from pipeline.text.boundary.evidence import Marks
from pipeline.text.captions.track import Word
from pipeline.text.clip_plan import PlannedClip, plan_clips

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


def test_the_room_around_the_words_counts_as_length() -> None:
    """Sentences of 3 s, silence enough for the room of 1 s at both ends: four of them are 14 s, the aim."""
    words, ends = speech(*[(10, 500)] * 40)
    config = ClipConfig(target_s=12.0, pad_ms=1000, border_weight=0.0, unmarked_weight=0.0)
    clips = plan(words, ends, config)
    spoken_s = [(words[c.last - 1].end_ms - words[c.first].start_ms) / 1000 for c in clips]
    assert sum(spoken_s) / len(spoken_s) < 10.5 + 0.5


def test_steering_by_words_aims_at_words() -> None:
    words, ends = speech(*[(8, 150)] * 40, word_ms=250)
    clips = plan(words, ends, ClipConfig(steer_by="words"))
    assert 28 < sum(c.last - c.first for c in clips) / len(clips) < 37


def test_a_long_silence_parts_clips() -> None:
    words, ends = speech((10, 2500), (10, 200))
    assert [(c.first, c.last) for c in plan(words, ends, ClipConfig())] == [(0, 10), (10, 20)]


def test_a_silence_inside_a_sentence_parts_clips_too() -> None:
    words, _ = speech((10, 2500), (10, 200))
    assert len(plan(words, ends_at(20, 20), ClipConfig())) == 2


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


def test_scene_cuts_between_words_part_clips_where_they_are_given() -> None:
    words, ends = speech((20, 400), (20, 400))
    cut = [words[19].end_ms + 200]
    joined = plan(words, ends, ClipConfig())
    parted = plan(words, ends, ClipConfig(), scene_cuts_ms=cut)
    assert len(joined) == 1
    assert len(parted) == 2


def test_confidence_is_the_share_of_anchored_words() -> None:
    words, ends = speech((40, 200))
    anchored = [True] * 30 + [False] * 10
    assert plan(words, ends, ClipConfig(), anchored=anchored)[0].confidence == 0.75


def test_a_likelier_end_is_preferred_to_a_nearer_one() -> None:
    words, _ = speech((100, 0))
    ends = ends_at(100, 45, 100, probability=0.1)
    ends[39] = 0.9
    assert plan(words, ends, ClipConfig())[0].last == 40
    assert plan(words, ends, ClipConfig(border_weight=0.0, unmarked_weight=0.0))[0].last == 45


def test_the_weight_decides_how_far_a_clip_goes_for_a_better_end() -> None:
    words, ends = speech(*[(6, 100)] * 60)
    doubtful = np.where(ends > 0, 0.1, 0.0).astype(np.float32)
    doubtful[59::60] = 1.0
    borders = {clip.last for clip in plan(words, doubtful, ClipConfig(border_weight=1.0))}
    assert all(last % 60 == 0 for last in borders)
    near = {clip.last for clip in plan(words, doubtful, ClipConfig(border_weight=0.0, unmarked_weight=0.0))}
    assert any(last % 60 for last in near)


def test_a_comma_is_preferred_to_the_middle_of_a_clause() -> None:
    words, _ = speech((100, 0))
    marks = Marks.of_ends(ends_at(100, 38, 45, 100, probability=0.1))
    marks.inner[37] = 0.8
    assert plan_clips(words, marks, ClipConfig())[0].last == 38
    assert plan_clips(words, marks, ClipConfig(unmarked_weight=0.0))[0].last == 45


def test_doubt_alone_makes_no_clip_longer() -> None:
    words, ends = speech(*[(6, 100)] * 100)
    sure, doubtful = (
        lengths_s(plan(words, ends * np.float32(probability), ClipConfig())) for probability in (1.0, 0.1)
    )
    assert abs(sum(doubtful) / len(doubtful) - sum(sure) / len(sure)) < 0.5


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
