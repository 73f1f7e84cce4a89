"""Decodes a sample's media and holds it against its json: frames of mp4 and m4v, sizes, each still."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import av

from manifests.sample import SampleJson


def media_faults(sample: SampleJson, members: dict[str, bytes]) -> Iterator[str]:
    """What is wrong with the media of one sample."""
    yield from _video_faults("mp4", members["mp4"], sample.first_frame + sample.n_frames, None)
    if "m4v" in members:
        size = (sample.proxy_width, sample.proxy_height)
        yield from _video_faults("m4v", members["m4v"], sample.n_frames, size, exactly=True)
    if "mjpg" in members:
        yield from _stills_faults(sample, members["mjpg"])


def _video_faults(
    name: str, data: bytes, n_frames: int, size: tuple[int, int] | None, *, exactly: bool = False
) -> Iterator[str]:
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:
            if not container.streams.video:
                yield f"{name}: has no picture"
                return
            sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    except av.error.FFmpegError as error:
        yield f"{name}: cannot be decoded ({error})"
        return
    if len(sizes) < n_frames or (exactly and len(sizes) != n_frames):
        yield f"{name}: {len(sizes)} frames decode, the json counts {n_frames}"
    if size is not None and (other := set(sizes) - {size}):
        yield f"{name}: pictures are {sorted(other)}, the json says {size}"


def _stills_faults(sample: SampleJson, data: bytes) -> Iterator[str]:
    end = 0
    for number, still in enumerate(json.loads(sample.stills)):
        jpeg = data[still["offset"] : still["offset"] + still["size"]]
        end = max(end, still["offset"] + still["size"])
        if "frame" in still and not 0 <= still["frame"] < sample.n_frames:
            yield f"mjpg: still {number} shows frame {still['frame']} of {sample.n_frames}"
        if not 0 <= still["time_ms"] <= sample.duration_ms:
            yield f"mjpg: still {number} is at {still['time_ms']} ms of {sample.duration_ms}"
        size = _jpeg_size(jpeg)
        if size != (sample.stills_width, sample.stills_height):
            yield f"mjpg: still {number} {'is no JPEG' if size is None else f'is {size[0]}x{size[1]}'}"
    if end != len(data):
        yield f"mjpg: has {len(data)} bytes, the json's stills end at {end}"


def _jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    try:
        with av.open(io.BytesIO(jpeg), "r", format="jpeg_pipe") as container:
            frame = next(container.decode(video=0))
            return frame.width, frame.height
    except (av.error.FFmpegError, StopIteration):
        return None
