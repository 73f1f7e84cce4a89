"""Reads frames of a video in memory by number: PyAV or decord2 behind two functions and a small class.

Frame numbers count from 0 in presentation order. Media are untrusted: the demuxer is fixed to mp4 (no playlists, no
protocols), the picture size is limited, and all errors that a decoder can raise are in `DECODE_ERRORS`.
"""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import av
import numpy as np
from av.packet import Packet
from av.video.reformatter import VideoReformatter

from manifests.colour import FULL, colour_in_force
from manifests.sample import MAX_PIXELS as MAX_PIXELS
from train.data.crop import Pixels

Backend = Literal["pyav", "decord"]

ANY_TAGS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.partition(".")[0]) < 19 else {}
"""Metadata tags may have any encoding: PyAV 18 needs an option for that, which 19 no longer accepts."""

MAX_PACKETS = 200_000  # an hour at 50 frames/s; a clip has a few hundred

DECODE_ERRORS = (av.FFmpegError, OSError, EOFError, ValueError, KeyError, IndexError, struct.error)


def read_frames(data: bytes, numbers: Sequence[int], backend: Backend = "pyav") -> dict[int, Pixels]:
    """Reads frames of an mp4: {frame number: RGB `[H, W, 3]` uint8}. Raises an error of DECODE_ERRORS."""
    if backend == "decord":
        return _decord_frames(data, numbers)
    return open_clip(data).read(numbers)


def open_clip(data: bytes) -> Clip:
    """Opens an mp4 in memory, demuxed and ready to decode."""
    return Clip(data)


class Clip:
    """An mp4 with its packets in memory. It decodes only groups with a wanted frame."""

    def __init__(self, data: bytes) -> None:
        self._container = av.open(io.BytesIO(data), "r", format="mov", **ANY_TAGS)
        if not self._container.streams.video:
            raise ValueError("no video stream")
        stream = self._container.streams.video[0]
        if stream.width * stream.height > MAX_PIXELS:
            raise ValueError(f"picture of {stream.width}x{stream.height}")
        self._decoder = stream.codec_context
        self._decoder.thread_count = 1  # one worker per core: threads would only hide the cost
        self._decoder.options = {"max_pixels": str(MAX_PIXELS)}
        self._groups = _groups(self._container.demux(stream))
        self._pts = sorted(packet.pts for group in self._groups for packet in group if packet.pts is not None)
        if not self._pts:
            raise ValueError("no frames")
        self.fps = float(stream.average_rate or 0)
        """Average frames per second; 0 if the file doesn't say."""
        self.turns = 0
        """Counterclockwise quarter turns by which its pictures must be rotated for display; known after a read."""

    @property
    def n_frames(self) -> int:
        """The number of frames."""
        return len(self._pts)

    def read(self, numbers: Sequence[int]) -> dict[int, Pixels]:
        """{frame number: RGB `[H, W, 3]`}. Raises ValueError if a frame doesn't exist or doesn't decode."""
        outside = [n for n in numbers if not 0 <= n < self.n_frames]
        if outside:
            raise ValueError(f"frame {outside[0]} of {self.n_frames}")
        wanted = {self._pts[n]: n for n in numbers}
        pictures: dict[int, Pixels] = {}
        for frame in self._decode(set(wanted)):
            if frame.pts is not None and frame.pts in wanted:
                self.turns = turns_of(frame)
                pictures[wanted[frame.pts]] = _rgb(frame)
        lost = set(numbers) - pictures.keys()
        if lost:
            raise ValueError(f"frame {min(lost)} did not decode")
        return pictures

    def _decode(self, wanted: set[int]) -> Iterator[av.VideoFrame]:
        """Decodes the groups with wanted frames; skipping unwanted non-reference frames saves a third of the cost."""
        for group in self._groups:
            inside = [i for i, packet in enumerate(group) if packet.pts in wanted]
            if not inside:
                continue
            self._decoder.flush_buffers()
            last = inside[-1]
            for packet in group[: last + 1]:
                self._decoder.skip_frame = "DEFAULT" if packet.pts in wanted else "NONREF"
                yield from self._decoder.decode(packet)
            yield from self._decoder.decode(None)


_LOCAL = threading.local()
"""Holds a converter per thread: one per frame would set up swscale each time, which costs more than converting."""


def turns_of(frame: av.VideoFrame) -> int:
    """The counterclockwise quarter turns by which a picture must be rotated for display."""
    return round(frame.rotation / 90) % 4


def _rgb(frame: av.VideoFrame) -> Pixels:
    """Converts a frame to RGB `[H, W, 3]`, by its colour matrix and range; untagged HD is BT.709, as in players."""
    colour = colour_in_force(frame.colorspace, frame.color_range, frame.width, frame.height)
    matrix = colour.swscale_matrix
    if not hasattr(_LOCAL, "reformatter"):
        _LOCAL.reformatter = VideoReformatter()
    rgb = _LOCAL.reformatter.reformat(frame, format="rgb24", src_colorspace=matrix, dst_color_range=FULL, threads=1)
    return np.asarray(rgb.to_ndarray(), np.uint8)


def _groups(packets: Iterator[Packet[Any]]) -> list[list[Packet[Any]]]:
    """Splits packets, in decoding order, into groups that begin at a keyframe."""
    groups: list[list[Packet[Any]]] = []
    for count, packet in enumerate(packets):
        if count > MAX_PACKETS:
            raise ValueError(f"more than {MAX_PACKETS} packets")
        if packet.size == 0 or packet.pts is None:
            continue
        if packet.is_keyframe or not groups:
            groups.append([])
        groups[-1].append(packet)
    return groups


def _decord_frames(data: bytes, numbers: Sequence[int]) -> dict[int, Pixels]:
    import decord  # optional: PyAV is enough

    open_clip(data)  # checks the limits: decord accepts pictures of any size, in any container
    distinct = sorted(set(numbers))
    try:
        reader = decord.VideoReader(io.BytesIO(data), num_threads=1)
        if distinct[-1] >= len(reader):
            raise ValueError(f"frame {distinct[-1]} of {len(reader)}")
        pictures = reader.get_batch(distinct).asnumpy()
    except decord.DECORDError as error:
        raise ValueError(f"decord: {error}") from None
    return {n: np.asarray(picture) for n, picture in zip(distinct, pictures, strict=True)}
