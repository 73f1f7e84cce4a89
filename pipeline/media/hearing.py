"""The audio of clips in the decode pass: one demux and one decode serve pictures and audio.

A clip's samples are held only until its audio has passed; then its checks and members are made of them. A clip whose
audio does not stand near its pictures in the file is not `heard` here: its audio is read by itself afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.config.media import MediaConfig
from pipeline.media.checks import Audio, Seen, checks_on
from pipeline.media.cutting.audio import SETTLE_MS, ClipAudio
from pipeline.media.cutting.span import CutClip, tick_at
from pipeline.media.frames import Stretch
from pipeline.media.members import Made, members_on
from pipeline.media.probe import Probe, VideoTrack
from pipeline.media.sounds import LATE_MS, Sound


@dataclass(frozen=True, slots=True)
class Heard:
    """The result of one clip's audio: what each check found ("" for nothing), and the members made of it."""

    found: Mapping[str, str]
    made: Mapping[str, Made]


def heard_of(audio: Audio, duration_ms: int, video: VideoTrack, config: MediaConfig) -> Heard:
    """Makes the checks and members that are on and need audio."""
    seen = Seen(video, audio=audio)
    return Heard(
        {check.name: check.find(seen, config) for check in checks_on(config, "audio")},
        {m.extension: m.audio(audio, duration_ms, config) for m in members_on(config, "audio") if m.audio},
    )


def is_wanted(config: MediaConfig) -> bool:
    """Whether anything that is switched on needs the audio."""
    return any(members_on(config, "audio")) or any(checks_on(config, "audio"))


@dataclass(slots=True)
class _Ear:
    """One clip that listens, with its bounds on the track's clock and the tick of the first block that came."""

    clip: CutClip
    start: int
    end: int
    audio: ClipAudio
    first: int | None = None


@dataclass(slots=True)
class Hearing:
    """Collects the audio of a video's clips as it comes; `heard`, by clip number, fills on the way."""

    source: Probe
    config: MediaConfig
    heard: dict[int, Heard] = field(default_factory=dict)
    _ears: deque[_Ear] = field(default_factory=deque)
    _beginning: int = 0  # tick at which the track begins

    @classmethod
    def of(cls, source: Probe, config: MediaConfig, clips: Sequence[CutClip]) -> Hearing:
        """One for the clips of a video; it wants nothing where the video has no audio or nothing needs it."""
        hearing, track = cls(source, config), source.audio
        if track is None or not is_wanted(config):
            return hearing
        hearing._beginning = tick_at(track.start_ms + 1, source, track.time_base)
        for clip in sorted(clips, key=lambda c: (c.start_ms, c.end_ms, c.n)):
            start, end = (tick_at(ms, source, track.time_base) for ms in (clip.start_ms, clip.end_ms))
            audio = ClipAudio(track.rate, track.channels, source, clip.start_ms, clip.end_ms)
            hearing._ears.append(_Ear(clip, start, end, audio))
        return hearing

    @property
    def stretches(self) -> list[Stretch]:
        """The parts of the video whose audio is wanted, in order."""
        return [Stretch(max(0, ear.clip.start_ms - SETTLE_MS), ear.clip.end_ms) for ear in self._ears]

    def hear(self, sound: Sound) -> None:
        """The next block of audio."""
        self._close([ear for ear in self._ears if ear.end <= sound.tick])
        for ear in self._ears:
            if sound.frame is None or ear.start > sound.end_tick:
                return
            ear.first = sound.tick if ear.first is None else ear.first
            ear.audio.add(sound.frame)

    def pictures_reach(self, time_ms: int) -> None:
        """Pictures have come to this moment: clips whose audio should have passed long ago are given up."""
        while self._ears and self._ears[0].clip.end_ms + LATE_MS < time_ms:
            self._ears.popleft()

    def finish(self) -> None:
        """The file has ended."""
        self._close([*self._ears])

    def _close(self, ears: Iterable[_Ear]) -> None:
        for ear in ears:
            self._ears.remove(ear)
            if ear.first is not None and ear.first <= max(ear.start, self._beginning):
                duration_ms = ear.clip.end_ms - ear.clip.start_ms
                self.heard[ear.clip.n] = heard_of(ear.audio.result, duration_ms, self.source.video, self.config)
