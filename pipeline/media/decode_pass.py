"""One decode pass over a video: proxies, stills, hashes, motion, bars and audio of all clips, and the scene cuts."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from manifests.members import MEMBERS
from pipeline.config.media import MediaConfig
from pipeline.media.audio_blocks import AudioBlock, Wanted
from pipeline.media.checks import Measure, measures_for
from pipeline.media.checks.look import Look
from pipeline.media.cutting.span import CutClip, tick_at
from pipeline.media.frames import (
    SMALL_SHORT_SIDE,
    DecodeFault,
    Picture,
    Scaler,
    Small,
    Stretch,
    decode_video,
    merge_stretches,
)
from pipeline.media.hearing import Heard, Hearing
from pipeline.media.members import ClipTools, Makers
from pipeline.media.phash import ClipHashes
from pipeline.media.planes import chroma_of, luma_of
from pipeline.media.probe import Probe
from pipeline.media.repeats import Repeats
from pipeline.media.scenes import SceneFinder, Scenes
from pipeline.media.stopwatch import Stopwatch
from pipeline.media.work_limit import WorkLimit

HASH_EVERY_MS, LEAST_HASHED = 250, 16
"""Interval between the frames of a clip that are hashed; a clip too short to have so many then has a shorter interval,
since a copy at another speed shows other moments of it.
"""

_HELD_PIXELS = 4 * 1280 * 720
"""Pixels of the frames that are decoded before they are looked at: four of 720p, two of 1080p. A frame pushes all else
out of the processor's cache, the code of what is to be done to it included, which so comes back once in four frames;
more frames than these are dearer to read again."""

_MOST_AT_ONCE = 8
"""The same in frames and blocks of audio, for small pictures."""

_CLOCK_EVERY = 4
"""Batches of the pass between two looks at the limits: a look costs as much as a small check of a frame."""

_SEEK_GAP_MS = 8000
"""Clips closer together than this are decoded without a seek in between."""

_REORDER_MS = 200
"""Frames of a clip may refer to frames shown up to this much after it."""


class _OnceMade:
    """Makes the small picture of a frame when it is first asked for, and gives it again, also for frames like it."""

    __slots__ = ("_make", "_picture", "_small")

    def __init__(self, make: Callable[[Picture], Any], picture: Picture) -> None:
        self._make, self._small = make, None
        self._picture: Picture | None = picture

    def __call__(self) -> Any:
        if self._picture is not None:
            self._small, self._picture = self._make(self._picture), None  # makers keep this, and would keep the frame
        return self._small


@dataclass(slots=True)
class ClipLook:
    """One clip during the pass. Times inside are from the clip's start."""

    clip: CutClip
    start: int
    end: int
    makers: Makers
    measures: dict[str, Measure]
    facts: Look = field(default_factory=Look)
    hashes: ClipHashes = field(default_factory=ClipHashes)
    faults: list[str] = field(default_factory=list)
    heard: Heard | None = None
    """The result of the audio; None where there is none, or where it was too far from the frames in the file."""
    hash_every_ms: int = HASH_EVERY_MS
    _next_hash_ms: int = 0
    _hashed: Small | None = None

    def hash_is_due(self, clip_ms: int, small: Small) -> bool:
        """Whether this is the first frame at or after a multiple of `hash_every_ms`, and not like the last of these."""
        if clip_ms < self._next_hash_ms:
            return False
        self._next_hash_ms = (clip_ms // self.hash_every_ms + 1) * self.hash_every_ms
        is_new, self._hashed = small is not self._hashed, small
        return is_new

    @property
    def packed_hashes(self) -> bytes:
        """The hashes in the form of column `phashes`."""
        return self.hashes.packed()

    def finish(self) -> None:
        """Ends the clip, after its last frame."""
        self.facts.close(self.clip.end_ms - self.clip.start_ms)
        self.makers.finish()


def hash_interval_ms(duration_ms: int) -> int:
    """The interval between the frames that are hashed of a clip of this length."""
    return max(1, min(HASH_EVERY_MS, duration_ms // LEAST_HASHED))


Item = Picture | DecodeFault | AudioBlock


def _at_once(width: int, height: int) -> int:
    """Frames of this size that are decoded before they are looked at."""
    return max(1, min(_MOST_AT_ONCE, round(_HELD_PIXELS / max(1, width * height))))


def _several(items: Iterator[Item], at_once: int) -> Iterator[list[Item]]:
    """Yields the items in batches, which are to be emptied: frames that are held take the place of those to come."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) >= at_once:
            yield batch
            batch = []
    yield batch


class VideoLook:
    """The pass over a video: `run` takes the clips and returns what it saw of each; then `scenes` has the cuts."""

    def __init__(
        self, source: Probe, config: MediaConfig, stopwatch: Stopwatch, limit: WorkLimit, *, find_cuts: bool
    ) -> None:
        self._source, self._config, self._watch = source, config, stopwatch
        self._limit = limit
        self._small = Scaler(source, SMALL_SHORT_SIDE, "yuv420p")
        self._scaler = cache(partial(Scaler, source))
        self._finder = SceneFinder(source.video.fps) if find_cuts else None
        self._repeats = Repeats(source.video.coded_width, source.video.coded_height)
        self._faults: list[DecodeFault] = []
        self._sizes_seen = (source.video.coded_width, source.video.coded_height)

    @property
    def scenes(self) -> Scenes:
        """Scenes of the pass; none where scene cuts were not looked for."""
        with self._watch("scenes"):
            return self._finder.scenes() if self._finder is not None else Scenes()

    def run(self, clips: Sequence[CutClip]) -> list[ClipLook]:
        """Decodes what the clips need (the whole video where scene cuts are looked for); returns each clip's look.

        Raises Unusable(TIMEOUT) where that takes more processor time than the limits allow for a video of this length,
        Starved where the machine gives it too little processor time.
        """
        hearing = Hearing.of(self._source, self._config, clips)
        waiting = sorted((self._begin(clip) for clip in clips), key=lambda c: (c.start, c.end, c.clip.n))
        active: list[ClipLook] = []
        done: list[ClipLook] = []
        for picture, small in self._pictures(clips, hearing):
            while waiting and waiting[0].start <= picture.tick:
                active.append(waiting.pop(0))
            for ended in [c for c in active if c.end <= picture.tick]:
                active.remove(ended)
                done.append(self._end(ended))
            self._look_at(picture, small, active)
        done += [self._end(c) for c in (*active, *waiting)]
        with self._watch("audio"):
            hearing.finish()
        for look in done:
            look.heard = hearing.heard.get(look.clip.n)
        return done

    def _pictures(self, clips: Sequence[CutClip], hearing: Hearing) -> Iterator[tuple[Picture, Small]]:
        """Yields the frames and their small copies; has the audio between them heard, and notes faults."""
        at_once = _at_once(*self._sizes_seen)
        batches = self._watch.each("decode", _several(self._items(clips, hearing.wanted), at_once))
        for number, batch in enumerate(batches):
            if number % _CLOCK_EVERY == 0:
                self._limit.check()
            with self._watch("repeats"):
                made = partial(_OnceMade, self._shrunk)
                smalls = iter([self._repeats.small_of(item, made) for item in batch if isinstance(item, Picture)])
            for item in batch:
                if isinstance(item, Picture):
                    hearing.pictures_reach(item.time_ms)
                    yield item, next(smalls)
                elif isinstance(item, AudioBlock):
                    with self._watch("audio"):
                        hearing.hear(item)
                else:
                    self._faults.append(item)
            batch.clear()

    def _items(self, clips: Sequence[CutClip], hear: list[Wanted]) -> Iterator[Item]:
        if self._finder is not None:
            return decode_video(self._source, self._config.limits, hear=hear)
        stretches = [Stretch(part.start_ms, part.end_ms) for part in hear or clips]
        if not stretches:
            return iter(())
        return decode_video(self._source, self._config.limits, merge_stretches(stretches, _SEEK_GAP_MS), hear=hear)

    def _begin(self, clip: CutClip) -> ClipLook:
        base = self._source.video.time_base
        start, end = (tick_at(ms, self._source, base) for ms in (clip.start_ms, clip.end_ms))
        tools = ClipTools(self._source, clip, self._config, self._scaler)
        every_ms = hash_interval_ms(clip.end_ms - clip.start_ms)
        return ClipLook(clip, start, end, Makers.begin(tools), measures_for(self._config), hash_every_ms=every_ms)

    def _end(self, look: ClipLook) -> ClipLook:
        with self._watch("proxy"):
            look.finish()
        with self._watch("hash"):
            look.hashes.finish()
        in_clip = (f for f in self._faults if look.clip.from_ms <= f.time_ms < look.clip.end_ms + _REORDER_MS)
        look.faults += [f"{fault.message} at {fault.time_ms} ms" for fault in in_clip]
        if look.facts.n_frames != look.clip.n_frames:
            look.faults.append(f"{look.facts.n_frames} of {look.clip.n_frames} frames can be decoded")
        return look

    def _look_at(self, picture: Picture, small: Small, active: list[ClipLook]) -> None:
        for look in active:
            self._feed(look, picture, small)
        if self._finder is not None:
            with self._watch("scenes"):
                self._finder.feed(picture.frame, picture.time_ms, small)

    def _shrunk(self, picture: Picture) -> Any:
        with self._watch("shrink"):
            return self._small(picture.frame)

    def _feed(self, look: ClipLook, picture: Picture, small: Small) -> None:
        clip_ms = picture.time_ms - look.clip.start_ms
        if (picture.frame.width, picture.frame.height) != self._sizes_seen:
            look.faults.append(f"the picture becomes {picture.frame.width}x{picture.frame.height} at {clip_ms} ms")
        if look.facts.time(clip_ms):
            with self._watch("checks"):
                luma = luma_of(small())
                look.facts.add(luma)
                chroma = chroma_of(small())
                for measure in look.measures.values():
                    measure.picture(luma, chroma)
        if self._config.duplicates.enabled and look.hash_is_due(clip_ms, small):
            with self._watch("hash"):
                look.hashes.add(luma_of(small()))
        for extension, maker in look.makers.running.items():
            with self._watch(NAMES.get(extension, extension)):
                maker.feed(picture, small, clip_ms)


NAMES = {member.extension: member.switch for member in MEMBERS}
"""The stopwatch's name for the making of a member, by the member's extension."""
