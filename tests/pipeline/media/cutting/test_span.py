"""Spans: outside the video, or a little past its end."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.media.cutting import CutClip, CutFailure, Span
from pipeline.media.cutting.span import fit_span, source_ms, tick_at
from pipeline.media.probe import Unusable
from tests.pipeline.media.cutting.films import cut, film_at


def test_a_span_outside_the_video_costs_only_itself(films: Path) -> None:
    path, _ = film_at(films, "open GOP")
    spans = [Span(0, 20_000, 25_000), Span(1, 1000, 2000), Span(2, 2000, 2000), Span(3, 7000, 9000)]
    for mode in ("remux", "exact"):
        made = cut(path, spans, mode=mode)
        assert isinstance(made[1], CutClip)
        for n in (0, 2, 3):
            failure = made[n]
            assert isinstance(failure, CutFailure)
            assert failure.reason is Reason.SPAN_OUTSIDE


def test_a_span_that_ends_a_little_late_is_trimmed_to_the_video(films: Path) -> None:
    path, _ = film_at(films, "open GOP")
    clip = cut(path, [Span(0, 7000, 8300)])[0]
    assert isinstance(clip, CutClip)
    assert clip.end_ms == 8000
    assert clip.n_frames == 25


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "fits"),
    [
        (0, 1, 1),
        (0, 8000, 8000),
        (7999, 8000, 8000),
        (0, 8001, 8000),
        (0, 8500, 8000),
        (0, 8501, None),
        (8000, 8100, None),
        (-1, 500, None),
        (500, 500, None),
        (500, 499, None),
    ],
)
def test_a_span_lies_inside_the_video_or_ends_at_most_the_overrun_after_it(
    start_ms: int, end_ms: int, fits: int | None
) -> None:
    video: Any = SimpleNamespace(duration_ms=8000)
    if fits is not None:
        assert fit_span(Span(3, start_ms, end_ms), video) == Span(3, start_ms, fits)
        return
    with pytest.raises(Unusable, match=f"{start_ms}") as caught:
        fit_span(Span(3, start_ms, end_ms), video)
    assert caught.value.reason is Reason.SPAN_OUTSIDE


@given(st.integers(0, 10**7), st.integers(0, 10**9), st.sampled_from([1000, 12_800, 30_000, 48_000, 90_000]))
def test_a_tick_at_a_moment_is_the_first_that_is_not_before_it(ms: int, zero_us: int, rate: int) -> None:
    video: Any = SimpleNamespace(zero_s=Fraction(zero_us, 10**6))
    tick = tick_at(ms, video, Fraction(1, rate))
    assert source_ms(tick, video, Fraction(1, rate)) >= ms > source_ms(tick - 1, video, Fraction(1, rate))
