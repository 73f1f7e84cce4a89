"""The media stage: a unit is one video, from fetching it to its committed pack.

In:  rows of `videos`, `transcripts` and `clips` of the batch's videos, and the media itself: fetched, or the source's
Out: packs/<video_id>-<hash>.tar with the samples, and table `packs`, a row per clip tried; `stills`, if asked for

A worker has one video's source, members and pack in its scratch folder at a time; the engine removes the folder in any
case. A native crash in a decoder costs that worker and a try of this unit, never another unit.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from manifests.clip_status import ClipStatus
from manifests.reasons import Reason
from manifests.rows import ClipRow, PackRow, VideoRow
from manifests.sample import WITHDRAWN, clip_id, sample_key
from pipeline.config.media import MediaConfig
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import Part
from pipeline.engine.work.unit import Context, Output, Reject, Rejected, Resources, Transient, Unit
from pipeline.media.borders import ClipWords
from pipeline.media.packs import PackedSample, write_pack
from pipeline.media.probe import Starved, Unusable, time_limit_s
from pipeline.media.row_index import RowIndex, clip_rows, heard_rows, video_rows, words_of_clips
from pipeline.media.source_files import (
    Fetch,
    fetched_file,
    note_fetched,
    refuse_changed,
    refuse_unreadable,
    source_file,
)
from pipeline.media.video import MadeClip, MadeVideo, make_video
from pipeline.media.work_limit import WALL_FACTOR
from pipeline.outdir.retries import times_looked_anew
from pipeline.outdir.tombstones import is_pseudonym

_START_S = 60.0
_WORK_S_AN_HOUR = 250.0
"""Processor seconds per hour of the costliest of four films (`python -m bench.video_hour`)."""

MOST_LOOKS_ANEW = 2
"""How often a film that changed after it was looked at is looked at anew: re-encodings change sizes."""

MAX_STARVED, STARVED_WAIT_S = 3, 60.0
"""How often a video that gets too little processor time is tried, and the seconds in between."""


@dataclass(frozen=True, slots=True)
class MediaJob:
    """A unit's payload: a video, and the parts that hold its rows (see VideoRows)."""

    video_id: str
    video: Part
    clips: tuple[Part, ...]
    transcripts: tuple[Part | None, ...]
    looks_anew: int = 0
    """How often it was looked at anew because it had changed."""
    heard: Part | None = None
    """The part with what a recogniser heard in it, if one listened."""


def rows_of_job(job: MediaJob, store: Store) -> tuple[VideoRow, list[ClipRow], dict[int, ClipWords]]:
    """Reads the video's row, those of its clips, and the clips' words by number. Raises Rejected if any are gone."""
    videos = video_rows(store, [job.video], job.video_id)
    clips: list[ClipRow] = []
    words: dict[int, ClipWords] = {}
    for part, of_words in zip(job.clips, job.transcripts, strict=True):
        rows = clip_rows(store, [part], job.video_id)
        rows = [row for row in rows if WITHDRAWN not in json.loads(row["flags"] or "[]")]
        clips += rows
        words |= words_of_clips(store, of_words, rows)
    if not videos or not clips:
        raise Rejected(Reason.NO_CLIPS, "its rows are gone from the tables, or what its clips say was removed")
    return videos[0], clips, words


@dataclass(frozen=True)
class MediaStage:
    """`videos` + `transcripts` + `clips` -> packs and table `packs`, for the videos of a batch."""

    config: MediaConfig
    video_ids: Sequence[str]
    fetch: Fetch
    name: str = "media"
    fetch_limit_s: float = 3600.0
    """The part of a unit's time limit that is for fetching, if the video is not a local file."""
    index: RowIndex = field(default_factory=RowIndex, compare=False)
    """Kept across the batches of a run, so that each reads only what is new."""

    @property
    def resources(self) -> Resources:
        """One core, memory for one video, and time for the longest video allowed; each unit also has its own limit."""
        return Resources(time_limit_s=self._limit_s(self.config.limits.max_duration_s) + self.fetch_limit_s)

    @property
    def unit_names(self) -> Sequence[str]:
        """All units that the stage can have: the planned videos, for estimates of the time it takes."""
        return self.video_ids

    def units(self, store: Store) -> list[Unit]:
        """One unit per video, the longest first: otherwise a batch would end with many workers waiting for a few.

        The payload names the parts that hold its rows; the worker reads them.
        """
        rows_of = zip(self.video_ids, self.index.find_rows(store, self.video_ids), strict=True)
        known = [(video_id, rows) for video_id, rows in rows_of if rows is not None]
        heard = store.parts_of("heard", self.video_ids) if self.config.heard.model else {}
        units, looks_anew = [], times_looked_anew(store)
        for video_id, rows in sorted(known, key=lambda video: -video[1].length_s):
            said = heard.get(video_id)
            payload = MediaJob(video_id, rows.video, rows.clips, rows.transcripts, looks_anew[video_id], said)
            limit_s = self.unit_limit_s(rows.length_s, is_file=rows.is_file)
            expected_s = rows.length_s * _WORK_S_AN_HOUR / 3600
            units.append(Unit(video_id, payload, (video_id,), limit_s, not rows.is_file, expected_s))
        return units

    def unit_limit_s(self, length_s: float, *, is_file: bool) -> float:
        """Time limit for one video by its length (0: unknown), s; includes fetching if it is not a local file."""
        longest_s = self.config.limits.max_duration_s
        media_s = min(length_s or longest_s, longest_s)
        return self._limit_s(media_s) + (0.0 if is_file else self.fetch_limit_s)

    def _limit_s(self, media_s: float) -> float:
        """Time limit for the work on the busiest machine, s; Starved gives the video back earlier."""
        return _START_S + WALL_FACTOR * time_limit_s(media_s)

    def prepare(self, unit: Unit, context: Context) -> None:
        """Fetches a video into the scratch folder, and writes down there which file it is; none that was removed."""
        if is_pseudonym(unit.name):
            raise Rejected(Reason.OPTED_OUT, f"video {unit.name}")
        videos = video_rows(context.store, [unit.payload.video], unit.payload.video_id)
        if not videos:
            raise Rejected(Reason.NO_CLIPS, "its row is gone from the tables")
        try:
            path = self.fetch(videos[0], context)
        except Rejected as verdict:
            given = videos[0]["given_spans"]  # times in the film as it was once: another look gives no others
            if verdict.reason is not Reason.CHANGED or not (given or unit.payload.looks_anew >= MOST_LOOKS_ANEW):
                raise
            raise Rejected(Reason.KEEPS_CHANGING, verdict.detail) from None
        note_fetched(path, context)

    def process(self, unit: Unit, context: Context) -> Output:
        """Makes one video's samples and packs them. Raises Rejected where the video as a whole is rejected."""
        video, clips, words = rows_of_job(unit.payload, context.store)
        given = video["media_path"]
        path = source_file(given, context) if given else fetched_file(partial(self.prepare, unit), context)
        refuse_changed(path, video, context)
        said = unit.payload.heard
        heard_by = heard_rows(context.store, said, video["video_id"])[0]["heard_by"] if said else ""
        members = context.scratch / "members"
        members.mkdir()
        try:
            made = make_video(path, video, clips, self.config, members, words, heard_by)
        except Unusable as fault:
            refuse_unreadable(path, fault, context)
            raise
        except Starved as starved:
            raise give_back(starved, context) from None
        return packed(video, made, context.scratch / "pack.tar")


