"""Borders of planned clips: in silence where there is some, never past a word, in their order; given ones stay."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hdvila_testing.rows import a_clip_row
from manifests.rows import WordRow
from manifests.sample import GIVEN
from pipeline.config.text import ClipConfig
from pipeline.media.borders import ClipWords, in_silence
from pipeline.media.cutting.span import Span
from pipeline.media.speech import REACH_MS, Speech
from pipeline.text.boundary.evidence import Marks
from pipeline.text.captions import Word
from pipeline.text.clip_plan import plan_clips

LASTS_MS = 20_000
ROW = a_clip_row("v", 0, 0, 1)


def speech(*silences: tuple[int, int]) -> Speech:
    """Speech all along but in the silences, given in ms."""
    marks = np.ones(LASTS_MS // 10, np.int8)
    for start_ms, end_ms in silences:
        marks[start_ms // 10 : end_ms // 10] = 0
    return Speech(marks)


def words(*spans: tuple[int, int]) -> list[WordRow]:
    return [{"text": f"w{i}", "start_ms": a, "end_ms": b, "timed": True} for i, (a, b) in enumerate(spans)]


SAID = words((1000, 1300), (1300, 1700), (2000, 2500), (2500, 2900), (5000, 5400), (5400, 5800))
BOTH = ClipWords(SAID, 2, 2)
"""Two words of six, with a pause of 0.3 s before them and one of two seconds after them."""


@pytest.mark.parametrize(
    ("silences", "moved"),
    [
        ([], (1850, 3100)),
        ([(1750, 1950), (3000, 5000)], (1850, 3100)),  # they are in silence
        ([(1900, 2200), (3200, 4000)], (1920, 3220)),
        ([(1500, 1600), (2800, 2900)], (1580, 2880)),
        ([(1500, 1600), (2060, 2160)], (2080, 3100)),  # the nearer one
        ([(1820, 1860)], (1850, 3100)),  # a stop within a word
        ([(1000, 1290), (2350, 2490)], (1850, 3100)),  # past the words beside
        ([(1400, 1440)], (1850, 3100)),
        ([(3550, 3700)], (1850, 3100)),  # too far away
    ],
)
def test_a_border_moves_into_the_nearest_silence(silences: list[tuple[int, int]], moved: tuple[int, int]) -> None:
    found = in_silence(Span(0, 1850, 3100), ROW, BOTH, speech(*silences), LASTS_MS)
    assert (found.start_ms, found.end_ms) == moved


def test_given_spans_and_clips_without_words_stay() -> None:
    heard, span = speech((1900, 2200), (3200, 4000)), Span(0, 1850, 3100)
    assert in_silence(span, {**ROW, "boundary_model": GIVEN}, BOTH, heard, LASTS_MS) == span
    assert in_silence(span, ROW, None, heard, LASTS_MS) == span
    assert in_silence(span, ROW, ClipWords(SAID, 2, 0), heard, LASTS_MS) == span


@given(
    st.lists(st.tuples(st.integers(0, 900), st.integers(60, 500)), min_size=12, max_size=40),
    st.lists(st.tuples(st.integers(0, LASTS_MS), st.integers(10, 600)), max_size=40),
)
def test_clips_of_any_track_stay_in_order_and_pass_no_word(
    said: list[tuple[int, int]], silent: list[tuple[int, int]]
) -> None:
    spans, at = [], 0
    for pause, lasts in said:
        spans.append((at + pause, at + pause + lasts))
        at += pause + lasts
    track = words(*spans)
    heard = speech(*((start, start + length) for start, length in silent))
    as_words = [Word(w["text"], w["start_ms"], w["end_ms"], True) for w in track]
    ends = np.array([i % 4 == 3 for i in range(len(track))], np.float32)
    planned = plan_clips(as_words, Marks.of_ends(ends), ClipConfig(target_s=2.0), duration_ms=at)
    moved = [
        in_silence(Span(n, c.start_ms, c.end_ms), ROW, ClipWords(track, c.first, c.last - c.first), heard, at)
        for n, c in enumerate(planned)
    ]
    for clip, span in zip(planned, moved, strict=True):
        assert span.start_ms < span.end_ms
        for before, now, first in ((clip.start_ms, span.start_ms, clip.first), (clip.end_ms, span.end_ms, clip.last)):
            assert abs(now - before) <= REACH_MS
            assert now == before or (first == 0 or now >= spans[first - 1][0])
            assert now == before or (first + 1 >= len(spans) or now <= spans[first + 1][0])
            assert now == before or any(a <= now <= b for a, b in heard.silences(0, LASTS_MS))
    assert all(a.end_ms <= b.start_ms for a, b in pairwise(moved))
