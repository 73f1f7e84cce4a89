"""The stage from transcripts to planned clips: it splits sentences, plans and filters, for each video of a part.

A unit is one committed part of `transcripts`. Clips given by a source (HD-VILA-100M's spans) are taken as they are.
"""

import json
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypedDict

from manifests.reasons import Reason
from manifests.rows import ClipRow, TranscriptRow
from manifests.sample import GIVEN, WHOLE_MS, WHOLE_VIDEO, clip_id
from manifests.stages import STAGES
from pipeline.config.text import TextConfig
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.boundary import per_item
from pipeline.engine.work.part_units import OverParts, part_of, parts_processed
from pipeline.engine.work.unit import Context, Output, Reject, Rejected, Resources, Unit
from pipeline.outdir.sayings import Sayings
from pipeline.outdir.tombstones import read_tombstones
from pipeline.text.boundary.evidence import Marks
from pipeline.text.captions.track import Event, Track, Word, primary
from pipeline.text.clip_plan import PlannedClip, plan_clips
from pipeline.text.filters import elsewhere_shares, joined_sounds, reject_of, repeats
from pipeline.text.flags import flags_of
from pipeline.text.sentences import mark_probabilities, model_used

EXPECTED_MS = 10_000
"""Length that the balance assumes for a whole video of unknown length."""


class VideoFacts(TypedDict, total=False):
    """The columns of `videos` that planning needs; empty for a transcript without a row of `videos`."""

    video_id: str
    category_id: int
    duration_s: float
    given_spans: str
    flags: str


Planned = tuple[TranscriptRow, list[ClipRow], list[Reject]]
"""Of a video: its transcript, its clips, and its rejected clips."""
VIDEO_COLUMNS = list(VideoFacts.__annotations__)


@dataclass(frozen=True, slots=True)
class ClipsStage(OverParts):
    """`transcripts` (+ `videos`) -> `clips`."""

    config: TextConfig
    name: str = "clips"
    resources: Resources = Resources(n_cpus=1.0, memory_bytes=2 * 1024**3, time_limit_s=1800.0)

    over: str = STAGES["clips"].by_part_of

    def units_of(self, store: Store, parts: Sequence[Part]) -> Iterator[Unit]:
        """The units of these parts; each names the part of `videos` that came with its own."""
        own = parts_processed(store, "videos", {part.unit for part in parts})
        return (Unit(self.unit_name(part), own.get(part.unit), part=part) for part in parts)

    def process(self, unit: Unit, context: Context) -> Output:
        """Makes the clips of the part's videos, and a reject for each clip that a filter rejected."""
        transcripts = context.store.read_part(part_of(unit)).to_pylist()
        videos = facts_of(context.store, {row["video_id"] for row in transcripts}, unit.payload)
        planned: list[Planned] = []
        rejects: list[Reject] = []
        for row in transcripts:
            video = videos.get(row["video_id"], VideoFacts())
            made = per_item(context, row["video_id"], partial(plan_video, row, video, self.config))
            rejects.append(made) if isinstance(made, Reject) else planned.append((row, *made))
        planned = _without_removed(planned, Sayings(read_tombstones(context.store)))
        rows: list[ClipRow] = []
        for transcript, clips, rejected in planned:
            rows.extend(clips)
            rejects.extend(rejected)
            if not clips:
                rejects.append(Reject(Reason.NO_CLIPS, transcript["video_id"], detail=f"{len(rejected)} rejected"))
        return Output(rows={"clips": rows}, rejects=rejects)


def _without_removed(planned: list[Planned], sayings: Sayings) -> list[Planned]:
    """With a reject in the place of each clip that says a removed sentence."""
    if not sayings:
        return planned
    made = []
    for transcript, clips, rejected in planned:
        gone = {clip["clip_id"] for clip in clips if sayings.in_(clip["text"])}
        rejects = [Reject(Reason.OPTED_OUT, transcript["video_id"], name, "its sentence") for name in sorted(gone)]
        made.append((transcript, [clip for clip in clips if clip["clip_id"] not in gone], [*rejected, *rejects]))
    return made


def facts_of(store: Store, video_ids: Collection[str], own: Part | None) -> dict[str, VideoFacts]:
    """Reads what planning needs of these videos. Their rows came from one unit, whose part is `own`; if that is not
    known, all parts are searched.
    """
    parts = [own] if own is not None else store.parts("videos")
    rows = (row for part in parts for row in store.read_part(part, VIDEO_COLUMNS).to_pylist())
    return {row["video_id"]: row for row in rows if row["video_id"] in video_ids}


def track_of_row(row: TranscriptRow) -> Track:
    """The track that a row of `transcripts` holds; that of a purged video is empty."""
    events = json.loads(row["events"] or "[]")
    return Track(
        words=tuple(Word(w["text"], w["start_ms"], w["end_ms"], w["timed"]) for w in row["words"]),
        events=tuple(Event(e["kind"], e["text"], e["start_ms"], e["end_ms"]) for e in events),
        format=row["format"],
        kind=row["kind"],
        language=row["language"],
        punctuated=row["punctuated"],
        word_timed=row["word_timed"],
    )


