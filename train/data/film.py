"""Reads video files in any common container by frame number, as benchmarks need (shards only hold mp4).

An mp4 is read by its packets (train.data.video.Clip). Other containers don't reliably say when a packet is shown, so
the file is decoded once to count frames, and again to keep the wanted ones; memory holds only those.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np

from manifests.errors import UserError
from train.data.crop import Pixels
from train.data.video import ANY_TAGS, DECODE_ERRORS, MAX_PACKETS, MAX_PIXELS, Clip, turns_of

CONTAINERS = {
    ".mp4": "mov",
    ".m4v": "mov",
    ".mov": "mov",
    ".3gp": "mov",
    ".avi": "avi",
    ".mkv": "matroska",
    ".webm": "matroska",
    ".mpg": "mpeg",
    ".wmv": "asf",
}
"""The only demuxer that a file with this suffix may use, so that a playlist disguised as a video opens nothing."""
MAX_FILE_BYTES = 2 * 2**30
"""A clip is seconds or minutes long; a larger file is a mistake, and would fill the memory."""


class Film:
    """A video's frames by number, rotated as players show them.

    With `fps` above 0, numbers count frames at that rate (each the source's nearest frame).
    """

    def __init__(self, path: Path, fps: float = 0.0) -> None:
        """Opens the file. UserError if it doesn't exist, is too large or can't be decoded."""
        _refuse(path)
        self._path = path
        self._clip: Clip | None = None
        with _decode_errors_of(path):
            if CONTAINERS[path.suffix.lower()] == "mov":
                self._clip = Clip(path.read_bytes())
                n_source, rate = self._clip.n_frames, self._clip.fps
            else:
                n_source, rate = self._count()
        self._step = rate / fps if 0 < fps < rate else 1.0
        self.n_frames = max(1, int(n_source / self._step))

    def read(self, numbers: Sequence[int]) -> Mapping[int, Pixels]:
        """{number: RGB `[H, W, 3]`}. UserError if any doesn't decode."""
        wanted = {number: round(number * self._step) for number in numbers}
        with _decode_errors_of(self._path):
            frames = set(wanted.values())
            if self._clip is not None:
                stored = self._clip.read(sorted(frames))
                pictures = {number: np.rot90(picture, self._clip.turns) for number, picture in stored.items()}
            else:
                pictures = self._scan(frames)
        return {number: pictures[frame] for number, frame in wanted.items()}

    def _count(self) -> tuple[int, float]:
        with self._opened() as (container, stream):
            count = 0
            for _ in container.decode(stream):
                count += 1
                if count > MAX_PACKETS:
                    raise ValueError(f"more than {MAX_PACKETS} frames")
            if not count:
                raise ValueError("no frames")
            return count, float(stream.average_rate or 0)

    def _scan(self, wanted: set[int]) -> dict[int, Pixels]:
        pictures: dict[int, Pixels] = {}
        with self._opened() as (container, stream):
            for number, frame in enumerate(container.decode(stream)):
                if number in wanted:
                    pictures[number] = np.rot90(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8), turns_of(frame))
                if len(pictures) == len(wanted):
                    return pictures
        raise ValueError(f"frame {min(wanted - pictures.keys())} did not decode")

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Any]]:
        name = CONTAINERS[self._path.suffix.lower()]
        with av.open(str(self._path), "r", format=name, **ANY_TAGS) as container:
            if not container.streams.video:
                raise ValueError("no video stream")
            stream = container.streams.video[0]
            if stream.width * stream.height > MAX_PIXELS:
                raise ValueError(f"picture of {stream.width}x{stream.height}")
            stream.codec_context.thread_count = 1
            stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            yield container, stream


def _refuse(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"{path}: no such video file")
    if path.suffix.lower() not in CONTAINERS:
        raise UserError(f"{path}: a video's name ends with {', '.join(CONTAINERS)}; convert it, or give its frames")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise UserError(f"{path}: is larger than {MAX_FILE_BYTES // 2**30} GiB; cut a clip out of it first")


@contextmanager
def _decode_errors_of(path: Path) -> Iterator[None]:
    try:
        yield
    except DECODE_ERRORS as error:
        kind = path.suffix.lower().removeprefix(".")
        raise UserError(f"{path}: cannot be decoded as {kind} ({type(error).__name__}: {error})") from None


def videos_in(folder: Path) -> list[Path]:
    """All video files under a folder, sorted by path, without the .m4v (proxy) of a clip that is there as .mp4.

    UserError if there are none.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in CONTAINERS and path.is_file()]
    paths = [path for path in paths if path.suffix != ".m4v" or not path.with_suffix(".mp4").is_file()]
    if not paths:
        raise UserError(f"{folder}: holds no video ({', '.join(CONTAINERS)})")
    return paths
