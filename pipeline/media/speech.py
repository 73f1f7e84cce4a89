"""Where the audio of clips holds speech: found before they are cut, so that their borders can move into silence.

In:  a file with audio, the spans to listen to        Out: `Speech`: for each 10 ms heard, whether somebody speaks

The detector is WebRTC's: a Gaussian mixture over six bands, whose weights are in its wheel (`webrtcvad-wheels`), in its
strictest mode, since the milder ones take the end of a word's echo for speech.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import av

from pipeline.config.media import MediaLimits
from pipeline.media.cutting.audio import audio_frames
from pipeline.media.cutting.span import Span, whole_ms
from pipeline.media.cutting.window import read_only
from pipeline.media.frames import Stretch, merge_stretches
from pipeline.media.probe import SoundProbe, open_media
from pipeline.media.work_limit import WorkLimit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

REACH_MS = 400
"""How far a border may move."""

LEAST_SILENCE_MS = 50
"""Shorter silences are stops within words."""

INSIDE_MS = 100
"""A border cuts speech if there is speech for this long on both sides of it."""

_STEP_MS, _RATE, _MODE = 10, 8000, 3
_STEP_BYTES = 2 * _RATE * _STEP_MS // 1000
_UNKNOWN = -1

_AROUND_MS = 2 * REACH_MS
"""Audio heard on both sides of a span: as far as its borders may move, and before that, for the detector to settle."""

_SEEK_GAP_MS = 8000
"""Spans closer together than this are heard without a seek in between."""

_GAP_MS = 50
"""A block of audio that is further than this from the end of the last one does not continue it."""

_AT_ONCE_S = 5
"""Seconds of audio that are handed to the detector together: a call for each block costs as much as to decode it."""


@dataclass(frozen=True)
class Speech:
    """marks [n], int8: whether somebody speaks in each 10 ms of source time, 1 or 0; -1 where nothing was heard."""

    marks: NDArray[np.int8]

    def share(self, start_ms: int, end_ms: int) -> float:
        """The share of a span that is speech, 0 to 1; -1.0 if nothing of it was heard."""
        marks = self.marks[start_ms // _STEP_MS : -(-end_ms // _STEP_MS)]
        heard = marks[marks != _UNKNOWN]
        return round(float(heard.mean()), 4) if len(heard) else -1.0

    def is_cut_at(self, ms: int) -> bool:
        """Whether a border at this time is more than INSIDE_MS inside speech."""
        around = self.marks[max(0, ms - INSIDE_MS) // _STEP_MS : (ms + INSIDE_MS) // _STEP_MS + 1]
        return len(around) > 0 and bool((around == 1).all())

    def silences(self, from_ms: int, to_ms: int) -> Iterator[tuple[int, int]]:
        """Yields the silences within from_ms to to_ms, cut off there; those that are long enough."""
        starts, ends = self._silences
        first, last = ends.searchsorted(from_ms, "right"), starts.searchsorted(to_ms, "left")
        for start, end in zip(starts[first:last].tolist(), ends[first:last].tolist(), strict=True):
            start, end = max(start, from_ms), min(end, to_ms)
            if end - start >= LEAST_SILENCE_MS:
                yield start, end

    @cached_property
    def _silences(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        import numpy as np

        is_silent = np.concatenate([[0], self.marks == 0, [0]])
        turns = np.diff(is_silent)
        return np.flatnonzero(turns == 1) * _STEP_MS, np.flatnonzero(turns == -1) * _STEP_MS


def can_hear() -> bool:
    """Whether the detector is installed."""
    try:
        import webrtcvad  # noqa: F401
    except ImportError:
        return False
    return True


def hear_speech(source: SoundProbe, limits: MediaLimits, spans: Sequence[Span], limit: WorkLimit) -> Speech | None:
    """Listens to spans, and to a little on both sides of each; None if there is no audio, or no detector.

    Raises Unusable where the file cannot be opened, Starved as `limit` does.
    """
    if source.audio is None or not can_hear():
        return None
    import numpy as np

    inside = [span for span in spans if 0 <= span.start_ms < min(span.end_ms, source.duration_ms)]
    around = sorted((max(0, span.start_ms - _AROUND_MS), span.end_ms + _AROUND_MS) for span in inside)
    stretches = [Stretch(a, min(b, source.duration_ms)) for a, b in around]
    ear = _Ear(np.full(source.duration_ms // _STEP_MS + 1, _UNKNOWN, np.int8), source)
    with open_media(source.path, limits) as container:
        read_only(container, source.audio.index)
        stream = container.streams[source.audio.index]
        for stretch in merge_stretches(stretches, _SEEK_GAP_MS):
            for frame in audio_frames(container, stream, source, stretch.start_ms, stretch.end_ms):
                if ear.hear(frame):
                    limit.check_wall()
            ear.end()
    return Speech(ear.marks)


class _Ear:
    """Takes the frames of a track in order, and marks when somebody speaks."""

    def __init__(self, marks: NDArray[np.int8], source: SoundProbe) -> None:
        import webrtcvad

        self.marks = marks
        self._vad = webrtcvad.Vad(_MODE)
        self._time = whole_ms(source, source.audio.time_base) if source.audio else int
        self._kind: tuple[str, str, int] | None = None  # of the frames that follow one another: format, layout, rate
        self._start_ms = self._n_samples = self._n_held = 0
        self._begin()

    def hear(self, frame: Any) -> bool:
        """Takes a frame; whether seconds of audio went to the detector."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if frame.pts is None or not frame.sample_rate:
            return False
        at_ms = self._time(frame.pts)
        if kind != self._kind or abs(at_ms - self._start_ms - 1000 * self._n_samples // frame.sample_rate) > _GAP_MS:
            self.end()
            self._kind, self._start_ms = kind, at_ms
        frame.pts = None  # the queue would expect times without gaps
        self._queue.write(frame)
        self._n_samples += frame.samples
        self._n_held += frame.samples
        if self._n_held < _AT_ONCE_S * frame.sample_rate:
            return False
        self._detect()
        return True

    def end(self) -> None:
        """Ends the audio that follows without a gap."""
        self._detect()
        self._begin()

    def _begin(self) -> None:
        self._queue = av.AudioFifo()
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=_RATE)
        self._kind, self._n_samples, self._n_steps, self._rest = None, 0, 0, b""

    def _detect(self) -> None:
        import numpy as np

        self._n_held = 0
        held = self._queue.read() if self._kind else None
        if held is None:
            return
        made = [bytes(part.planes[0])[: 2 * part.samples] for part in self._resampler.resample(held)]
        sound = b"".join([self._rest, *made])
        whole = len(sound) - len(sound) % _STEP_BYTES
        spoken = [self._vad.is_speech(sound[i : i + _STEP_BYTES], _RATE) for i in range(0, whole, _STEP_BYTES)]
        self._rest = sound[whole:]
        first = self._start_ms // _STEP_MS + self._n_steps
        self._n_steps += len(spoken)
        kept = np.array(spoken, np.int8)[max(0, -first) :]
        place = self.marks[max(0, first) : max(0, first) + len(kept)]
        place[:] = kept[: len(place)]
