"""Generates films whose frames carry their number and whose audio ticks every second, to measure cuts with.

Every frame has the frame code (hdvila_testing.frame_code) of its index, so that a decoder's output can be read back
as "this is frame 130 of the source". There is a tick of 5 ms at each whole second of source time, so that audio can be
compared with frames.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from hdvila_testing.frame_code import draw_frame_code

AUDIO_RATE = 48000
TICK_S = 0.005
_TEXTURE_PX = 512


@dataclass(frozen=True, slots=True)
class Film:
    """What to draw and how to store it. Frame i shows the code of i; times are seconds from the film's start."""

    seconds: float = 10.0
    fps: Fraction = Fraction(25)
    width: int = 1280
    height: int = 720
    gop: int = 250
    b_frames: int = 3
    open_gop: bool = False
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    crf: int = 26
    times_s: tuple[float, ...] = ()
    """Presentation time of each frame, for a variable frame rate; () for `fps`."""
    rotation: int = 0
    sar: Fraction = Fraction(1)
    start_s: float = 0.0
    """Time stamp of the first frame."""
    audio: str = "aac"
    """Codec of the audio; "" for none."""
    n_audio_tracks: int = 1
    audio_start_s: float = 0.0
    audio_end_s: float = math.inf
    silent: bool = False
    cuts: tuple[int, ...] = ()
    """Frames at which another scene starts."""
    fade_frames: int = 0
    """Length of a cross-fade that ends at each cut; 0 for hard cuts."""
    flashes: tuple[int, ...] = ()
    """Frames that are nearly white."""
    moves: bool = True
    options: dict[str, str] = field(default_factory=dict)
    """Further options of the video encoder."""

    @property
    def n_frames(self) -> int:
        """Number of frames in the film."""
        return len(self.times_s) or round(self.seconds * self.fps)

    def frame_time(self, index: int) -> Fraction:
        """The time at which frame `index` is shown, seconds from the film's start."""
        if self.times_s:
            return Fraction(self.times_s[index]).limit_denominator(90000)
        return Fraction(index) / self.fps


def a_video(path: Path, film: Film | None = None, **changes: Any) -> Path:
    """Draws and encodes a film at `path` (its suffix decides the container); keyword arguments are Film's fields."""
    film = film or Film(**changes)
    with _scheduling_kept(), av.open(str(path), "w", options={"fflags": "+bitexact"}) as container:
        video = _add_video(container, film)
        tracks = [_add_audio(container, film.audio) for _ in range(film.n_audio_tracks if film.audio else 0)]
        audio = [(track, _audio_blocks(film)) for track in tracks]
        for index in range(film.n_frames):
            now = film.frame_time(index)
            _encode_picture(container, video, film, index)
            for track, blocks in audio:
                _encode_audio(container, track, blocks, until_s=now)
        for track, blocks in audio:
            _encode_audio(container, track, blocks, until_s=math.inf)
        for stream in (video, *tracks):
            container.mux(stream.encode(None))
    return path


@contextmanager
def _scheduling_kept() -> Iterator[None]:
    """Restores the thread's scheduling afterwards.

    SVT-AV1 gives the thread that opens it real-time priority if it may, and leaves it so: two such processes on two
    cores then wait for ordinary threads of their own that never run.
    """
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, parameters)


def _add_video(container: Any, film: Film) -> Any:
    stream = container.add_stream(film.codec, rate=film.fps)
    stream.width, stream.height, stream.pix_fmt = film.width, film.height, film.pix_fmt
    context = stream.codec_context
    context.time_base = Fraction(1, 90000) if film.times_s or film.start_s else 1 / film.fps
    context.gop_size = film.gop
    context.thread_count = 1
    context.sample_aspect_ratio = film.sar
    context.options = _encoder_options(film)
    if film.rotation:
        stream.set_display_rotation(film.rotation)
    return stream


def _encoder_options(film: Film) -> dict[str, str]:
    if film.codec == "libx264":
        more = f"keyint={film.gop}:min-keyint={film.gop}:scenecut=0:bframes={film.b_frames}"
        more += f":open-gop={int(film.open_gop)}"
        base = {"preset": "superfast", "crf": str(film.crf), "x264-params": more}
    elif film.codec == "libx265":
        more = f"keyint={film.gop}:min-keyint={film.gop}:scenecut=0:bframes={film.b_frames}"
        more += f":open-gop={int(film.open_gop)}:log-level=error:pools=none"
        base = {"preset": "ultrafast", "crf": str(film.crf), "x265-params": more}
    elif film.codec == "libvpx-vp9":
        base = {"deadline": "realtime", "cpu-used": "8", "crf": str(film.crf), "b": "0", "keyint_min": str(film.gop)}
    elif film.codec == "libsvtav1":
        base = {"preset": "12", "crf": str(film.crf), "svtav1-params": "lp=1"}
    else:
        base = {}
    return base | film.options


def _add_audio(container: Any, codec: str) -> Any:
    stream = container.add_stream(codec, rate=AUDIO_RATE)
    stream.layout = "mono" if codec != "libmp3lame" else "stereo"
    return stream


