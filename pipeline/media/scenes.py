"""Scene cuts and gradual transitions, found on the small pictures of the decode pass.

In:  small pictures in order, with their times          Out: times (ms) at which another shot begins, spans of dissolves

And what a cut does to a clip that crosses it: flag, drop, snap, split (`apply_cuts`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

import av

from pipeline.config.media import MediaLimits, ScenesConfig
from pipeline.media.cutting.span import Span
from pipeline.media.frames import SMALL_SHORT_SIDE, Picture, Scaler, Small, decode, luma_of, luma_plane, scaled_size
from pipeline.media.probe import Probe

_FALLBACK_FPS = 25.0


@dataclass(frozen=True, slots=True)
class Scenes:
    """When each shot but the first begins, and the spans of transitions that are not hard cuts: ms of source time.

    A gradual transition has its middle among `cuts_ms` too.
    """

    cuts_ms: list[int] = field(default_factory=list)
    spans_ms: list[tuple[int, int]] = field(default_factory=list)


class _Detector(Protocol):
    def feed(self, frame: Any, small: Small) -> None: ...

    def finish(self) -> list[tuple[int, int]]:
        """(first, last) frame of each transition, equal for a hard cut."""


class SceneFinder:
    """The detector of the configuration, over pictures that come one after the other."""

    def __init__(self, config: ScenesConfig, fps: Fraction) -> None:
        rate = float(fps) or _FALLBACK_FPS
        self._detector: _Detector = _Shots(rate) if config.detector == "shots" else _PySceneDetect(config, rate)
        self._min_scene_ms = config.min_scene_ms
        self._times_ms: list[int] = []

    def feed(self, frame: Any, time_ms: int, small: Small) -> None:
        """The next picture, its time, and what gives it as a yuv420p frame at short side SMALL_SHORT_SIDE or so."""
        self._times_ms.append(time_ms)
        self._detector.feed(frame, small)

    def scenes(self) -> Scenes:
        """What was found, times rounded down, ascending. Shots shorter than `min_scene_ms` go with the one before."""
        cuts: list[int] = []
        spans: list[tuple[int, int]] = []
        began = self._times_ms[0] if self._times_ms else 0
        for first, last in self._detector.finish():
            cut = self._times_ms[(first + last) // 2]
            if cut - began < self._min_scene_ms or cut == began:
                continue
            began = cut
            cuts.append(cut)
            if last > first:
                spans.append((self._times_ms[first], self._times_ms[last]))
        return Scenes(cuts, spans)


class _Shots:
    """The detector of shots.py. It takes so few pixels that most pictures need not be made small for it."""

    def __init__(self, fps: float) -> None:
        from pipeline.media.shots import ShotFinder  # brings OpenCV, which clips alone don't need

        self._finder = ShotFinder(fps)

    def feed(self, frame: Any, small: Small) -> None:
        luma = luma_plane(frame)
        self._finder.feed(luma_of(small()) if luma is None else luma)

    def finish(self) -> list[tuple[int, int]]:
        return [(shot_change.first, shot_change.last) for shot_change in self._finder.finish()]


class _PySceneDetect:
    """Its ContentDetector or AdaptiveDetector, which know hard cuts alone."""

    def __init__(self, config: ScenesConfig, fps: float) -> None:
        from scenedetect import FrameTimecode
        from scenedetect.detectors import AdaptiveDetector, ContentDetector

        self._fps = fps
        min_frames = round(config.min_scene_ms * fps / 1000)
        self._detector: Any = (
            ContentDetector(threshold=config.threshold, min_scene_len=min_frames)
            if config.detector == "content"
            else AdaptiveDetector(min_scene_len=min_frames)
        )
        self._timecode = FrameTimecode
        self._picture = ScenePicture(config)
        self._n_fed = 0
        self._cuts: list[int] = []

    def feed(self, _frame: Any, small: Small) -> None:
        timecode = self._timecode(self._n_fed, self._fps)
        self._n_fed += 1
        self._cuts += [cut.frame_num for cut in self._detector.process_frame(timecode, self._picture(small()))]

    def finish(self) -> list[tuple[int, int]]:
        return [(index, index) for index in sorted(set(self._cuts)) if index > 0]


def find_scenes(source: Probe, limits: MediaLimits, config: ScenesConfig) -> Scenes:
    """The scenes of a video by a pass of its own: decoded roughly, looked at small."""
    finder = SceneFinder(config, source.video.fps)
    scaler = Scaler(source, SMALL_SHORT_SIDE, "yuv420p")
    for item in decode(source, limits, rough=True):
        if isinstance(item, Picture):
            finder.feed(item.frame, item.time_ms, partial(scaler, item.frame))
    return finder.scenes()


class ScenePicture:
    """Makes the picture that PySceneDetect looks at, out of the small frame that others look at too."""

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
    """Cuts that a span crosses. A cut on its first frame doesn't count: the shot begins there."""
    return [cut for cut in cuts_ms if span.start_ms < cut < span.end_ms]


def spans_inside(spans_ms: Sequence[tuple[int, int]], span: Span) -> list[tuple[int, int]]:
    """Gradual transitions that a span shares a moment with."""
    return [(first, last) for first, last in spans_ms if first < span.end_ms and last > span.start_ms]


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
    """The parts of a span between its cuts that are long enough; the whole span where none is."""
    edges = [span.start_ms, *cuts_inside(cuts_ms, span), span.end_ms]
    pieces = [(a, b) for a, b in pairwise(edges) if b - a >= min_part_ms]
    return pieces or [(span.start_ms, span.end_ms)]
