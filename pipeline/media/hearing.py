"""The audio of clips during the decode pass, so that each file is demuxed once for both video and audio.

A clip's samples are held only until its audio has passed; then its checks and members are made from them. Where no
member is made from the audio and what came so far settles the checks, the rest of the clip's audio is not decoded. A
clip whose audio is far from its frames in the file is not `heard` here: its audio is read separately afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.config.media import MediaConfig
from pipeline.media.audio_blocks import LATE_MS, AudioBlock, Wanted
from pipeline.media.checks import Audio, Seen, checks_on
from pipeline.media.cutting.audio import SETTLE_MS, ClipAudio
from pipeline.media.cutting.span import CutClip, tick_at
from pipeline.media.members import Made, members_on
from pipeline.media.probe import Probe
from pipeline.media.streams import VideoTrack


@dataclass(frozen=True, slots=True)
class Heard:
    """The result of a clip's audio: the fault that each check sees ("" for none), and the members made from it."""

    faults: Mapping[str, str]
    made: Mapping[str, Made]


def heard_of(audio: Audio, duration_ms: int, video: VideoTrack, config: MediaConfig) -> Heard:
    """Makes the checks and members that are on and need audio."""
    seen = Seen(video, audio=audio)
    return Heard(
        {check.name: check.fault(seen, config) for check in checks_on(config, "audio")},
        {m.extension: m.audio(audio, duration_ms, config) for m in members_on(config, "audio") if m.audio},
    )


def is_wanted(config: MediaConfig) -> bool:
    """Whether anything that is switched on needs the audio."""
    return any(members_on(config, "audio")) or any(checks_on(config, "audio"))


_FIRST_ASKED_S = 0.5
"""Length of audio after which the checks are first asked whether it is enough; asked again each time it doubles."""


def is_enough(audio: Audio, config: MediaConfig) -> bool:
    """Whether the beginning of a clip's audio settles everything that is made from it."""
    if any(members_on(config, "audio")):
        return False
    return all(check.enough is not None and check.enough(audio, config) for check in checks_on(config, "audio"))


@dataclass(slots=True)
class _PendingClip:
    """A clip whose audio is collected: its bounds on the track's clock, and the tick of the first block that came."""

    clip: CutClip
    start: int
    end: int
    audio: ClipAudio
    wanted: Wanted
    ask_at_s: float = _FIRST_ASKED_S
    first: int | None = None

    def has_enough(self, config: MediaConfig) -> bool:
        """Whether no more of the clip's audio is needed."""
        if self.audio.heard_s < self.ask_at_s:
            return False
        self.ask_at_s = 2 * self.audio.heard_s
        return is_enough(self.audio.so_far, config)


@dataclass(slots=True)
class Hearing:
    """Collects the audio of a video's clips as it comes; `heard` (by clip number) fills along the way."""

    source: Probe
    config: MediaConfig
    heard: dict[int, Heard] = field(default_factory=dict)
    _pending: deque[_PendingClip] = field(default_factory=deque)
    _beginning: int = 0  # tick at which the track begins

    @classmethod
    def of(cls, source: Probe, config: MediaConfig, clips: Sequence[CutClip]) -> Hearing:
        """Makes the collector for a video's clips; it wants nothing if there is no audio or nothing needs it."""
        hearing, track = cls(source, config), source.audio
        if track is None or not is_wanted(config):
            return hearing
        hearing._beginning = tick_at(track.start_ms + 1, source, track.time_base)
        for clip in sorted(clips, key=lambda c: (c.start_ms, c.end_ms, c.n)):
            start, end = (tick_at(ms, source, track.time_base) for ms in (clip.start_ms, clip.end_ms))
            audio = ClipAudio(track.rate, track.channels, source, clip.start_ms, clip.end_ms)
            wanted = Wanted(max(0, clip.start_ms - SETTLE_MS), clip.end_ms)
            hearing._pending.append(_PendingClip(clip, start, end, audio, wanted))
        return hearing

    @property
    def wanted(self) -> list[Wanted]:
        """The parts of the video whose audio is wanted, in order."""
        return [pending.wanted for pending in self._pending]

    def hear(self, block: AudioBlock) -> None:
        """Takes the next block of audio."""
        self._close([pending for pending in self._pending if pending.end <= block.tick])
        if block.frame is None:
            return
        enough = []
        for pending in self._pending:
            if pending.start > block.end_tick:
                break
            pending.first = block.tick if pending.first is None else pending.first
            pending.audio.add(block.frame)
            if pending.has_enough(self.config):
                enough.append(pending)
        self._close(enough)

    def pictures_reach(self, time_ms: int) -> None:
        """Drops clips whose audio should have passed long ago, now that the video has reached `time_ms`."""
        while self._pending and self._pending[0].clip.end_ms + LATE_MS < time_ms:
            self._pending.popleft()

    def finish(self) -> None:
        """Closes the clips that are left, at the end of the file."""
        self._close([*self._pending])

    def _close(self, ended: Iterable[_PendingClip]) -> None:
        for pending in ended:
            self._pending.remove(pending)
            pending.wanted.is_over = True
            if pending.first is not None and pending.first <= max(pending.start, self._beginning):
                duration_ms = pending.clip.end_ms - pending.clip.start_ms
                self.heard[pending.clip.n] = heard_of(pending.audio.result, duration_ms, self.source.video, self.config)
