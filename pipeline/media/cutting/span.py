"""The input of a cut (a span) and its result (a clip, or a failure with its reason)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from manifests.reasons import Reason
from pipeline.media.probe import Probe, SoundProbe, Unusable

MAX_OVERRUN_MS = 500
"""A span that ends at most this long after its video is trimmed: captions often outlast the picture a little."""


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
    """Source time of the clip's start."""
    end_ms: int
    offset_ms: int
    """The position of start_ms inside the mp4."""
    first_frame: int
    """Index, in presentation order from 0, of the first frame of the clip inside the mp4."""
    n_frames: int
    has_audio: bool
    mode: Literal["remux", "exact"]
    codec: str
    from_ms: int
    """Source time of the earliest frame that decoding this clip needs: decode errors count from here on."""
    audio_start_ms: int = 0
    """Time in the mp4 of the first audio sample that decodes; 0 where there is no audio."""


@dataclass(frozen=True, slots=True)
class CutFailure:
    """A span that could not be cut."""

    n: int
    reason: Reason
    detail: str


def fit_span(span: Span, source: Probe) -> Span:
    """Fits the span into the video: trims an end that is a little late. Raises Unusable(SPAN_OUTSIDE) otherwise."""
    if span.start_ms < 0 or span.start_ms >= span.end_ms:
        raise Unusable(Reason.SPAN_OUTSIDE, f"invalid span {span.start_ms}–{span.end_ms} ms")
    late_ms = span.end_ms - source.duration_ms
    if late_ms > MAX_OVERRUN_MS or span.start_ms >= source.duration_ms:
        raise Unusable(
            Reason.SPAN_OUTSIDE,
            f"{span.start_ms} to {span.end_ms} ms, the video ends at {source.duration_ms} ms",
        )
    return replace(span, end_ms=source.duration_ms) if late_ms > 0 else span


def tick_at(ms: int, source: SoundProbe, time_base: Fraction) -> int:
    """The first tick of a track's clock at or after `ms` of source time: `pts >= tick_at(ms)` means `pts >= ms`."""
    return math.ceil((Fraction(ms, 1000) + source.zero_s) / time_base)


def source_ms(tick: int, source: Probe, time_base: Fraction) -> Fraction:
    """Exact source time of a tick, ms."""
    return (tick * time_base - source.zero_s) * 1000


def whole_ms(source: SoundProbe, time_base: Fraction) -> Callable[[int], int]:
    """Returns a function from a track's ticks to source time, ms rounded down; faster than Fractions for many ticks."""
    times, less, over = whole_numbers(time_base * 1000, source.zero_s * 1000)
    return lambda tick: (tick * times - less) // over


def ticks_of(of: Fraction, to: Fraction, base_s: Fraction) -> Callable[[int], int]:
    """Returns a function from t to round((t * of - base_s) / to), in integers: a minute has thousands of packets."""
    times, less, over = whole_numbers(of / to, base_s / to)

    def tick(time: int) -> int:
        whole, rest = divmod(time * times - less, over)
        return whole + (2 * rest > over or (2 * rest == over and whole % 2 == 1))

    return tick


def whole_numbers(ratio: Fraction, less: Fraction) -> tuple[int, int, int]:
    """(a, b, c) so that t * ratio - less is (t * a - b) / c for every whole t."""
    over = ratio.denominator * less.denominator
    return ratio.numerator * less.denominator, less.numerator * ratio.denominator, over
