"""Member KEY.mjpg: JPEG stills at short side 720, concatenated. A sample's high-resolution frame is among them."""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import av

from manifests.sample import MAX_PIXELS, SampleJson
from pipeline.config.media import MembersConfig
from pipeline.media.cutting.span import Span
from pipeline.media.frames import Picture, Scaler, Small
from pipeline.media.members import ClipTools, Made, Member
from pipeline.media.members.proxy import BROKEN, proxy_step


@dataclass(frozen=True, slots=True)
class Still:
    """A JPEG inside KEY.mjpg. `frame` is its index among the clip's frames, and decides.

    `time_ms` is that frame's time from the clip's start, rounded down; the first frame's need not be 0.
    """

    frame: int
    time_ms: int
    offset: int
    size: int


@dataclass(slots=True)
class StillsWriter:
    """Encodes, for each wanted time of a clip, the first frame at or after it that the proxy has too."""

    scaler: Scaler
    wanted_ms: list[int]
    quality: int
    step: int = 1
    data: bytearray = field(default_factory=bytearray)
    stills: list[Still] = field(default_factory=list)
    _n_offered: int = 0
    _shown: Small | None = None
    _at: int = 0

    def offer(self, picture: Picture, small: Small, clip_ms: int) -> None:
        """Takes the clip's next frame, without gaps; `clip_ms` is its time from the clip's start."""
        number, self._n_offered = self._n_offered, self._n_offered + 1
        if not self.wanted_ms or clip_ms < self.wanted_ms[0] or number % self.step:
            return
        while self.wanted_ms and self.wanted_ms[0] <= clip_ms:
            del self.wanted_ms[0]
        if small is not self._shown:
            self._shown, self._at = small, len(self.data)
            self.data += self._encoded(picture)
        self.stills.append(Still(number, clip_ms, self._at, len(self.data) - self._at))

    def _encoded(self, picture: Picture) -> bytes:
        bgr = self.scaler(picture.frame).to_ndarray()
        import cv2  # heavy, and not needed for clips alone

        good, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        if not good:
            raise RuntimeError(f"OpenCV could not encode a JPEG of {bgr.shape}")
        return jpeg.tobytes()


STILL_SHORT_SIDE = 720
"""Stills are defined on the picture scaled to it."""
MIN_STILLS = 4
"""Stills of a clip at least, if it has that many frames: also a short one shows several moments."""


def still_times_ms(span: Span, config: MembersConfig, least: int = MIN_STILLS) -> list[int]:
    """Times from the clip's start at which stills are wanted: the middles of equal parts of the clip."""
    duration_ms = span.end_ms - span.start_ms
    count = max(least, -(-duration_ms // round(config.still_every_s * 1000)))
    return [(2 * i + 1) * duration_ms // (2 * count) for i in range(count)]


class StillsMaker:
    """Makes a clip's KEY.mjpg."""

    def __init__(self, tools: ClipTools) -> None:
        config, clip = tools.config.members, tools.clip
        self._scale = tools.scaler(STILL_SHORT_SIDE, "bgr24")
        times = still_times_ms(Span(clip.n, clip.start_ms, clip.end_ms), config)
        self._writer = StillsWriter(self._scale, times, config.still_quality, proxy_step(tools))

    def feed(self, picture: Picture, small: Small, clip_ms: int) -> None:
        self._writer.offer(picture, small, clip_ms)

    def finish(self) -> Made:
        """Returns the JPEGs, and the index of where each begins."""
        index = json.dumps([asdict(still) for still in self._writer.stills], ensure_ascii=False, separators=(",", ":"))
        fields = {"stills": index, "stills_width": self._scale.width, "stills_height": self._scale.height}
        return Made(bytes(self._writer.data), fields)


def faults(sample: SampleJson, data: bytes) -> Iterator[str]:
    end = 0
    for number, still in enumerate(json.loads(sample.stills)):
        jpeg = data[still["offset"] : still["offset"] + still["size"]]
        end = max(end, still["offset"] + still["size"])
        if not 0 <= still["frame"] < sample.n_frames:
            yield f"mjpg: still {number} shows frame {still['frame']} of {sample.n_frames}"
        if not 0 <= still["time_ms"] <= sample.duration_ms:
            yield f"mjpg: still {number} is at {still['time_ms']} ms of {sample.duration_ms}"
        size = _jpeg_size(jpeg)
        if size != (sample.stills_width, sample.stills_height):
            yield f"mjpg: still {number} {'is not a JPEG' if size is None else f'is {size[0]}x{size[1]}'}"
    if end != len(data):
        yield f"mjpg: has {len(data)} bytes, the json's stills end at {end}"


def _jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    try:
        with av.open(io.BytesIO(jpeg), "r", format="jpeg_pipe") as container:  # noqa: TID251 - one format
            context = container.streams.video[0].codec_context
            if context is None or context.width * context.height > MAX_PIXELS:
                return None
            frame = next(container.decode(video=0))
            return frame.width, frame.height
    except (*BROKEN, StopIteration):
        return None


MEMBER = Member("mjpg", "frames", faults, picture=StillsMaker)