def give_back(starved: Starved, context: Context) -> Transient | Rejected:
    """Retries a starved video, as a busy machine is not its fault; after MAX_STARVED tries rejects it as `timeout`."""
    if context.attempt < MAX_STARVED:
        return Transient(Reason.TIMEOUT, str(starved), wait_s=STARVED_WAIT_S)
    return Rejected(Reason.TIMEOUT, str(starved))


def packed(video: Mapping[str, Any], made: MadeVideo, pack: Path) -> Output:
    """Writes the pack and reports what became of each clip."""
    video_id = video["video_id"]
    good = [clip for clip in made.clips if clip.sample is not None]
    with made.stopwatch("tar"):
        stored = {p.key: p for p in write_pack(pack, [c.sample for c in good if c.sample])} if good else {}
        name = pack_name(video_id, pack) if good else ""
    rows = [_row(video, made, clip, name, stored.get(sample_key(video_id, clip.n))) for clip in made.clips]
    stills = [
        {"video_id": video_id, "n": c.n, "bytes": len(c.still), "clip_id": clip_id(video_id, c.n), "still": c.still}
        for c in made.clips
        if c.still
    ]
    rejects = [
        Reject(clip.reason, video_id, clip_id(video_id, clip.n), clip.detail) for clip in made.clips if clip.reason
    ]
    if not good:
        rejects.append(_whole_video(video_id, made))
    facts = {
        "scene_cuts_ms": made.cuts_ms,
        "cpu_s": {step: round(seconds, 3) for step, seconds in sorted(made.stopwatch.seconds.items())},
        "media_s": made.probe.duration_ms / 1000,
        "media_bytes": made.probe.bytes_,
    }
    return Output({"packs": rows, "stills": stills}, rejects, {name: pack} if good else {}, facts)


def pack_name(video_id: str, pack: Path) -> str:
    """The pack's name includes a hash of its content, so that a worker that ends late overwrites no other's pack."""
    with pack.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=6)).hexdigest()
    return f"packs/{video_id}-{digest}.tar"


def _whole_video(video_id: str, made: MadeVideo) -> Reject:
    """Why a video gave no sample: the reason shared by all its clips, otherwise that no clip was left."""
    reasons = {clip.reason for clip in made.clips if clip.reason}
    reason = reasons.pop() if len(reasons) == 1 else Reason.NO_CLIPS
    return Reject(reason, video_id, detail=f"none of {len(made.clips)} clips could be made")


def _row(video: Mapping[str, Any], made: MadeVideo, clip: MadeClip, pack: str, stored: PackedSample | None) -> PackRow:
    """Makes a clip's row of table `packs`."""
    picture = made.probe.video
    return {
        "key": sample_key(video["video_id"], clip.n),
        "clip_id": clip_id(video["video_id"], clip.n),
        "video_id": video["video_id"],
        "n": clip.n,
        "status": (ClipStatus.SUCCESS if stored else ClipStatus.FAILED).value,
        "reason": clip.reason.value if clip.reason else "",
        "error_message": clip.detail,
        "category_id": int(video["category_id"]),
        "channel_id": video["channel_id"],
        "start_ms": clip.start_ms,
        "end_ms": clip.end_ms,
        "duration_ms": clip.end_ms - clip.start_ms,
        "text": clip.text,
        "width": picture.width,
        "height": picture.height,
        "fps": round(float(picture.fps), 6),
        "codec": picture.codec,
        "pack": pack if stored else "",
        "pack_offset": stored.offset if stored else -1,
        "pack_bytes": stored.bytes_ if stored else 0,
        "pack_crc": stored.crc if stored else -1,
        "members": json.dumps({k: list(v) for k, v in stored.members.items()} if stored else {}),
        "phashes": clip.phashes,
        "motion": clip.motion,
        "flags": json.dumps(list(clip.flags)),
    }
