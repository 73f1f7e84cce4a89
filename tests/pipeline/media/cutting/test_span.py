"""Spans: outside the video, or a little past its end."""

from pathlib import Path

from manifests.reasons import Reason
from pipeline.media.cutting import CutClip, CutFailure, Span
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
