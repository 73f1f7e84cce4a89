"""One video from a file to finished samples: probe → borders → scenes → cut → members → checks.

In:  a media file, the video's row, its planned clips        Out: a sample or a failure for each clip, with its facts

Deterministic: the same file, rows, configuration and tool versions give the same bytes. Everything is written under a
single scratch folder, which never holds more than one copy of the clips and their members.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av

from manifests.categories import category_name
from manifests.reasons import AnyReason, Reason
from manifests.rows import WordRow
from manifests.sample import RECOGNISED, SIGNALS, WHOLE_VIDEO, SampleJson, clip_id, sample_key, written_sample
from pipeline.config.media import MediaConfig
from pipeline.media.borders import ClipWords, in_silence
from pipeline.media.checks import Audio, Finding, Seen, checks_on, findings, signals_in
from pipeline.media.convert import CONVERTED, convert, needs_conversion
from pipeline.media.cutting import CutClip, CutFailure, Span, cut_clips
from pipeline.media.cutting.audio import decode_audio
from pipeline.media.hearing import Heard, heard_of, is_wanted
from pipeline.media.members import Made, members_on, small_still
from pipeline.media.packs import Sample
from pipeline.media.probe import Probe, open_and_probe, open_media, refuse_unfit, time_limit_s
from pipeline.media.scenes import Part, Scenes, apply_cuts, cuts_inside, find_scenes, spans_inside
from pipeline.media.speech import Speech, hear_speech
from pipeline.media.stopwatch import Stopwatch
from pipeline.media.versions import sample_versions
from pipeline.media.work_limit import WorkLimit

if TYPE_CHECKING:
    from pipeline.media.decode_pass import ClipLook

CROSSES_CUT = "crosses_scene_cut"
"""Flag of a clip with a scene cut inside."""
CUTS_SPEECH = "cut_speech"
"""Flag of a clip with a border inside speech."""


@dataclass(frozen=True, slots=True)
class MadeClip:
    """The result for a clip. `sample` is None where it failed; then `reason` and `detail` say why."""

    n: int
    start_ms: int
    end_ms: int
    text: str
    sample: Sample | None
    reason: AnyReason | None = None
    detail: str = ""
    phashes: bytes = b""
    motion: float = -1.0
    flags: tuple[str, ...] = ()
    still: bytes = b""


@dataclass(frozen=True, slots=True)
class MadeVideo:
    """Everything made from a video: its clips by number, its scene cuts, its facts."""

    probe: Probe
    clips: list[MadeClip]
    cuts_ms: list[int]
    stopwatch: Stopwatch = field(default_factory=Stopwatch)


def make_video(
    path: Path,
    video: Mapping[str, Any],
    clips: Sequence[Mapping[str, Any]],
    config: MediaConfig,
    scratch: Path,
    words: Mapping[int, ClipWords] | None = None,
    heard_by: str = "",
) -> MadeVideo:
    """Cuts the planned `clips` (rows of CLIPS) of `video` (a row of VIDEOS) out of the file at `path`.

    `words`: those of each clip by its number; a clip may have none. `heard_by`: the recogniser, if it heard the video.
    Raises Unusable where the file as a whole cannot be used, Starved where the machine gives it too little time.
    """
    watch = Stopwatch()
    with ExitStack() as stack:
        with watch("probe"):
            opened, source = open_and_probe(path, config.limits)
            stack.callback(opened.close)
        limit = WorkLimit(time_limit_s(source.duration_ms / 1000), "converting")
        is_converted = config.cut.convert and needs_conversion(source, config.cut.mode)
        if is_converted:
            with watch("convert"):
                converted = convert(source, scratch / "converted.mp4")
                opened, source = open_and_probe(converted, config.limits)
                stack.callback(opened.close)
            limit.check_wall()
        refuse_unfit(source, config.cut)
        plan = {int(row["n"]): row for row in clips}
        spans = [Span(n, int(row["start_ms"]), _end_ms(row, source)) for n, row in sorted(plan.items())]
        work = _Work(source, opened, video, plan, words or {}, heard_by, config, scratch, watch, limit, is_converted)
        return work.run(spans)


def _end_ms(row: Mapping[str, Any], source: Probe) -> int:
    """Where a planned clip ends; a clip of the whole video ends where the file does."""
    is_whole = WHOLE_VIDEO in json.loads(row["flags"] or "[]")
    return source.duration_ms if is_whole else int(row["end_ms"])


@dataclass(slots=True)
class _Work:
    source: Probe
    opened: Any
    """The source's file, open until the clips are cut."""
    video: Mapping[str, Any]
    plan: Mapping[int, Mapping[str, Any]]
    words: Mapping[int, ClipWords]
    heard_by: str
    config: MediaConfig
    scratch: Path
    watch: Stopwatch
    limit: WorkLimit
    is_converted: bool
    spans: dict[int, Span] = field(default_factory=dict)
    """Of each planned clip: where its borders are now."""
    speech: Speech | None = None
    parts: dict[int, Part] = field(default_factory=dict)
    scenes: Scenes = field(default_factory=Scenes)

    def run(self, spans: Sequence[Span]) -> MadeVideo:
        if self.config.cut.borders == "silence":
            spans = self._in_silence(spans)
        self.spans = {span.n: span for span in spans}
        scenes = self.config.scenes
        moves = scenes.enabled and scenes.action in ("snap", "split")
        if moves:
            self.limit.begin("looking for scenes")
            with self.watch("scenes"):
                self.scenes = find_scenes(self.source, self.config.limits)
            self.limit.check_wall()
        parts = (
            apply_cuts(spans, self.scenes.cuts_ms, scenes.action) if moves else [Part(span, span.n) for span in spans]
        )
        self.parts = {part.span.n: part for part in parts}
        cut, failed = self._cut([part.span for part in parts])
        looks: dict[int, ClipLook] = {}
        if cut and _needs_frames(self.config):
            looks, seen = self._look(cut, find_cuts=scenes.enabled and not moves)
            self.scenes = self.scenes if moves else seen
        made = [self._with_still(self._made(clip, looks.get(clip.n)), looks.get(clip.n)) for clip in cut]
        made += [self._failed(failure.n, failure.reason, failure.detail) for failure in failed]
        return MadeVideo(self.source, sorted(made, key=lambda clip: clip.n), self.scenes.cuts_ms, self.watch)

    def _in_silence(self, spans: Sequence[Span]) -> Sequence[Span]:
        """Listens to the clips, and moves their borders."""
        self.limit.begin("listening")
        with self.watch("speech"):
            self.speech = speech = hear_speech(self.source, self.config.limits, spans, self.limit)
            if speech is None:
                return spans
            end_ms = self.source.duration_ms
            return [in_silence(span, self.plan[span.n], self.words.get(span.n), speech, end_ms) for span in spans]

    def _look(self, cut: list[CutClip], *, find_cuts: bool) -> tuple[dict[int, ClipLook], Scenes]:
        """Runs the decode pass: returns each clip's look by number, and the scenes."""
        from pipeline.media.decode_pass import VideoLook  # imports OpenCV, which is not needed for clips alone

        self.limit.begin("decoding")
        video_look = VideoLook(self.source, self.config, self.watch, self.limit, find_cuts=find_cuts)
        return {look.clip.n: look for look in video_look.run(cut)}, video_look.scenes

    def _cut(self, spans: Sequence[Span]) -> tuple[list[CutClip], list[CutFailure]]:
        """Cuts clips into files of the scratch folder, so that only one at a time is in memory."""
        cut: list[CutClip] = []
        failed: list[CutFailure] = []
        config = self.config
        self.limit.begin("cutting")
        for clip in self.watch.each("cut", cut_clips(self.source, spans, config.cut, config.limits, self.opened)):
            self.limit.check_wall()
            if isinstance(clip, CutFailure):
                failed.append(clip)
                continue
            self._file(clip.n, "mp4").write_bytes(clip.mp4)
            cut.append(replace(clip, mp4=b""))
        self.opened.close()
        return cut, failed

    def _made(self, clip: CutClip, look: ClipLook | None) -> MadeClip:
        span = Span(clip.n, clip.start_ms, clip.end_ms)
        inside = cuts_inside(self.scenes.cuts_ms, span)
        if inside and self.config.scenes.action == "drop":
            return self._failed(clip.n, Reason.ACROSS_SCENE_CUT, f"cuts at {inside} ms")
        heard = self._heard(clip, look)
        faults = self._findings(clip, look, heard)
        for finding in faults:
            if finding.action == "reject":
                return self._failed(clip.n, finding.reason, finding.detail)
        flags = self._flags(faults, clip, crosses=bool(inside))
        text, words = self._words(clip)
        made = {**(look.makers.made if look is not None else {}), **heard.made}
        document = self._document(clip, look, made, inside, text, words, flags)
        return MadeClip(
            n=clip.n,
            start_ms=clip.start_ms,
            end_ms=clip.end_ms,
            text=text,
            sample=self._sample(clip, made, text, document),
            phashes=look.packed_hashes if look else b"",
            motion=document.motion,
            flags=tuple(flags),
        )

    def _with_still(self, clip: MadeClip, look: ClipLook | None) -> MadeClip:
        """Also of a clip that succeeds: later stages may reject it, and its pack goes."""
        if not self.config.keep_rejected_stills or look is None or "mjpg" not in look.makers.made:
            return clip
        return replace(clip, still=small_still(look.makers.made["mjpg"]))

    def _findings(self, clip: CutClip, look: ClipLook | None, heard: Heard) -> list[Finding]:
        seen = Seen(self.source.video, heard=heard.faults)
        if look is not None:
            seen = replace(seen, look=look.facts, faults=look.faults, measures=look.measures)
        with self.watch("checks"):
            return findings(seen, self.config)

    def _heard(self, clip: CutClip, look: ClipLook | None) -> Heard:
        """The result of the clip's audio: from the decode pass, or read separately if that had none for it."""
        if look is not None and look.heard is not None:
            return look.heard
        with self.watch("audio"):
            return heard_of(self._audio(clip), clip.end_ms - clip.start_ms, self.source.video, self.config)

    def _audio(self, clip: CutClip) -> Audio:
        audio = self.source.audio
        if audio is None or not is_wanted(self.config):
            return None, 1
        with open_media(self.source.path, self.config.limits) as container:
            for stream in container.streams:
                if stream.index != audio.index:
                    stream.discard = av.stream.Discard.all
            stream = container.streams[audio.index]
            return decode_audio(container, stream, self.source, clip.start_ms, clip.end_ms)

    def _flags(self, faults: Sequence[Finding], clip: CutClip, *, crosses: bool) -> list[str]:
        reasons = [finding.reason.value for finding in faults]
        speech = self.speech
        cuts = speech is not None and (speech.is_cut_at(clip.start_ms) or speech.is_cut_at(clip.end_ms))
        return reasons + [CROSSES_CUT] * crosses + [CUTS_SPEECH] * cuts + [CONVERTED] * self.is_converted

    def _words(self, clip: CutClip) -> tuple[str, list[WordRow]]:
        """The clip's text, and its words with times from its start and within it, as a border may have moved by a word.

        A part of a split clip has its own words.
        """
        planned_n = self.parts[clip.n].of
        of_clip = self.words.get(planned_n)
        words, text = of_clip.own if of_clip else (), str(self.plan[planned_n]["text"])
        if self.config.scenes.action == "split" and words and self.parts[clip.n].span != self.spans[planned_n]:
            words = [w for w in words if clip.start_ms <= (w["start_ms"] + w["end_ms"]) // 2 < clip.end_ms]
            text = " ".join(w["text"] for w in words)

        def inside(ms: int) -> int:
            return min(max(ms, clip.start_ms), clip.end_ms) - clip.start_ms

        shifted: list[WordRow] = [
            {**w, "start_ms": inside(w["start_ms"]), "end_ms": inside(w["end_ms"])} for w in words
        ]
        return text, shifted

    def _scene_spans(self, clip: CutClip) -> list[list[int]]:
        """Gradual transitions in the clip, timed from its start, and cut off where they leave the clip."""
        met = spans_inside(self.scenes.spans_ms, Span(clip.n, clip.start_ms, clip.end_ms))
        return [[max(a, clip.start_ms) - clip.start_ms, min(b, clip.end_ms) - clip.start_ms] for a, b in met]

    def _document(
        self,
        clip: CutClip,
        look: ClipLook | None,
        made: Mapping[str, Made],
        cuts_inside_ms: list[int],
        text: str,
        words: list[WordRow],
        flags: list[str],
    ) -> SampleJson:
        row, video, source = self.plan[self.parts[clip.n].of], self.video, self.source
        category_id = int(row["category_id"])
        added = {name: value for member in made.values() for name, value in member.fields.items()}
        signals = signals_in(look.measures, self.config) if look is not None else {}
        facts = {
            "clip_id": clip_id(video["video_id"], clip.n),
            "video_id": video["video_id"],
            "url": video["url"],
            "category_id": category_id,
            "category": category_name(category_id),
            "channel_id": video["channel_id"],
            "title": video["title"],
            "license": video["license"],
            "upload_date": video["upload_date"],
            "language": row["language"],
            "caption_kind": row["caption_kind"],
            "boundary_model": row["boundary_model"],
            "text": text,
            "start_ms": clip.start_ms,
            "end_ms": clip.end_ms,
            "planned_start_ms": int(row["start_ms"]),
            "planned_end_ms": int(row["end_ms"]),
            "offset_ms": clip.offset_ms,
            "duration_ms": clip.end_ms - clip.start_ms,
            "first_frame": clip.first_frame,
            "n_frames": clip.n_frames,
            "cut_mode": clip.mode,
            "width": source.video.width,
            "height": source.video.height,
            "fps": round(float(source.video.fps), 6),
            "codec": clip.codec,
            "rotation": source.video.rotation,
            "has_audio": clip.has_audio,
            "audio_start_ms": clip.audio_start_ms,
            "words": _json(words),
            "scene_cuts": _json([cut - clip.start_ms for cut in cuts_inside_ms]),
            "scene_spans": _json(self._scene_spans(clip)),
            "flags": _json(sorted({*json.loads(row["flags"] or "[]"), *flags})),
            "motion": look.facts.motion if look is not None else -1.0,
            **{name: signals.pop(name) for name in SIGNALS if name in signals},
            "speech_share": self.speech.share(clip.start_ms, clip.end_ms) if self.speech is not None else -1.0,
            "heard_by": self.heard_by if row["caption_kind"] == RECOGNISED else "",
            "alignment_confidence": round(float(row["confidence"]), 6),
            "versions": _json(sample_versions() | {"yt-dlp": video["yt_dlp_version"]}),
        }
        if extra := video.get("extra"):  # of sources of addresses, "{}" at least
            added["extra"] = extra
        return written_sample(facts, added | signals)  # those of other packages

    def _sample(self, clip: CutClip, made: Mapping[str, Made], text: str, document: SampleJson) -> Sample:
        """Makes the sample with its members, large ones as files of the scratch folder."""
        members: dict[str, bytes | Path] = {
            "mp4": self._file(clip.n, "mp4"),
            "txt": text.encode(),
            "json": document.model_dump_json().encode(),
        }
        members |= {extension: self._written(clip.n, extension, member.data) for extension, member in made.items()}
        return Sample(sample_key(self.video["video_id"], clip.n), members)

    def _failed(self, n: int, reason: AnyReason, detail: str) -> MadeClip:
        part = self.parts[n]
        text = str(self.plan[part.of]["text"])
        return MadeClip(n, part.span.start_ms, part.span.end_ms, text, None, reason, detail)

    def _file(self, n: int, extension: str) -> Path:
        return self.scratch / f"{sample_key(self.video['video_id'], n)}.{extension}"

    def _written(self, n: int, extension: str, data: bytes) -> Path:
        path = self._file(n, extension)
        path.write_bytes(data)
        return path


def _needs_frames(config: MediaConfig) -> bool:
    """Whether anything that is switched on needs decoded frames."""
    if config.scenes.enabled or config.duplicates.enabled:
        return True
    return any(members_on(config, "frames")) or any(checks_on(config, "frames"))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