def draw_picture(film: Film, index: int) -> NDArray[np.uint8]:
    """Draws frame `index` (height x width x 3, uint8 RGB): a drifting texture, different for each scene."""
    scene = sum(index >= cut for cut in film.cuts)
    texture = _texture(scene, film.height, film.width)
    shift = index if film.moves else 0
    down, right = (3 * shift) % _TEXTURE_PX, (6 * shift) % _TEXTURE_PX
    picture = texture[down : down + film.height, right : right + film.width].copy()
    if coming := next((cut for cut in film.cuts if 0 < cut - index <= film.fade_frames), 0):
        share = 1 - (coming - index) / (film.fade_frames + 1)
        next_scene = _texture(scene + 1, film.height, film.width)[down : down + film.height, right : right + film.width]
        picture = (picture * (1 - share) + next_scene * share).astype(np.uint8)
    if index in film.flashes:
        picture //= 8
        picture += 220
    draw_frame_code(picture, index)
    return picture


@lru_cache(maxsize=8)
def _texture(scene: int, height: int, width: int) -> NDArray[np.uint8]:
    """Coloured blobs of several sizes, drawn from the scene's number alone, with room to drift by a whole period."""
    rng = np.random.default_rng(1000 + scene)
    noise = np.zeros((_TEXTURE_PX, _TEXTURE_PX, 3), np.float32)
    for cells, weight in ((8, 90.0), (32, 40.0), (256, 14.0)):
        grid = rng.standard_normal((cells, cells, 3)).astype(np.float32)
        noise += weight * np.kron(grid, np.ones((_TEXTURE_PX // cells, _TEXTURE_PX // cells, 1), np.float32))
    tile = np.clip(noise * 0.5 + rng.uniform(60, 195, 3), 0, 255).astype(np.uint8)
    down, right = 2 + height // _TEXTURE_PX, 2 + width // _TEXTURE_PX
    return np.ascontiguousarray(np.tile(tile, (down, right, 1)))


def _encode_picture(container: Any, stream: Any, film: Film, index: int) -> None:
    frame = av.VideoFrame.from_ndarray(draw_picture(film, index), format="rgb24")
    base = stream.codec_context.time_base
    frame.time_base = base
    frame.pts = round((film.frame_time(index) + Fraction(film.start_s).limit_denominator(90000)) / base)
    container.mux(stream.encode(frame))


def _audio_blocks(film: Film) -> Iterator[tuple[float, NDArray[np.int16], int]]:
    """Yields blocks of 1024 samples as (time_s, samples, pts in samples), from audio_start_s to the film's end."""
    end_s = min(float(film.frame_time(film.n_frames - 1) + 1 / film.fps), film.audio_end_s)
    first = round(film.audio_start_s * AUDIO_RATE)
    for start in range(first, round(end_s * AUDIO_RATE), 1024):
        samples = np.arange(start, start + 1024)
        yield start / AUDIO_RATE, _ticks(samples, film.silent), start + round(film.start_s * AUDIO_RATE)


def _ticks(samples: NDArray[np.int64], silent: bool) -> NDArray[np.int16]:
    """A low hum with a loud 2 kHz burst at the start of each second."""
    if silent:
        return np.zeros(len(samples), np.int16)
    t = samples / AUDIO_RATE
    burst = np.where(t % 1.0 < TICK_S, 24000 * np.sin(2 * math.pi * 2000 * t), 0)
    hum = 300 * np.sin(2 * math.pi * 110 * t)
    return np.asarray(burst + hum, np.int16)


def _encode_audio(container: Any, stream: Any, blocks: Iterator[Any], until_s: float | Fraction) -> None:
    for time_s, samples, pts in blocks:
        data = samples[None] if stream.layout.name == "mono" else np.stack([samples, samples], 1).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout=stream.layout.name)
        frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, pts, Fraction(1, AUDIO_RATE)
        container.mux(stream.encode(frame))
        if time_s > until_s:
            return


def tick_times(path: Path | Any) -> list[float]:
    """File times (s) at which ticks begin, read from a file's decoded audio."""
    times: list[float] = []
    with av.open(path if not isinstance(path, Path) else str(path)) as container:
        track = container.streams.audio[0]
        for frame in container.decode(track):
            block = frame.to_ndarray()
            level = np.abs(block.astype(np.float32).reshape(-1, block.shape[-1])).max(axis=0)
            level /= 32768 if block.dtype.kind == "i" else 1
            loud = np.flatnonzero(level > 0.25)
            if loud.size and frame.time is not None:
                at = frame.time + int(loud[0]) / frame.sample_rate
                if not times or at - times[-1] > 0.5:
                    times.append(at)
    return times


def vfr_times(seconds: float) -> tuple[float, ...]:
    """Frame times of a film with a variable frame rate: each gap is one of four, drawn."""
    rng = np.random.default_rng(0)
    times, now = [], 0.0
    while now < seconds:
        times.append(now)
        now += float(rng.choice([0.02, 0.0333, 0.05, 0.2]))
    return tuple(times)
