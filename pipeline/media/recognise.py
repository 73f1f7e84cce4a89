"""The stage that listens to videos without captions: what a recogniser hears is kept like an answer from the net.

In:  rows of `videos`, their audio        Out: rows of `heard` and of `captions`

A unit is one video. Of one that is no file, the audio alone is fetched, where its source has it apart. What it heard is
in no later unit's way: where the recogniser died or took too long, or the audio did not come, the video goes on
without. Redoing later stages hears nothing again.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow.compute as pc

from manifests.errors import UserError
from manifests.reasons import Reason
from manifests.rows import CaptionRow, HeardRow, VideoRow
from manifests.sample import RECOGNISED
from pipeline.config.media import MediaConfig
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Reject, Rejected, Resources, Unit
from pipeline.media.probe import Starved, probe_sound
from pipeline.media.recogniser import Recogniser, Transcription, languages_of, load_recogniser
from pipeline.media.row_index import VideoRows, video_rows
from pipeline.media.source_files import Fetch, fetched_file, note_fetched, refuse_changed, source_file
from pipeline.media.work_limit import WorkLimit

_START_S, _TIMES_ITS_LENGTH = 300.0, 10.0
"""Time limit of a unit: to load the model, and so many times as long as the video; large models need 4 on a core."""

_ROW_WORDS = 12
"""Words in a row of a track of what was heard."""


@dataclass(frozen=True)
class RecogniseStage:
    """`videos` -> `heard` and `captions`, for all videos without captions."""

    config: MediaConfig
    fetch: Fetch
    name: str = "recognise"
    fetch_limit_s: float = 3600.0
    """The part of a unit's time limit that is for fetching, if the video is not a local file."""

    @property
    def resources(self) -> Resources:
        """One core, and memory for a large model; a GPU, or a share of one, if `engine.resources` gives it."""
        return Resources(time_limit_s=self._limit_s(self.config.limits.max_duration_s, is_file=False))

    def units(self, store: Store) -> list[Unit]:
        """One unit per video, the longest first."""
        return [
            Unit(
                video_id,
                rows,
                (video_id,),
                self._limit_s(rows.length_s, is_file=rows.is_file),
                is_fetched=not rows.is_file,
                expected_s=rows.length_s,
            )
            for video_id, rows in sorted(_without_captions(store), key=lambda video: -video[1].length_s)
        ]

    def _limit_s(self, length_s: float, *, is_file: bool) -> float:
        hear_s = _TIMES_ITS_LENGTH * (length_s or self.config.limits.max_duration_s)
        return _START_S + hear_s + (0.0 if is_file else self.fetch_limit_s)

    def _to_hear(self, unit: Unit, context: Context) -> tuple[VideoRow, bool]:
        """A video's row, and whether the model may know its language."""
        videos = video_rows(context.store, [unit.payload.video], unit.name)
        if not videos:
            raise Rejected(Reason.NO_CLIPS, "its row is gone from the tables")
        try:
            only = languages_of(self.config.heard)
        except UserError as missing:
            raise Rejected(Reason.NO_RECOGNISER, str(missing)) from None
        return videos[0], not only or primary(videos[0]["language"]) in only

    def prepare(self, unit: Unit, context: Context) -> None:
        """Fetches the audio into the scratch folder, if it is to be heard."""
        video, is_known = self._to_hear(unit, context)
        if is_known:
            note_fetched(self.fetch(video, context), context)

    def _file(self, video: VideoRow, unit: Unit, context: Context) -> Path:
        if not video["media_path"]:
            return fetched_file(partial(self.prepare, unit), context)
        path = source_file(video["media_path"], context)
        refuse_changed(path, video, context)
        return path

    def process(self, unit: Unit, context: Context) -> Output:
        """Listens to a video; not where the model does not know the language: no words then."""
        video, is_known = self._to_hear(unit, context)
        try:
            recogniser = load_recogniser(self.config.heard)
        except UserError as missing:
            raise Rejected(Reason.NO_RECOGNISER, str(missing)) from None
        row: HeardRow = {"video_id": unit.name, "heard_by": recogniser.name, "language": "", "words": []}
        if is_known:
            heard = self._heard(self._file(video, unit, context), recogniser, context)
            row = {**row, "language": heard.language, "words": heard.words}
        if not row["words"]:
            unknown = f"no captions, and the model may not know its language ({video['language'] or 'not said'})"
            why = "no captions, and nothing is heard in it" if row["language"] else unknown
            return Output({"heard": [row]}, [Reject(Reason.NO_CAPTIONS, unit.name, detail=why)])
        return Output({"heard": [row], "captions": [caption_row(row)]})

    def _heard(self, path: Path, recogniser: Recogniser, context: Context) -> Transcription:
        try:
            source = probe_sound(path, self.config.limits)
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
        table = store.read_part(part, ["video_id", "caption_tracks", "given_spans", "media_path", "duration_s"])
        without = pc.equal(pc.list_value_length(table.column("caption_tracks")), 0)
        for row in table.filter(without).to_pylist():
            if not any(span["text"] for span in json.loads(row["given_spans"] or "[]")):
                yield row["video_id"], VideoRows(part, (), (), row["duration_s"], bool(row["media_path"]))