def plan_video(row: TranscriptRow, video: VideoFacts, config: TextConfig) -> tuple[list[ClipRow], list[Reject]]:
    """Plans one video: its rows of `clips`, and its rejected clips. Numbers count both, so filters renumber nothing.

    Raises Rejected for a song.
    """
    if video.get("given_spans"):
        return _given(row, video)
    track = track_of_row(row)
    if (share := repeats(track.words)) > config.filters.max_repeated_share:
        raise Rejected(Reason.SONG, f"{share:.2f} of its phrases come back")
    duration_ms = round(max(video.get("duration_s", 0.0), 0.0) * 1000)
    clips, reasons = plan_track(track, config, language=primary(track.language), duration_ms=duration_ms)
    model = model_used(track, config.sentences)
    rows, rejects = [], []
    for n, (clip, rejection) in enumerate(zip(clips, reasons, strict=True)):
        if rejection is not None:
            rejects.append(Reject(rejection[0], row["video_id"], clip_id(row["video_id"], n), rejection[1]))
            continue
        words = range(clip.first, clip.last)
        rows.append(_clip_row(row, video, n, clip.start_ms, clip.end_ms, clip.text, words, clip.confidence, model))
    return rows, rejects


def plan_track(
    track: Track,
    config: TextConfig,
    *,
    language: str,
    duration_ms: int = 0,
    marks: Marks | None = None,
) -> tuple[list[PlannedClip], list[tuple[Reason, str] | None]]:
    """Plans a track's clips; for each, also the reason to reject it, or None.

    `language`: what its words have to be in; "": any. `marks`: the result of `mark_probabilities`, if already made.
    """
    anchored = [word.timed for word in track.words] if track.kind == "manual_aligned" else None
    if marks is None:
        marks = mark_probabilities(track, config.sentences)
    clips = plan_clips(track.words, marks, config.clips, anchored=anchored, duration_ms=duration_ms)
    language = language if config.transcript.check_language else ""
    sounds = joined_sounds(track.events)
    starts = [event.start_ms for event in sounds]
    reasons = []
    for clip, elsewhere in zip(clips, elsewhere_shares(track.words, clips), strict=True):
        near = sounds[max(bisect_left(starts, clip.start_ms) - 1, 0) : bisect_left(starts, clip.end_ms)]
        reject = reject_of(
            clip, track.words, near, config.clips, config.filters, language=language, elsewhere=elsewhere
        )
        reasons.append(reject)
    return clips, reasons


def _clip_row(
    row: TranscriptRow,
    video: VideoFacts,
    n: int,
    start_ms: int,
    end_ms: int,
    text: str,
    words: range,
    confidence: float,
    model: str,
) -> ClipRow:
    """Makes a row of `clips`. `words`: the indices of its words in the transcript."""
    return {
        "clip_id": clip_id(row["video_id"], n),
        "video_id": row["video_id"],
        "n": n,
        "start_ms": start_ms,
        "end_ms": end_ms,
        "text": text,
        "first_word": words.start,
        "n_words": len(words),
        "category_id": video.get("category_id", -1),
        "confidence": confidence,
        "language": row["language"],
        "caption_kind": row["kind"],
        "boundary_model": model,
        "flags": json.dumps([*flags_of(text), *json.loads(video.get("flags") or "[]")]),
    }


def _given(row: TranscriptRow, video: VideoFacts) -> tuple[list[ClipRow], list[Reject]]:
    """Makes clips from spans that came with the video: with their own text, or the words that start inside the span."""
    track = track_of_row(row)
    starts = [word.start_ms for word in track.words]
    rows, rejects = [], []
    for span in json.loads(video["given_spans"]):
        n, start_ms, end_ms = int(span["n"]), int(span["start_ms"]), int(span["end_ms"])
        is_whole = end_ms == WHOLE_MS
        if is_whole:
            end_ms = round(video.get("duration_s", 0.0) * 1000) or EXPECTED_MS
        words = range(bisect_left(starts, start_ms), bisect_left(starts, max(start_ms, end_ms)))
        text = str(span.get("text") or " ".join(track.words[i].text for i in words))
        problem = Reason.SPAN_OUTSIDE if not 0 <= start_ms < end_ms else None if text else Reason.TOO_FEW_WORDS
        if problem is not None:
            rejects.append(Reject(problem, row["video_id"], clip_id(row["video_id"], n), f"{start_ms}-{end_ms} ms"))
            continue
        clip = _clip_row(row, video, n, start_ms, end_ms, text, words, 1.0, GIVEN)
        if is_whole:
            clip["flags"] = json.dumps([*json.loads(clip["flags"]), WHOLE_VIDEO])
        rows.append(clip)
    return rows, rejects
