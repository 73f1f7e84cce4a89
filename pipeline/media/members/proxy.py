"""Member KEY.m4v: a low-resolution copy of the clip's frames: of all, or of every second frame.

HD-VILA's low-resolution frames come from it: 320x180 is a quarter of 720p, so its 160x256 crop is HD-VILA's. HD-VILA
takes frames 12 apart, so every second frame is enough, at half the time and half the bytes. Proxies are BT.601, limited
range, and tagged so: readers that heed the tags and readers that don't give the same.
"""

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av

from manifests.colour import LIMITED, SMPTE170M
from manifests.sample import MAX_PIXELS, SampleJson
from pipeline.media.cutting.exact import ENCODER_THREADS
from pipeline.media.cutting.mp4 import new_mp4, timescale
from pipeline.media.cutting.span import ticks_of
from pipeline.media.frames import SMALL_SHORT_SIDE, Picture, Small
from pipeline.media.members import ClipTools, Made, Member
from pipeline.media.probe import Probe

PROXY_GOP = 8
PROXY_PRESET, PROXY_CRF = "ultrafast", 27
"""Frames between keyframes, and x264's preset and rate factor: docs/lab/clips.md has what others cost and save."""


class ProxyWriter:
    """Encodes low-resolution frames into mp4 bytes; file time 0 is the clip's start."""

    def __init__(self, source: Probe, size: tuple[int, int], start_ms: int) -> None:
        base = source.video.time_base
        self._scale = timescale(base)
        self._clock = Fraction(1, self._scale)
        self._tick = ticks_of(base, self._clock, Fraction(start_ms, 1000) + source.zero_s)
        self._buffer = io.BytesIO()
        self._container: Any = new_mp4(self._buffer, self._scale)
        self._stream: Any = self._container.add_stream("libx264", rate=source.video.fps or 25)
        self._stream.width, self._stream.height, self._stream.pix_fmt = size[0], size[1], "yuv420p"
        context = self._stream.codec_context
        context.time_base = self._clock
        context.gop_size, context.max_b_frames = PROXY_GOP, 0
        context.thread_count = ENCODER_THREADS
        context.flags |= av.codec.context.Flags.bitexact
        context.options = {"preset": PROXY_PRESET, "crf": str(PROXY_CRF)}
        colour = source.video.colour
        context.colorspace, context.color_range = SMPTE170M, LIMITED
        context.color_primaries, context.color_trc = colour.primaries, colour.transfer
        from pipeline.media.colour import To601  # imports OpenCV, which is not needed for clips alone

        self._to_601 = To601(colour)
        self._before: Any = None
        self._in_601: Any = None
        self._early: int | None = None

    def write(self, small: Any, tick: int) -> None:
        """Encodes the next frame (yuv420p, the proxy's size; again the same where it shows the same), at a time on the
        source's clock.
        """
        if small is not self._before:
            self._before, self._in_601 = small, self._to_601(small)
        small = self._in_601
        small.pict_type = av.video.frame.PictureType.NONE
        small.time_base = self._clock
        small.pts = self._tick(tick)
        self._mux(self._stream.encode(small))

    def _mux(self, packets: list[Any]) -> None:
        """Decode times begin at 0, whenever the first frame is shown: its time is true without the edit list too."""
        for packet in packets:
            if self._early is None:
                self._early = packet.dts
            packet.dts -= self._early
            self._container.mux(packet)

    def finish(self) -> bytes:
        """Returns the mp4's bytes."""
        self._mux(self._stream.encode(None))
        self._container.close()
        return self._buffer.getvalue()


_LEAST_RATE = 10
"""Frames per second that a thinned proxy keeps at least."""

_LEAST_FRAMES = 72
"""Clips with fewer frames keep them all: there HD-VILA's rule of 7 frames 12 apart takes frames closer together."""


def proxy_step(tools: ClipTools) -> int:
    """The proxy of this clip holds every n-th frame, from the first on; returns n."""
    if tools.clip.n_frames < _LEAST_FRAMES or not tools.config.members.proxy:
        return 1
    return max(1, min(tools.config.members.proxy_step, int(tools.source.video.fps / _LEAST_RATE)))


_AT_ONCE = 32
"""Frames that wait to be encoded together: one at a time between two large ones that are decoded, the encoder finds
nothing of its own in the processor's cache, and leaves nothing of the decoder's."""


class ProxyMaker:
    """Makes a clip's KEY.m4v."""

    def __init__(self, tools: ClipTools) -> None:
        self._tools = tools
        self._members = tools.config.members
        self._step, self._n_offered = proxy_step(tools), 0
        self._scale = tools.scaler(self._members.proxy_short_side, "yuv420p")
        self._writer: ProxyWriter | None = None
        self._waiting: list[tuple[Any, int]] = []
        self._shown: Small | None = None
        self._scaled: Any = None

    def feed(self, picture: Picture, small: Small, _clip_ms: int) -> None:
        """Takes a frame of the clip; reuses the small frame if it has the proxy's size."""
        self._n_offered += 1
        if (self._n_offered - 1) % self._step:
            return
        if small is not self._shown:
            same = self._members.proxy_short_side == SMALL_SHORT_SIDE
            self._shown, self._scaled = small, small() if same else self._scale(picture.frame)
        self._waiting.append((self._scaled, picture.tick))
        if len(self._waiting) >= _AT_ONCE:
            self._write()

    def _write(self) -> None:
        """Encodes the frames that wait."""
        if self._writer is None:
            size = (self._scale.width, self._scale.height)
            self._writer = ProxyWriter(self._tools.source, size, self._tools.clip.start_ms)
        for small, tick in self._waiting:
            self._writer.write(small, tick)
        self._waiting.clear()

    def finish(self) -> Made:
        """Returns the mp4, its frame size, and its frame step."""
        if self._waiting:
            self._write()
        data = self._writer.finish() if self._writer else b""
        size = {"proxy_width": self._scale.width, "proxy_height": self._scale.height}
        return Made(data, {**size, "proxy_step": self._step})


def faults(sample: SampleJson, data: bytes) -> Iterator[str]:
    """Yields what is wrong with a KEY.m4v."""
    size = (sample.proxy_width, sample.proxy_height)
    yield from video_faults("m4v", data, -(-sample.n_frames // max(1, sample.proxy_step)), size, exactly=True)


BROKEN = (av.error.FFmpegError, IndexError, ValueError, ArithmeticError)
"""Exceptions that PyAV raises for damaged media."""


def video_faults(
    name: str, data: bytes, n_frames: int, size: tuple[int, int] | None, *, exactly: bool = False
) -> Iterator[str]:
    """Yields what is wrong with an mp4 that should hold `n_frames` frames, or at least that many."""
    try:
        with av.open(io.BytesIO(data), "r", format="mp4") as container:  # noqa: TID251 - one format
            if not container.streams.video:
                yield f"{name}: has no frame"
                return
            context = container.streams.video[0].codec_context
            if context is None or context.width * context.height > MAX_PIXELS:
                yield f"{name}: there is no decoder for its video, or its frames are larger than {MAX_PIXELS} pixels"
                return
            sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    except BROKEN as error:
        yield f"{name}: cannot be decoded ({type(error).__name__}: {error})"
        return
    if len(sizes) < n_frames or (exactly and len(sizes) != n_frames):
        yield f"{name}: {len(sizes)} frames decode, the json counts {n_frames}"
    if size is not None and (wrong := set(sizes) - {size}):
        yield f"{name}: pictures are {sorted(wrong)}, the json says {size}"


MEMBER = Member("m4v", "frames", faults, picture=ProxyMaker)
