"""mp4 bytes in which file time = source time - a whole number of milliseconds, with or without the edit list.

A track's first decode time is 0. To keep video and audio in sync, the pictures' decode times all move until the first
is 0, and all presentation times stay true; FFmpeg's edit list says the same again. So readers that ignore edit lists
and those that apply them agree. Without one FFmpeg seeks by decode times: whoever asks for a picture right before a
keyframe (a browser, PyAV) is given the keyframe, whose decode time is earlier. No sample lasts longer than its picture,
so the number of pictures over the track's duration is their rate, by which some readers find a picture (torchcodec's
mode approximate).
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av

from pipeline.media.cutting.span import ticks_of

_MAX_TIMESCALE = 10_000_000
"""Most ticks per second that a track may have; above that, times are rounded to microseconds."""

_MUXER = {"fflags": "+bitexact", "movflags": "+disable_chpl+faststart"}


def new_mp4(buffer: io.BytesIO, ticks_per_s: int) -> Any:
    """Opens an mp4 to write, whose index will stand in front: a browser plays while it still fetches.

    To move the index, FFmpeg opens what it has written a second time, to read it while it writes over it.
    """

    def read_again(_url: str, _flags: int, _options: object) -> io.BytesIO:
        return io.BytesIO(buffer.getvalue())

    options = _MUXER | {"video_track_timescale": str(ticks_per_s), "movie_timescale": str(ticks_per_s)}
    return av.open(buffer, "w", format="mp4", options=options, io_open=read_again)  # noqa: TID251 - written


@dataclass(frozen=True, slots=True)
class Track:
    """Packets of a track in decode order. `dts` is kept beside them since the file's own may be unusable."""

    template: Any
    packets: Sequence[Any]
    dts: Sequence[int]
    time_base: Fraction


def timescale(time_base: Fraction) -> int:
    """Ticks per second in which both the track's own times and whole milliseconds are whole numbers."""
    ticks = math.lcm(time_base.denominator, 1000)
    return ticks if ticks <= _MAX_TIMESCALE else 1_000_000


def write_mp4(pictures: Track, audio: Track | None, base_s: Fraction) -> bytes:
    """Writes the mp4. `base_s` is the time on the tracks' clock that becomes file time 0; no frame may be shown before.

    Audio that begins less than a millisecond before `base_s` is shifted onto it; where audio begins later, its first
    packet is stretched back to 0: for readers that ignore edit lists a track cannot begin later.
    """
    buffer = io.BytesIO()
    scale = timescale(pictures.time_base)
    with new_mp4(buffer, scale) as container:
        queue = list(_retimed(container, pictures, Fraction(1, scale), base_s))
        if audio is not None:
            queue += _retimed(container, audio, audio.time_base, base_s)
        container.start_encoding()
        common = math.lcm(*(times[1].denominator for _, times in queue))
        for packet, times in sorted(queue, key=lambda entry: _order(entry[1], common)):
            packet.stream, packet.time_base, packet.pts, packet.dts = times
            container.mux(packet)
    return buffer.getvalue()


def _order(times: tuple[Any, Fraction, int, int], common: int) -> tuple[int, int]:
    """A packet's sort key in the file: decode time in ticks of `common` a second, then track."""
    stream, time_base, _, dts = times
    return dts * time_base.numerator * (common // time_base.denominator), stream.index


def _retimed(container: Any, track: Track, time_base: Fraction, base_s: Fraction) -> Iterable[tuple[Any, Any]]:
    """Yields (packet, its stream and times in the mp4) for a track's packets."""
    stream = container.add_stream_from_template(track.template, opaque=True)
    stream.time_base = time_base
    tick = ticks_of(track.time_base, time_base, base_s)
    length = ticks_of(track.packets[0].time_base, time_base, Fraction(0))
    is_audio = track.template.type == "audio"
    early = 0 if is_audio else tick(track.dts[0])
    decode = -1
    for i, (packet, dts) in enumerate(zip(track.packets, track.dts, strict=True)):
        pts = tick(packet.pts) if i or not is_audio else 0
        before, decode = decode, 0 if i == 0 else max(tick(dts) - early, decode + 1)
        if packet.duration:  # of the last one: how long the track lasts
            packet.duration = length(packet.duration)
        elif i:  # without one the edit list would hide the frame that is shown last
            packet.duration = decode - before
        yield packet, (stream, time_base, max(pts, decode), decode)
