"""The packets that a span needs: video from the keyframe before its start, audio from a little before it.

A frame can be decoded only after those it refers to, all the way back to a keyframe. Packets are in decode order, so a
span needs a contiguous run: from the last keyframe whose time is not after the start, to the last packet (in decode
order) whose frame is in the span. Frames of an open GOP that follow that keyframe but are shown before it refer to
frames that are missing; they are left out, since decoders disagree whether to show them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import av

from manifests.reasons import Reason
from pipeline.media.cutting.span import Span, tick_at
from pipeline.media.probe import Probe, Unusable, shown_as_stored, slow_to_read

_STEPS_BACK_S = (0, 2, 15, 60)
"""How much earlier a seek is retried if it landed after the needed keyframe."""


@dataclass(frozen=True, slots=True)
class _Bounds:
    """A span on a track's clock, ticks, and the earliest keyframe that may be used for it."""

    start: int
    end: int
    earliest: int


@dataclass(frozen=True, slots=True)
class PictureWindow:
    """Video packets in decode order; the span's frames are the `n_frames` from index `first_frame` on."""

    packets: list[Any]
    first_frame: int
    n_frames: int


def picture_window(container: Any, stream: Any, span: Span, source: Probe, max_preroll_ms: int) -> PictureWindow:
    """Returns the packets for a span. Raises Unusable where no keyframe precedes it or the packets are damaged."""
    base = stream.time_base
    bounds = _Bounds(
        tick_at(span.start_ms, source, base),
        tick_at(span.end_ms, source, base),
        tick_at(span.start_ms - max_preroll_ms, source, base),
    )
    run = _with_a_frame_each(_run_of(packets_from(container, stream, bounds.start), bounds), stream)
    if not run or run[0].pts > max(bounds.start, stream.start_time or 0):
        raise Unusable(Reason.BROKEN_MEDIA, f"no keyframe at or before {span.start_ms} ms")
    return _checked(run, bounds, span)


def audio_window(container: Any, stream: Any, from_ms: int, span: Span, source: Probe) -> list[Any]:
    """Audio packets from the packet playing at `from_ms` (or the first after it) until the span's end."""
    begin = tick_at(from_ms, source, stream.time_base)
    end = tick_at(span.end_ms, source, stream.time_base)
    kept: list[Any] = []
    for packet in packets_from(container, stream, begin):
        if packet.pts is None:
            continue
        if packet.pts >= end:
            break
        if packet.pts <= begin:
            kept.clear()
        kept.append(packet)
    return kept


def read_only(container: Any, index: int) -> None:
    """Discards the file's other tracks from the next seek on."""
    for stream in container.streams:
        stream.discard = av.stream.Discard.default if stream.index == index else av.stream.Discard.all


def packets_from(container: Any, stream: Any, tick: int, beside: Any = None) -> Iterator[Any]:
    """Yields a track's packets in file order, from a keyframe at or before `tick` to the end of what can be read.

    If the track has no keyframe that early, starts at its first. Every audio packet is a keyframe. `beside` is
    another track of the file, whose packets come interleaved, including those right before the keyframe.
    """
    beginning = min(tick, stream.start_time or 0) - round(_STEPS_BACK_S[-1] / stream.time_base)
    for target in (*(tick - round(back_s / stream.time_base) for back_s in _STEPS_BACK_S), beginning):
        packets = _packets(container, (stream, beside) if beside else (stream,), target)
        before = []
        for first in packets:
            if first.stream_index != stream.index:
                before.append(first)
            elif first.is_keyframe and first.pts is not None:
                break
        else:
            continue
        if first.pts <= tick or target == beginning:
            yield from before
            yield first
            yield from packets
            return


