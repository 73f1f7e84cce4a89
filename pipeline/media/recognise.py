"""The stage that listens to videos: what a recogniser hears in each, kept like an answer from the net.

In:  rows of `videos` of a batch, their audio        Out: a row of `heard` per video

A unit is one video. What it heard is in no later unit's way: where the recogniser died or took too long, the video goes
on without. Redoing later stages hears nothing again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from manifests.errors import UserError
from manifests.reasons import Reason
from manifests.rows import HeardRow
from pipeline.config.media import MediaConfig
from pipeline.engine.store.store import Store
from pipeline.engine.work.unit import Context, Output, Rejected, Resources, Unit
from pipeline.media.probe import Starved, probe
from pipeline.media.recogniser import load_recogniser
from pipeline.media.row_index import RowIndex, VideoRows, clip_rows, video_rows
from pipeline.media.source_files import refuse_changed, source_file
from pipeline.media.work_limit import WorkLimit

_START_S, _TIMES_ITS_LENGTH = 300.0, 10.0
"""Time limit of a unit: to load the model, and so many times as long as the video; large models need 4 on a core."""


@dataclass(frozen=True)
class RecogniseStage:
    """`videos` -> `heard`, for those videos of a batch whose media is a file."""

    config: MediaConfig
    video_ids: Sequence[str]
    name: str = "recognise"
    index: RowIndex = field(default_factory=RowIndex, compare=False)
    """Kept across the batches of a run, as that of the media stage."""

    @property
    def resources(self) -> Resources:
        """One core, and memory for a large model; a GPU, or a share of one, if `engine.resources` gives it."""
        return Resources(time_limit_s=self._limit_s(self.config.limits.max_duration_s))

    def units(self, store: Store) -> list[Unit]:
        """One unit per video, the longest first."""
        rows_of = zip(self.video_ids, self.index.find_rows(store, self.video_ids), strict=True)
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
        row: HeardRow = {"video_id": unit.name, "heard_by": recogniser.name, "language": "", "words": []}
        languages = {clip["language"].partition("-")[0] for clip in clip_rows(context.store, rows.clips, unit.name)}
        if not languages.isdisjoint(recogniser.languages):
            path = source_file(videos[0]["media_path"], context)
            refuse_changed(path, videos[0], context)
            try:
                source = probe(path, self.config.limits)
                heard = recogniser.hear(source, self.config.limits, WorkLimit(context.remaining_s()))
            except Starved as starved:
                raise Rejected(Reason.TIMEOUT, str(starved)) from None
            except (RuntimeError, ValueError) as error:  # of CTranslate2: a GPU without memory, broken weights
                raise Rejected(Reason.NO_RECOGNISER, f"{type(error).__name__}: {error}") from None
            row = {**row, "language": heard.language, "words": heard.words}
        return Output({"heard": [row]})
