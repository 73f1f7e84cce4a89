"""What is asked for (a span) and what comes out (a cut clip, or a failure with its reason)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from manifests.reasons import Reason
from pipeline.media.probe import Probe, Unusable


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a video, in ms of source time: its frames are those with start_ms <= pts < end_ms.

    `n` is the clip's number within its video.
    """

    n: int
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class CutClip:
    """A clip as mp4 bytes, with the position of the sentence inside it."""

    n: int
    mp4: bytes
    start_ms: int
    """Source time of the clip's start: the span's, save in mode keyframe, where it is the keyframe's."""
    end_ms: int
    offset_ms: int
    """Where start_ms lies inside the mp4."""
    first_frame: int
    """Index, in presentation order from 0, of the first frame of the clip inside the mp4."""
    n_frames: int
    has_audio: bool
    mode: Literal["remux", "exact", "keyframe"]
    codec: str
    from_ms: int
    """Source time of the earliest frame that decoding this clip needs: where decode errors count."""
    audio_start_ms: int = 0
    """Time in the mp4 of the first sample that its audio decodes to; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class CutFailure:
    """A span that could not be cut."""

    n: int
    reason: Reason
    detail: str


def fit_span(span: Span, source: Probe, max_overrun_ms: int) -> Span:
    """The span inside the video: trimmed where it ends a little late. Raises Unusable(SPAN_OUTSIDE) otherwise."""
    if span.start_ms < 0 or span.start_ms >= span.end_ms:
        raise Unusable(Reason.SPAN_OUTSIDE, f"invalid span {span.start_ms}–{span.end_ms} ms")
    late_ms = span.end_ms - source.duration_ms
    if late_ms > max_overrun_ms or span.start_ms >= source.duration_ms:
        raise Unusable(
            Reason.SPAN_OUTSIDE,
            f"{span.start_ms} to {span.end_ms} ms, the video ends at {source.duration_ms} ms",
        )
    return replace(span, end_ms=source.duration_ms) if late_ms > 0 else span


def tick_at(ms: int, source: Probe, time_base: Fraction) -> int:
    """The first tick of a track's clock at or after a moment of source time: `pts >= tick_at(ms)` is `pts >= ms`."""
    return math.ceil((Fraction(ms, 1000) + source.zero_s) / time_base)


def source_ms(tick: int, source: Probe, time_base: Fraction) -> Fraction:
    """Source time of a tick, ms, exactly."""
    return (tick * time_base - source.zero_s) * 1000


def whole_ms(source: Probe, time_base: Fraction) -> Callable[[int], int]:
    """What gives the source time of a track's ticks, ms rounded down: for many, since fractions are slow."""
    times, less, over = whole_numbers(time_base * 1000, source.zero_s * 1000)
    return lambda tick: (tick * times - less) // over


def ticks_of(of: Fraction, to: Fraction, base_s: Fraction) -> Callable[[int], int]:
    """What gives round((t * of - base_s) / to) of a time t, by whole numbers: a minute of video has thousands."""
    times, less, over = whole_numbers(of / to, base_s / to)

    def tick(time: int) -> int:
        whole, rest = divmod(time * times - less, over)
        return whole + (2 * rest > over or (2 * rest == over and whole % 2 == 1))

    return tick


def whole_numbers(ratio: Fraction, less: Fraction) -> tuple[int, int, int]:
    """(a, b, c) so that t * ratio - less is (t * a - b) / c for every whole t."""
    over = ratio.denominator * less.denominator
    return ratio.numerator * less.denominator, less.numerator * ratio.denominator, over
