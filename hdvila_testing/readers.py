"""Reads an mp4 with several decoders: the frame codes they read, the hashes of their frames."""

import hashlib
import io
import subprocess
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from hdvila_testing.frame_code import read_frame_code
from pipeline.media.ffmpeg import find_ffmpeg

Codes = list[int | None]


def codes_by_pyav(path: Path, first: int = 0) -> Codes:
    """Frame codes in presentation order, decoded by PyAV, from frame `first` on."""
    with av.open(str(path)) as container:
        return [
            read_frame_code(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            for frame in islice(container.decode(video=0), first, None)
        ]


def codes_by_ffmpeg(path: Path) -> Codes:
    """Frame codes in presentation order, decoded by the ffmpeg program."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        shape = (-1, stream.codec_context.height, stream.codec_context.width)
    read = [find_ffmpeg(), "-v", "error", "-noautorotate", "-i", str(path), "-map", "0:v:0"]
    write = ["-fps_mode", "passthrough", "-enc_time_base", "demux", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run([*read, *write], capture_output=True, check=True, timeout=120)
    if raw.stderr:
        raise AssertionError(f"ffmpeg complains: {raw.stderr.decode(errors='replace')[:300]}")
    return [read_frame_code(frame) for frame in np.frombuffer(raw.stdout, np.uint8).reshape(shape)]


def codes_by_decord(path: Path) -> Codes:
    """Frame codes by index, read by decord."""
    import decord

    reader = decord.VideoReader(str(path), num_threads=1)
    return [read_frame_code(reader[i].asnumpy()) for i in range(len(reader))]


def codes_by_torchcodec(path: Path) -> Codes:
    """Frame codes by index, read by torchcodec. Raises ImportError, OSError or RuntimeError if it doesn't load."""
    from torchcodec.decoders import VideoDecoder

    decoder: Any = VideoDecoder(str(path))
    return [read_frame_code(frame.permute(1, 2, 0).numpy()) for frame in decoder]


READERS: dict[str, Callable[[Path], Codes]] = {
    "pyav": codes_by_pyav,
    "ffmpeg": codes_by_ffmpeg,
    "decord": codes_by_decord,
    "torchcodec": codes_by_torchcodec,
}


def frame_hashes(source: Path | bytes) -> list[str]:
    """A hash of every decoded frame, in presentation order."""
    file: Any = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    with av.open(file) as container:
        return [_hash(frame.to_ndarray()) for frame in container.decode(container.streams.video[0])]


def timed_hashes(path: Path, stream_index: int, until_s: Fraction | None = None) -> list[tuple[Any, str]]:
    """(time stamp in s, a Fraction; hash) of every decoded frame of a track; packets that fail are skipped.

    With `until_s`, reading ends with the first frame that is shown then or later.
    """
    stamped = []
    with av.open(str(path)) as container:
        stream: Any = container.streams[stream_index]
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue
            stamped += [(frame.pts * frame.time_base, _hash(frame.to_ndarray())) for frame in frames]
            if until_s is not None and stamped and stamped[-1][0] >= until_s:
                break
    return stamped


def _hash(pixels: NDArray[Any]) -> str:
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=12).hexdigest()
