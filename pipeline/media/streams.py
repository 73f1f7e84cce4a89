"""What a media file says of its video and audio tracks.

PyAV gives the rotation of a frame's display matrix alone, which is 180 degrees for a mirrored picture; so the matrix is
read here.
"""

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from manifests.colour import FULL, Colour, colour_in_force

_PROGRESSIVE = (0, 1)
"""Values of FFmpeg's AVFieldOrder that aren't interlaced: unknown and progressive."""

_HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
"""Transfer functions of HDR10 and HLG (ITU-T H.273, table 3)."""

_ASKEW = 0.01
"""How much of the matrix may lie off its two axes: encoders round."""


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The video track that is used. `width` and `height` are as displayed: rotated, with square pixels."""

    index: int
    codec: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int
    """Degrees by which the stored picture has to be turned clockwise: 0, 90, 180 or 270."""
    sar: Fraction
    fps: Fraction
    """Average frames per second; 0 if unknown."""
    pix_fmt: str
    bit_depth: int
    interlaced: bool
    hdr: str
    """Name of the HDR transfer function, "" for SDR."""
    colour: Colour
    time_base: Fraction
    start_ms: int
    duration_ms: int
    """As declared by the file; -1 if it isn't."""
    transformed: bool = False
    """Whether the file has it displayed other than by quarter turns: mirrored (front cameras), or askew."""
    refreshes: bool = False
    """Whether its keyframes are no whole pictures (intra refresh)."""

    untimed: bool = False
    """Whether its frames have no times of their own: an AVI tells those at which they are decoded."""

    @property
    def short_side(self) -> int:
        """min(width, height) as displayed."""
        return min(self.width, self.height)


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """An audio track."""

    index: int
    codec: str
    rate: int
    channels: int
    language: str
    time_base: Fraction
    start_ms: int
    duration_ms: int


def video_track(
    stream: Any, zero_s: Fraction, picture: Any | None, *, refreshes: bool = False, untimed: bool = False
) -> VideoTrack:
    """What a file says of a video track, by its first decoded frame (None if none decodes)."""
    context = stream.codec_context
    rotation = -round(picture.rotation) % 360 if picture is not None else 0
    stated = stream.sample_aspect_ratio
    sar = stated if stated is not None and stated > 0 else Fraction(1)
    wide = round(context.width * sar), context.height
    width, height = wide if rotation % 180 == 0 else wide[::-1]
    return VideoTrack(
        index=stream.index,
        codec=context.codec.canonical_name,
        width=width,
        height=height,
        coded_width=context.width,
        coded_height=context.height,
        rotation=rotation,
        sar=sar,
        fps=_fps(stream),
        pix_fmt=context.pix_fmt or "",
        bit_depth=max((c.bits for c in context.format.components), default=8) if context.pix_fmt else 8,
        interlaced=context.field_order not in _PROGRESSIVE or bool(picture and picture.interlaced_frame),
        hdr=_HDR_TRANSFERS.get(context.color_trc, ""),
        colour=_colour(context),
        time_base=stream.time_base,
        start_ms=ms_of(stream.start_time, stream, zero_s),
        duration_ms=ms_of(stream.duration, stream, Fraction(0)) if stream.duration is not None else -1,
        refreshes=refreshes,
        untimed=untimed,
        transformed=picture is not None and not _is_turned_by_quarters(picture),
    )


def _colour(context: Any) -> Colour:
    full = context.color_range == FULL or (context.pix_fmt or "").startswith("yuvj")
    return colour_in_force(
        context.colorspace,
        FULL if full else context.color_range,
        context.width,
        context.height,
        primaries=context.color_primaries,
        transfer=context.color_trc,
    )


def audio_track(stream: Any, zero_s: Fraction) -> AudioTrack:
    """What a file says of an audio track."""
    context = stream.codec_context
    return AudioTrack(
        index=stream.index,
        codec=context.codec.canonical_name,
        rate=context.sample_rate or 0,
        channels=context.channels or 0,
        language=stream.language or "",
        time_base=stream.time_base,
        start_ms=ms_of(stream.start_time, stream, zero_s),
        duration_ms=ms_of(stream.duration, stream, Fraction(0)) if stream.duration is not None else -1,
    )


def ms_of(ticks: int | None, stream: Any, zero_s: Fraction) -> int:
    """A time stamp of a stream in source time, rounded down; 0 if there is none."""
    return 0 if ticks is None else math.floor((ticks * stream.time_base - zero_s) * 1000)


def _fps(stream: Any) -> Fraction:
    """The average frame rate; where that is implausible (some flv say 1000), the guessed rate."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= 240:
            return Fraction(rate)
    return Fraction(0)


def _is_turned_by_quarters(picture: Any) -> bool:
    """Whether a frame is displayed as it is, or turned by a multiple of 90 degrees; not if it is mirrored or askew.

    A matrix of zeros shows nothing; FFmpeg, and players, then show the frame as it is.
    """
    a, b, c, d = _matrix(picture)
    return not any((a, b, c, d)) or (a * d - b * c > 0 and min(abs(a), abs(b)) <= _ASKEW * max(abs(a), abs(b)))


def _matrix(picture: Any) -> tuple[int, int, int, int]:
    """(a, b, c, d) of x' = ax + cy and y' = bx + dy, as FFmpeg stores it: nine numbers, row by row."""
    try:
        data = picture.side_data.get("DISPLAYMATRIX")  # PyAV 19 goes through the types, earlier ones through the data
    except (
        ValueError
    ):  # side data that PyAV 18 has no name for: a headset's spatial video; rotation is known without it
        data = None
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = struct.unpack("=9i", bytes(data))
    return a, b, c, d
