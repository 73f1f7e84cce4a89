"""The only decode pass over a video, and the small upright picture that scenes, motion, hashes and proxies share.

Decoding is what media costs: about 1.5 ms for a 720p picture, against 0.3 ms for a small copy of it. So a video is
decoded once, every frame is scaled down once, and everything that looks at frames is fed from here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import av

from manifests.colour import FULL
from manifests.sample import MAX_PIXELS
from pipeline.config.media import MediaLimits
from pipeline.media.audio_blocks import AudioBlock, Listener, Wanted
from pipeline.media.cutting.span import tick_at, whole_ms
from pipeline.media.cutting.window import packets_from
from pipeline.media.probe import Probe, open_media

SMALL_SHORT_SIDE = 180
"""Short side of the small picture, pixels: a quarter of 720."""

_STRICT = {"err_detect": "explode"}
"""A damaged frame is an error, not something that the decoder silently repairs."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded frame. `tick` is its time on the track's clock, `time_ms` in source time (rounded down);
    `packet_bytes` the size of its packet, -1 if unknown."""

    tick: int
    time_ms: int
    frame: Any
    packet_bytes: int = -1


@dataclass(frozen=True, slots=True)
class DecodeFault:
    """A packet that the decoder refused, with its source time."""

    time_ms: int
    message: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the video to decode, ms of source time."""

    start_ms: int
    end_ms: int


def merge_stretches(stretches: list[Stretch], gap_ms: int) -> list[Stretch]:
    """Sorts stretches and joins those whose gap is too short for a seek to pay."""
    merged: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda s: (s.start_ms, s.end_ms)):
        if merged and stretch.start_ms - merged[-1].end_ms <= gap_ms:
            merged[-1] = Stretch(merged[-1].start_ms, max(merged[-1].end_ms, stretch.end_ms))
        else:
            merged.append(stretch)
    return merged


def decode_video(
    source: Probe,
    limits: MediaLimits,
    stretches: list[Stretch] | None = None,
    *,
    rough: bool = False,
    hear: Sequence[Wanted] = (),
) -> Iterator[Picture | DecodeFault | AudioBlock]:
    """Yields frames in order of time and faults where they occur; for the whole video or stretches (in order, apart).

    `rough` skips the in-loop filter: a quarter cheaper; good enough to see a cut, not to train on. `hear`: the parts
    (in order) whose audio is decoded too; each block comes where it is between the frames, and none for a part that is
    over by then.
    """
    options = dict(_STRICT, max_pixels=str(MAX_PIXELS))
    if rough:
        options["skip_loop_filter"] = "all"
    with open_media(source.path, limits) as container:
        stream = container.streams[source.video.index]
        stream.codec_context.options = options
        audio = container.streams[source.audio.index] if source.audio and hear else None
        for track in container.streams:
            if track not in (stream, audio):
                track.discard = av.stream.Discard.all
        listener = Listener(audio, source, hear) if audio is not None else None
        for stretch in stretches or [Stretch(0, source.duration_ms + 1)]:
            yield from _decode_stretch(container, stream, source, stretch, listener)


def _decode_stretch(
    container: Any, stream: Any, source: Probe, stretch: Stretch, listener: Listener | None
) -> Iterator[Picture | DecodeFault | AudioBlock]:
    start = tick_at(stretch.start_ms, source, stream.time_base)
    end = tick_at(stretch.end_ms, source, stream.time_base)
    time_ms = whole_ms(source, stream.time_base)
    stream.codec_context.flush_buffers()
    sizes: dict[int, int] = {}
    if listener is not None:
        listener.begin(stretch.end_ms)
    beside = listener.stream if listener is not None else None
    is_over, last = False, start - 1
    for packet in packets_from(container, stream, start, beside):
        if listener is not None and packet.stream_index != stream.index:
            yield from listener.decode(packet)
            continue
        if is_over and (listener is None or listener.is_done_by(time_ms(packet.dts or 0))):
            return
        if is_over:
            continue
        if listener is not None and packet.dts is not None:
            listener.video_reaches(time_ms(packet.dts))
        if packet.pts is not None:
            sizes[packet.pts] = packet.size
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            yield DecodeFault(time_ms(packet.pts or 0), str(error)[:120])
            continue
        for frame in frames:
            if frame.pts is None or frame.pts < start:
                continue
            is_over |= frame.pts >= end
            if not is_over:
                picture = _in_order(frame, last, time_ms, sizes.pop(frame.pts, -1))
                last = max(last, frame.pts)  # before makers have it: they may give a frame another clock
                yield picture
    for frame in [] if is_over else _last_frames(stream):
        if frame.pts is not None and start <= frame.pts < end:
            picture = _in_order(frame, last, time_ms, sizes.pop(frame.pts, -1))
            last = max(last, frame.pts)
            yield picture