def _packets(container: Any, streams: Sequence[Any], target: int) -> Iterator[Any]:
    """Yields packets from where a seek to `target` (ticks of the first track) lands, to the end of what can be read."""
    try:
        container.seek(target, stream=streams[0], backward=True)
    except av.FFmpegError:
        with suppress(av.FFmpegError):  # an AVI without an index: reading goes on from the current position
            container.seek(container.start_time or 0, backward=True)
    try:
        for packet in container.demux(*streams):
            if packet.size:
                if packet.pts is None:
                    shown_as_stored(packet)
                yield packet
    except av.error.ExitError:
        raise slow_to_read() from None
    except (av.FFmpegError, IndexError):  # IndexError: damage made a stream appear midway that PyAV does not know
        return


def _run_of(packets: Iterator[Any], bounds: _Bounds) -> list[Any]:
    """The contiguous run that the span's frames need; its first packet is a keyframe."""
    run: list[Any] = []
    needed, too_early = 0, False
    for packet in packets:
        if packet.pts is None:
            raise Unusable(Reason.UNSUPPORTED_MEDIA, "packets without a presentation time; use cut.mode: exact")
        if packet.is_keyframe and packet.pts <= bounds.start and not needed:
            run, too_early = [], packet.pts < bounds.earliest
        if too_early:
            continue
        run.append(packet)
        if bounds.start <= packet.pts < bounds.end:
            needed = len(run)
        if packet.dts is not None and packet.dts >= bounds.end:
            break
    if too_early:
        raise Unusable(Reason.UNSUPPORTED_MEDIA, "no keyframe close enough before it; use cut.mode: exact")
    return run[:needed] if needed else run[:1]


def _checked(run: list[Any], bounds: _Bounds, span: Span) -> PictureWindow:
    packets = [packet for packet in run if packet.pts >= run[0].pts]
    times = [packet.pts for packet in packets if bounds.start <= packet.pts < bounds.end and not packet.is_discard]
    if not times:
        raise Unusable(Reason.SPAN_OUTSIDE, f"no frame begins between {span.start_ms} and {span.end_ms} ms")
    first, last = min(times), max(times)
    if len({packet.pts for packet in packets}) < len(packets):
        raise Unusable(Reason.BROKEN_MEDIA, "two frames have the same time")
    if any(packet.is_corrupt for packet in packets if packet.pts >= bounds.start):
        raise Unusable(Reason.BROKEN_MEDIA, "packets are marked as damaged")
    if any(packet.is_discard for packet in packets if first < packet.pts < last):
        raise Unusable(Reason.UNSUPPORTED_MEDIA, "an edit list hides frames inside it; use cut.mode: exact")
    if any(packet.has_sidedata("new_extradata") for packet in packets[1:]):
        raise Unusable(Reason.UNSUPPORTED_MEDIA, "the video's parameters change inside the clip")
    return PictureWindow(packets, sum(packet.pts < first for packet in packets), len(times))


def _with_a_frame_each(packets: list[Any], stream: Any) -> list[Any]:
    """Joins a frame of VP9 that is never shown, but referred to, with the next one: some WebM files have it in a block
    of its own.
    """
    if stream.codec_context.codec.canonical_name != "vp9":
        return packets
    joined = av.BitStreamFilterContext("vp9_superframe", stream)
    return [whole for packet in packets for whole in joined.filter(packet)]


def decode_times(packets: list[Any]) -> list[int]:
    """Strictly rising decode times, none after its packet's presentation time: the file's own if they qualify."""
    own = [packet.dts for packet in packets]
    usable = all(t is not None for t in own) and all(a < b for a, b in pairwise(own))
    if usable and all(packet.dts <= packet.pts for packet in packets):
        return own
    return _made_decode_times([packet.pts for packet in packets])


def _made_decode_times(shown: list[int]) -> list[int]:
    """Makes decode times for presentation times in decode order: the sorted times, delayed by the reordering depth."""
    rising = sorted(shown)
    rank = {pts: i for i, pts in enumerate(rising)}
    depth = max(i - rank[pts] for i, pts in enumerate(shown))
    step = max(1, (rising[-1] - rising[0]) // max(1, len(rising) - 1))
    before = [rising[0] - (depth - i) * step for i in range(depth)]
    return (before + rising)[: len(shown)]
