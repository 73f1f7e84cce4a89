"""Scene cuts by PySceneDetect's ContentDetector, fed with small pictures of the decode pass.

In:  small pictures in order, with their times          Out: times (ms) at which another shot begins

And what a cut does to a clip that crosses it: flag, drop, snap, split (`apply_cuts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import av

from pipeline.config.media import MediaLimits, ScenesConfig
from pipeline.media.cutting.span import Span
from pipeline.media.frames import Picture, Scaler, decode, scaled_size
from pipeline.media.probe import Probe

_FALLBACK_FPS = 25.0


class SceneFinder:
    """ContentDetector over pictures that come one after the other."""

    def __init__(self, config: ScenesConfig, fps: Fraction) -> None:
        from scenedetect import FrameTimecode
        from scenedetect.detectors import ContentDetector

        self._fps = float(fps) or _FALLBACK_FPS
        min_frames = round(config.min_scene_ms * self._fps / 1000)
        self._detector: Any = ContentDetector(threshold=config.threshold, min_scene_len=min_frames)
        self._timecode = FrameTimecode
        self._times_ms: list[int] = []
        self._cuts: list[int] = []

    def feed(self, bgr: Any, time_ms: int) -> None:
        """The next picture (height x width x 3, uint8 BGR) and its time."""
        timecode = self._timecode(len(self._times_ms), self._fps)
        self._times_ms.append(time_ms)
        self._cuts += [cut.frame_num for cut in self._detector.process_frame(timecode, bgr)]

    def cuts_ms(self) -> list[int]:
        """When each shot but the first begins, ms of source time (rounded down), ascending."""
        return [self._times_ms[index] for index in sorted(set(self._cuts)) if index > 0]


def find_cuts(source: Probe, limits: MediaLimits, config: ScenesConfig) -> list[int]:
    """The cuts of a video by a pass of its own: decoded roughly, looked at small."""
    finder = SceneFinder(config, source.video.fps)
    scaler = Scaler(source, config.short_side, "bgr24", "FAST_BILINEAR")
    for item in decode(source, limits, rough=True):
        if isinstance(item, Picture):
            finder.feed(scaler(item.frame).to_ndarray(), item.time_ms)
    return finder.cuts_ms()


class ScenePicture:
    """Makes the picture that the detector looks at, out of the small frame that others look at too."""

    def __init__(self, config: ScenesConfig) -> None:
        self._short_side = config.short_side
        self._reformatter = av.video.reformatter.VideoReformatter()  # kept: setting one up costs more than a picture

    def __call__(self, small: Any) -> Any:
        """Height x width x 3, uint8 BGR."""
        short_side = min(self._short_side, small.width, small.height)
        width, height = scaled_size(small.width, small.height, short_side)
        return self._reformatter.reformat(small, width, height, "bgr24", interpolation="AREA").to_ndarray()


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a planned clip that is to be cut: its span, and the clip's number it came from."""

    span: Span
    of: int


def cuts_inside(cuts_ms: Sequence[int], span: Span) -> list[int]:
    """Cuts that a span crosses. A cut on its first frame is none: the shot begins there."""
    return [cut for cut in cuts_ms if span.start_ms < cut < span.end_ms]


def apply_cuts(spans: Sequence[Span], cuts_ms: Sequence[int], config: ScenesConfig) -> list[Part]:
    """The spans as they are to be cut: snapped or split at scene cuts, otherwise as they are.

    Parts of a split clip after its first get numbers after the greatest that is in use, in order.
    """
    if config.action == "snap":
        return [Part(_snapped(span, cuts_ms, config.snap_ms), span.n) for span in spans]
    if config.action != "split":
        return [Part(span, span.n) for span in spans]
    parts: list[Part] = []
    free = max((span.n for span in spans), default=-1) + 1
    for span in spans:
        pieces = _pieces(span, cuts_ms, config.min_part_ms)
        for i, (start_ms, end_ms) in enumerate(pieces):
            n = span.n if i == 0 else free
            free += i > 0
            parts.append(Part(Span(n, start_ms, end_ms), span.n))
    return parts


def _snapped(span: Span, cuts_ms: Sequence[int], snap_ms: int) -> Span:
    """The span with an end that lies near a cut moved onto it."""
    start = min(cuts_ms, key=lambda cut: abs(cut - span.start_ms), default=span.start_ms)
    end = min(cuts_ms, key=lambda cut: abs(cut - span.end_ms), default=span.end_ms)
    start = start if abs(start - span.start_ms) <= snap_ms else span.start_ms
    end = end if abs(end - span.end_ms) <= snap_ms else span.end_ms
    return replace(span, start_ms=start, end_ms=end) if start < end else span


def _pieces(span: Span, cuts_ms: Sequence[int], min_part_ms: int) -> list[tuple[int, int]]:
    """The stretches of a span between its cuts that are long enough; all of it where none is."""
    edges = [span.start_ms, *cuts_inside(cuts_ms, span), span.end_ms]
    pieces = [(a, b) for a, b in pairwise(edges) if b - a >= min_part_ms]
    return pieces or [(span.start_ms, span.end_ms)]