def _in_order(frame: Any, last: int, time_ms: Callable[[int], int], packet_bytes: int) -> Picture | DecodeFault:
    """A decoded frame; a fault where damaged times show it no later than the frame before, at tick `last`."""
    if frame.pts <= last:
        return DecodeFault(time_ms(frame.pts), "a frame is shown no later than the one before it")
    return Picture(frame.pts, time_ms(frame.pts), frame, packet_bytes)


def _last_frames(stream: Any) -> list[Any]:
    """Flushes the decoder at the end of the file: the frames that it still holds."""
    try:
        return list(stream.codec_context.decode(None))
    except av.FFmpegError:
        return []


def scaled_size(width: int, height: int, short_side: int) -> tuple[int, int]:
    """(width, height) with this short side and the same aspect ratio, both even."""
    short = min(width, height)
    return (max(2, 2 * round(width * short_side / short / 2)), max(2, 2 * round(height * short_side / short / 2)))


Small = Callable[[], Any]
"""Returns the small copy of a frame, made when it is first asked for; the same object for frames in a row that show
the same."""


class Scaler:
    """Scales decoded frames to the same size, upright: with square pixels, rotated as a player would.

    RGB is made with the matrix and range in force for the source (manifests.colour); YUV keeps them.
    """

    def __init__(self, source: Probe, short_side: int, pixel_format: str, interpolation: str = "AREA") -> None:
        self.width, self.height = scaled_size(source.video.width, source.video.height, short_side)
        self._rotation = source.video.rotation
        self._format, self._interpolation = pixel_format, interpolation
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._colour = source.video.colour
        lying = self._rotation % 180 != 0
        self._stored = (self.height, self.width) if lying else (self.width, self.height)

    def __call__(self, frame: Any) -> Any:
        """Returns the frame as an av.VideoFrame of this size and format, on the source's clock."""
        width, height = self._stored
        matrix, range_ = self._colour.swscale_matrix, self._colour.range_
        is_yuv = self._format.startswith("yuv")
        small = self._reformatter.reformat(
            frame,
            width,
            height,
            self._format,
            src_colorspace=matrix,
            src_color_range=range_,
            dst_colorspace=matrix if is_yuv else None,
            dst_color_range=range_ if is_yuv else FULL,
            interpolation=self._interpolation,
            threads=1,
        )
        return turned(small, self._rotation) if self._rotation else small


def turned(frame: Any, degrees: int) -> Any:
    """Rotates a yuv420p or packed RGB frame clockwise by a multiple of 90 degrees, per plane: colours stay the same."""
    import numpy as np  # heavy, and not needed for clips alone

    steps = -degrees // 90
    values = frame.to_ndarray()
    if frame.format.name != "yuv420p":
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(values, k=steps)), format=frame.format.name)
    flat, n_luma = values.reshape(-1), frame.width * frame.height
    halves = [half.reshape(frame.height // 2, frame.width // 2) for half in np.split(flat[n_luma:], 2)]
    planes = [np.rot90(plane, k=steps) for plane in (flat[:n_luma].reshape(frame.height, frame.width), *halves)]
    height, width = planes[0].shape
    joined = np.concatenate([plane.reshape(-1) for plane in planes]).reshape(height * 3 // 2, width)
    return av.VideoFrame.from_ndarray(joined, format="yuv420p")
