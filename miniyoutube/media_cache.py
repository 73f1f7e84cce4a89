"""Draws media files once and keeps them by content hash outside any output directory.

A file is named by a hash of everything that determines its bytes: the script, the rendition and the drawing's version.
x264 runs with one thread and writes no clock time, so the same machine gives the same bytes again. Streams are like the
site's adaptive ones (fragmented mp4, video and audio separate); `progressive` has both in one file.
"""

import hashlib
import json
import os
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from manifests.errors import UserError
from miniyoutube.drawing import DRAWING_VERSION, frames_of
from miniyoutube.script import FPS, Script, words_of
from pipeline.engine.run.progress import counted

_SAMPLE_RATE = 22_050
_KEYFRAME_EVERY = 48
"""Frames between keyframes (4 s). There are none at scene cuts, since cutting must not rely on them."""
_QP = 29
"""Constant quantiser: x264 then skips its rate control's analysis of each frame, a third of its time."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """One file of a script: `kind` is video, audio or progressive; `voice` selects a dub; `damage`: "" or broken."""

    script: Script
    kind: str
    width: int = 0
    height: int = 0
    voice: str = ""
    damage: str = ""


def cache_root() -> Path:
    """The folder of drawn media: $HDVILA_DEMO_CACHE, else $XDG_CACHE_HOME/hdvila/demo, else ~/.cache/hdvila/demo."""
    if given := os.environ.get("HDVILA_DEMO_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hdvila" / "demo"


class MediaCache:
    """Files of renditions, drawn when first asked for. Thread-safe; processes may share a folder."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or cache_root()
        self.n_drawn = 0
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def path(self, rendition: Rendition) -> Path:
        """Returns the file of a rendition; draws it if it isn't there yet."""
        path = self.root / _file_name(rendition)
        with self._lock_of(path.name):
            if not path.exists():
                self._draw(rendition, path)
        return path

    def is_drawn(self, rendition: Rendition) -> bool:
        """Whether the file is there already."""
        return (self.root / _file_name(rendition)).exists()

    def draw_all(self, renditions: Iterable[Rendition]) -> int:
        """Draws the missing files and returns their number."""
        before = self.n_drawn
        missing = [rendition for rendition in dict.fromkeys(renditions) if not self.is_drawn(rendition)]
        if missing:
            with ThreadPoolExecutor(2) as pool:
                list(counted(pool.map(self.path, missing), len(missing), "videos of the demo, drawn once", "files"))
        return self.n_drawn - before

    def _make_root(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cure = "set HDVILA_DEMO_CACHE to a folder that can be written"
            raise UserError(f"drawn videos can't be kept in {self.root}: {error.strerror}; {cure}") from error

    def _lock_of(self, name: str) -> threading.Lock:
        with self._guard:
            return self._locks.setdefault(name, threading.Lock())

    def _draw(self, rendition: Rendition, path: Path) -> None:
        """Draws under a name unique to this thread and renames, so that no reader ever sees half a file."""
        self._make_root()
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            if rendition.damage:
                intact = self.path(Rendition(rendition.script, rendition.kind, rendition.width, rendition.height))
                unfinished.write_bytes(_break_middle(intact.read_bytes()))
            else:
                _encode(rendition, unfinished)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        with self._guard:
            self.n_drawn += 1


def _file_name(rendition: Rendition) -> str:
    facts = json.dumps({"version": DRAWING_VERSION, **asdict(rendition)}, sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:24] + (".m4a" if rendition.kind == "audio" else ".mp4")


def _encode(rendition: Rendition, path: Path) -> None:
    """Writes a rendition: video, audio or both."""
    layout = "faststart" if rendition.kind == "progressive" else "dash+global_sidx"
    options = {"movflags": layout, "fflags": "bitexact"}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        video = _add_video(container, rendition) if rendition.kind != "audio" else None
        audio = _add_audio(container) if rendition.kind != "video" else None
        if video is not None:
            _encode_video(container, video, rendition)
        if audio is not None:
            _encode_audio(container, audio, rendition)


def _add_video(container: av.container.OutputContainer, rendition: Rendition) -> av.VideoStream:
    """An x264 stream; every third script has B-frames, as the site's streams do."""
    n_b_frames = 2 if rendition.script.seed % 3 == 0 else 0
    params = f"keyint={_KEYFRAME_EVERY}:min-keyint={_KEYFRAME_EVERY}:scenecut=0:bframes={n_b_frames}:b-adapt=0"
    stream = container.add_stream(
        "libx264",
        rate=FPS,
        options={"preset": "ultrafast", "qp": str(_QP), "threads": "1", "x264-params": params, "flags": "+bitexact"},
    )
    stream.width, stream.height, stream.pix_fmt = rendition.width, rendition.height, "yuv420p"
    return stream


def _encode_video(container: av.container.OutputContainer, stream: av.VideoStream, rendition: Rendition) -> None:
    height, width = rendition.height, rendition.width
    frame = av.VideoFrame(width, height, "yuv420p")  # reused: x264 copies it, and a new frame costs its memory pages
    planes = [np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size) for plane in frame.planes]
    for number, canvas in enumerate(frames_of(rendition.script, width, height)):
        planes[0][:, :width] = canvas[:height]
        for plane, half in zip(planes[1:], canvas[height:].reshape(2, height // 2, width // 2), strict=True):
            plane[:, : width // 2] = half
        frame.pts = number
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _add_audio(container: av.container.OutputContainer) -> av.AudioStream:
    stream = container.add_stream(
        "aac", rate=_SAMPLE_RATE, layout="mono", options={"aac_coder": "fast", "flags": "+bitexact"}
    )
    stream.bit_rate = 48_000
    return stream


def _encode_audio(container: av.container.OutputContainer, stream: av.AudioStream, rendition: Rendition) -> None:
    audio = _audio_of(rendition.script, rendition.voice)
    for start in range(0, len(audio), 1024):
        frame = av.AudioFrame.from_ndarray(audio[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = _SAMPLE_RATE, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _audio_of(script: Script, voice: str) -> NDArray[np.float32]:
    """A quiet tone for each word, its pitch from the word, and silence in between; float32 mono."""
    audio = np.zeros(script.duration_ms * _SAMPLE_RATE // 1000, np.float32)
    for word in words_of(script):
        start, end = (ms * _SAMPLE_RATE // 1000 for ms in (word.start_ms, word.end_ms))
        pitch_hz = 180 + hashlib.sha256(f"{voice}{word.text}".encode()).digest()[0] * 2
        seconds = np.arange(end - start) / _SAMPLE_RATE
        envelope = np.sin(np.linspace(0, np.pi, end - start))
        audio[start:end] = 0.05 * envelope * np.sin(2 * np.pi * pitch_hz * seconds)
    return audio


def _break_middle(data: bytes) -> bytes:
    """Overwrites the middle of the middle fragment's payload with garbage: the copy plays, with decoder errors."""
    payloads = [(start, end) for kind, start, end in _boxes(data) if kind == b"mdat"]
    start, end = payloads[len(payloads) // 2]
    third = (end - start) // 3
    garbage = hashlib.shake_256(b"broken").digest(third)
    return data[: start + third] + garbage + data[start + 2 * third :]


def _boxes(data: bytes) -> list[tuple[bytes, int, int]]:
    """The top-level boxes of an mp4: type, start and end of the payload (ISO/IEC 14496-12, 32-bit sizes)."""
    boxes, at = [], 0
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        boxes.append((kind, at + 8, at + size))
        at += max(size, 8)
    return boxes
