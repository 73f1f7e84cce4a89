"""Audio packets interleaved with the video's: decoded where a clip wants them, skipped elsewhere."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import av

from pipeline.media.cutting.span import tick_at
from pipeline.media.probe import Probe

LATE_MS = 10_000
"""How far audio may trail the frames of the same moment in the file before it is no longer waited for, ms."""

_AHEAD_MS = 2000
"""How long before audio is wanted its packets are read again, ms: they stand up to a second before the video's. A clip
whose audio stands further ahead has its audio read separately, as has a file whose audio trails too far."""


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """A block of audio from `tick` up to `end_tick` on its track's clock; `frame` is None for a skipped block."""

    tick: int
    end_tick: int
    frame: Any = None


@dataclass(slots=True)
class Wanted:
    """A part of source time whose audio is wanted, ms, until `is_over` says that enough of it was heard."""

    start_ms: int
    end_ms: int
    is_over: bool = False


class Listener:
    """The audio side of a decode pass. `wanted` is in order; parts over before their packets come are not decoded."""

    def __init__(self, stream: Any, source: Probe, wanted: Sequence[Wanted]) -> None:
        self.stream = stream
        self._source, self._base = source, stream.time_base  # PyAV makes a new Fraction on each access
        self._wanted = deque((self._tick(part.start_ms), self._tick(part.end_ms), part) for part in wanted)
        self._until = self._until_ms = 0
        self._is_cold, self._rests = True, False

    def begin(self, until_ms: int) -> None:
        """Starts over before a seek to a keyframe; the file is read up to `until_ms`."""
        self._until, self._until_ms = self._tick(until_ms), until_ms
        self._rest(rests=False)

    def video_reaches(self, time_ms: int) -> None:
        """Has the demuxer drop the audio while none is wanted for long: a packet costs as much to hand over as to skip.

        `time_ms`: the video packets read so far go up to there.
        """
        while self._wanted and self._wanted[0][2].is_over:
            self._wanted.popleft()
        rests = not self._wanted or self._wanted[0][2].start_ms > time_ms + _AHEAD_MS
        if rests != self._rests:
            self._rest(rests=rests)

    def _rest(self, *, rests: bool) -> None:
        if rests != self._rests:
            self.stream.discard = av.stream.Discard.all if rests else av.stream.Discard.default
        self._rests, self._is_cold = rests, True

    def decode(self, packet: Any) -> list[AudioBlock]:
        """Returns the blocks of a packet; [] where it has no time stamp or cannot be decoded."""
        if packet.pts is None:
            return []
        while self._wanted and (self._wanted[0][1] <= packet.pts or self._wanted[0][2].is_over):
            self._wanted.popleft()
        if not self._wanted or packet.pts + (packet.duration or 0) < self._wanted[0][0]:
            was_cold, self._is_cold = self._is_cold, True
            return [] if was_cold else [AudioBlock(packet.pts, packet.pts)]
        if self._is_cold:
            self.stream.codec_context.flush_buffers()
            self._is_cold = False
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return []
        timed = [frame for frame in frames if frame.pts is not None]
        return [AudioBlock(frame.pts, frame.pts + self._length(frame), frame) for frame in timed]

    def is_done_by(self, time_ms: int) -> bool:
        """Whether no more audio is wanted before the end set by `begin`, given that the video has reached `time_ms`."""
        while self._wanted and self._wanted[0][2].is_over:
            self._wanted.popleft()
        return not self._wanted or self._wanted[0][0] >= self._until or time_ms > self._until_ms + LATE_MS

    def _length(self, frame: Any) -> int:
        if not frame.sample_rate:
            return 0
        return int(frame.samples * self._base.denominator // (frame.sample_rate * self._base.numerator))

    def _tick(self, ms: int) -> int:
        return tick_at(ms, self._source, self._base)
