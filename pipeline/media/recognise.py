"""The stage that listens to videos: what a recogniser hears in each, kept like an answer from the net.

In:  rows of `videos`, their audio        Out: a row of `heard` per video; a row of `captions` for one without any

A unit is one video. What it heard is in no later unit's way: where the recogniser died or took too long, the video goes
on without. Redoing later stages hears nothing again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from manifests.errors import UserError
from manifests.reasons import Reason
from manifests.rows import CaptionRow, HeardRow
from manifests.sample import RECOGNISED
from pipeline.config.media import MediaConfig
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Reject, Rejected, Resources, Unit
from pipeline.media.probe import Starved, probe
from pipeline.media.recogniser import Recogniser, Transcription, load_recogniser
from pipeline.media.row_index import RowIndex, VideoRows, clip_rows, video_rows
from pipeline.media.source_files import refuse_changed, source_file
from pipeline.media.work_limit import WorkLimit

_START_S, _TIMES_ITS_LENGTH = 300.0, 10.0
"""Time limit of a unit: to load the model, and so many times as long as the video; large models need 4 on a core."""

_ROW_WORDS = 12
"""Words in a row of a track of what was heard."""


@dataclass(frozen=True)
class RecogniseStage:
    """`videos` -> `heard`, for videos whose media is a file: those of a batch, or all that have no captions, which get
    what is heard as captions.
    """

    config: MediaConfig
    video_ids: Sequence[str] | None = None
    """None: all without captions."""
    name: str = "recognise"
    index: RowIndex = field(default_factory=RowIndex, compare=False)
    """Kept across the batches of a run, as that of the media stage."""

    @property
    def resources(self) -> Resources:
        """One core, and memory for a large model; a GPU, or a share of one, if `engine.resources` gives it."""
        return Resources(time_limit_s=self._limit_s(self.config.limits.max_duration_s))

    def units(self, store: Store) -> list[Unit]:
        """One unit per video, the longest first."""
        ids = self.video_ids
        rows_of = _without_captions(store) if ids is None else zip(ids, self.index.find_rows(store, ids), strict=True)
        known = [(video_id, rows) for video_id, rows in rows_of if rows is not None and rows.is_file]
        return [
            Unit(video_id, rows, (video_id,), self._limit_s(rows.length_s), expected_s=rows.length_s)
            for video_id, rows in sorted(known, key=lambda video: -video[1].length_s)
        ]

    def _limit_s(self, length_s: float) -> float:
        return _START_S + _TIMES_ITS_LENGTH * (length_s or self.config.limits.max_duration_s)

    def process(self, unit: Unit, context: Context) -> Output:
        """Listens to a video; not where the model does not know the language of its captions: no words then."""
        rows: VideoRows = unit.payload
        videos = video_rows(context.store, [rows.video], unit.name)
        if not videos:
            raise Rejected(Reason.NO_CLIPS, "its row is gone from the tables")
        try:
            recogniser = load_recogniser(self.config.heard)
        except UserError as missing:
            raise Rejected(Reason.NO_RECOGNISER, str(missing)) from None
        language = primary(videos[0]["language"])
        clips = clip_rows(context.store, rows.clips, unit.name)
        languages = {primary(clip["language"]) for clip in clips} or {language}
        row: HeardRow = {"video_id": unit.name, "heard_by": recogniser.name, "language": "", "words": []}
        if recogniser.is_multilingual or not languages.isdisjoint(recogniser.languages):
            path = source_file(videos[0]["media_path"], context)
            refuse_changed(path, videos[0], context)
            heard = self._heard(path, recogniser, context)
            row = {**row, "language": heard.language, "words": heard.words}
        if rows.clips:
            return Output({"heard": [row]})
        if not row["words"]:
            unknown = f"no captions, and the model may not know its language ({language or 'not said'})"
            why = "no captions, and nothing is heard in it" if row["language"] else unknown
            return Output({"heard": [row]}, [Reject(Reason.NO_CAPTIONS, unit.name, detail=why)])
        return Output({"heard": [row], "captions": [caption_row(row)]})

    def _heard(self, path: Path, recogniser: Recogniser, context: Context) -> Transcription:
        try:
            source = probe(path, self.config.limits)
            return recogniser.hear(source, self.config.limits, WorkLimit(context.remaining_s()))
        except Starved as starved:
            raise Rejected(Reason.TIMEOUT, str(starved)) from None
        except (RuntimeError, ValueError) as error:  # of CTranslate2: a GPU without memory, broken weights
            raise Rejected(Reason.NO_RECOGNISER, f"{type(error).__name__}: {error}") from None


def primary(tag: str) -> str:
    """The language of a tag without its region: en of en-US."""
    return tag.partition("-")[0].casefold()


def caption_row(row: HeardRow) -> CaptionRow:
    """What was heard as a caption track with word times, in json3."""
    rows = [row["words"][i : i + _ROW_WORDS] for i in range(0, len(row["words"]), _ROW_WORDS)]
    events = [
        {
            "tStartMs": words[0]["start_ms"],
            "dDurationMs": words[-1]["end_ms"] - words[0]["start_ms"],
            "segs": [
                {"utf8": f" {word['text']}", "tOffsetMs": word["start_ms"] - words[0]["start_ms"]} for word in words
            ],
        }
        for words in rows
    ]
    payload = json.dumps({"events": events}, ensure_ascii=False).encode()
    facts = {"video_id": row["video_id"], "language": row["language"], "payload": payload}
    return {**facts, "kind": RECOGNISED, "track": RECOGNISED, "format": "json3"}  # type: ignore[typeddict-item]


def _without_captions(store: Store) -> Iterator[tuple[str, VideoRows]]:
    for part in store.parts("videos"):
        table = store.read_part(part, ["video_id", "caption_tracks", "media_path", "duration_s"])
        for row in table.to_pylist():
            if not row["caption_tracks"]:
                yield row["video_id"], VideoRows(part, (), (), row["duration_s"], bool(row["media_path"]))
