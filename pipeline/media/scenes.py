"""Finds scene cuts and gradual transitions on the small frames of the decode pass.

In:  small pictures in order, with their times          Out: times (ms) at which another shot begins, spans of dissolves

`apply_cuts` then moves or splits clips that cross a cut (snap, split); flag and drop are done in video.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

from pipeline.config.media import MediaLimits
from pipeline.media.cutting.span import Span
from pipeline.media.frames import (
    SMALL_SHORT_SIDE,
    Picture,
    Scaler,
    Small,
    decode_video,
)
from pipeline.media.planes import luma_of, luma_plane, some_chroma
from pipeline.media.probe import Probe
from pipeline.media.repeats import Repeats

_FALLBACK_FPS = 25.0
MIN_SCENE_MS = 500
"""A shorter scene joins the next."""
SNAP_MS = 500
"""Farthest that either end of a clip is moved to a cut."""
MIN_PART_MS = 1000
"""Shorter parts of a clip that is split are dropped."""


@dataclass(frozen=True, slots=True)
class Scenes:
    """The start of each shot but the first, and the spans of gradual transitions, in ms of source time.

    The middle of a gradual transition is among `cuts_ms` too.
    """

    cuts_ms: list[int] = field(default_factory=list)
    spans_ms: list[tuple[int, int]] = field(default_factory=list)


class SceneFinder:
    """Runs the detector of shots.py over consecutive frames. It reads so few pixels that most frames need not be scaled
    down for it.
    """

    def __init__(self, fps: Fraction, min_scene_ms: int = MIN_SCENE_MS) -> None:
        from pipeline.media.shots import ShotFinder  # imports OpenCV, which is not needed for clips alone

        self._shots = ShotFinder(float(fps) or _FALLBACK_FPS)
        self._min_scene_ms = min_scene_ms
        self._times_ms: list[int] = []
        self._shown: Small | None = None

    def feed(self, frame: Any, time_ms: int, small: Small) -> None:
        """Takes the next frame, its time, and a function that gives it as yuv420p at about SMALL_SHORT_SIDE."""
        self._times_ms.append(time_ms)
        if small is self._shown:
            self._shots.feed_again()
            return
        self._shown = small
        luma = luma_plane(frame)
        if luma is None:
            frame = small()
            luma = luma_of(frame)
        self._shots.feed(luma, some_chroma(frame))

    def scenes(self) -> Scenes:
        """The cuts and gradual spans, times rounded down, ascending.

        A shot shorter than `min_scene_ms` joins the next: the cut at its end is left out.
        """
        cuts: list[int] = []
        spans: list[tuple[int, int]] = []
        began = self._times_ms[0] if self._times_ms else 0
        for first, last in ((change.first, change.last) for change in self._shots.finish()):
            cut = self._times_ms[(first + last) // 2]
            if cut - began < self._min_scene_ms or cut == began:
                continue
            began = cut
            cuts.append(cut)
            if last > first:
                spans.append((self._times_ms[first], self._times_ms[last]))
        return Scenes(cuts, spans)


def find_scenes(source: Probe, limits: MediaLimits) -> Scenes:
    """Finds the scenes of a video in a separate pass: rough decoding, small frames."""
    finder = SceneFinder(source.video.fps)
    scaler = Scaler(source, SMALL_SHORT_SIDE, "yuv420p")
    repeats = Repeats(source.video.coded_width, source.video.coded_height)
    for item in decode_video(source, limits, rough=True):
        if isinstance(item, Picture):
            small = repeats.small_of(item, lambda picture: partial(scaler, picture.frame))
            finder.feed(item.frame, item.time_ms, small)
    return finder.scenes()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a planned clip to be cut: its span, and the number of the clip that it is from."""

    span: Span
    of: int


def cuts_inside(cuts_ms: Sequence[int], span: Span) -> list[int]:
    """Cuts that a span crosses. A cut on its first frame doesn't count: the shot begins there."""
    return [cut for cut in cuts_ms if span.start_ms < cut < span.end_ms]


def spans_inside(spans_ms: Sequence[tuple[int, int]], span: Span) -> list[tuple[int, int]]:
    """Gradual transitions that overlap a span."""
    return [(first, last) for first, last in spans_ms if first < span.end_ms and last > span.start_ms]


def apply_cuts(
    spans: Sequence[Span],
    cuts_ms: Sequence[int],
    action: str,
    snap_ms: int = SNAP_MS,
    min_part_ms: int = MIN_PART_MS,
) -> list[Part]:
    """Returns the spans to be cut: snapped to scene cuts, split at them, or unchanged.

    The first part of a split clip keeps its number; the others are numbered on from the highest number in use.
    """
    if action == "snap":
        return [Part(_snapped(span, cuts_ms, snap_ms), span.n) for span in spans]
    if action != "split":
        return [Part(span, span.n) for span in spans]
    parts: list[Part] = []
    free = max((span.n for span in spans), default=-1) + 1
    for span in spans:
        pieces = _pieces(span, cuts_ms, min_part_ms)
        for i, (start_ms, end_ms) in enumerate(pieces):
            n = span.n if i == 0 else free
            free += i > 0
            parts.append(Part(Span(n, start_ms, end_ms), span.n))
    return parts


def _snapped(span: Span, cuts_ms: Sequence[int], snap_ms: int) -> Span:
    """Moves the ends of a span that are near a cut onto it."""
    start = min(cuts_ms, key=lambda cut: abs(cut - span.start_ms), default=span.start_ms)
    end = min(cuts_ms, key=lambda cut: abs(cut - span.end_ms), default=span.end_ms)
    start = start if abs(start - span.start_ms) <= snap_ms else span.start_ms
    end = end if abs(end - span.end_ms) <= snap_ms else span.end_ms
    return replace(span, start_ms=start, end_ms=end) if start < end else span


def _pieces(span: Span, cuts_ms: Sequence[int], min_part_ms: int) -> list[tuple[int, int]]:
    """The parts of a span between its cuts that are long enough; the whole span if none is."""
    edges = [span.start_ms, *cuts_inside(cuts_ms, span), span.end_ms]
    pieces = [(a, b) for a, b in pairwise(edges) if b - a >= min_part_ms]
    return pieces or [(span.start_ms, span.end_ms)]
