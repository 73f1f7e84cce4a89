"""Cuts clips of a local video into plain files: the `cut` command, with the code and members of a whole run.

Out: KEY.mp4 KEY.txt KEY.json (KEY.m4v KEY.mjpg) per clip, and clips.jsonl with a line per span tried

Everything is made in a temporary folder beside the results and moved into place at the end, so that a killed run leaves
no half-written clip under a final name.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from manifests.categories import UNCATEGORISED_ID
from manifests.checks import CHECKS
from manifests.clip_status import ClipStatus
from manifests.errors import UserError
from manifests.members import MEMBERS, off_of
from manifests.rows import ClipRow, VideoRow
from manifests.sample import GIVEN, clip_id, is_video_id, sample_key
from manifests.settings import Section, load_config
from manifests.wrong_value import first_fault
from pipeline.config.media import MediaConfig
from pipeline.media.probe import Starved, Unusable
from pipeline.media.video import MadeClip, make_video

CLIPS_NAME = "clips.jsonl"

ONLY_CLIPS = (
    "media.scenes.detector=off",
    "media.duplicates.action=off",
    "media.cut.borders=planned",
    *(f"media.members.{switch}={off_of(switch)}" for switch in dict.fromkeys(m.switch for m in MEMBERS if m.switch)),
    *(f"media.checks.{check.name}=ignore" for check in CHECKS),
)
"""Settings of `--only-clips`: nothing is decoded."""


class _MediaAlone(Section):
    """The media section of a run, without the areas that `cut` does not use."""

    media: MediaConfig = MediaConfig()


class SpanLine(BaseModel):
    """A line of the spans file. Other keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    start_ms: int = Field(ge=0)
    end_ms: int = Field(ge=0)
    text: str = ""


class ClipLine(TypedDict):
    """A line of clips.jsonl: a span and what became of it."""

    key: str
    status: str
    reason: str
    error_message: str
    start_ms: int
    end_ms: int
    text: str
    motion: float
    flags: list[str]


@dataclass(frozen=True, slots=True)
class CutFiles:
    """The result of `cut_files`: the number of clips made and the rows of those that failed."""

    n_made: int
    failed: list[ClipLine]


def cut_files(video: Path, spans: Path, out: Path, *, video_id: str, config: MediaConfig) -> CutFiles:
    """Cuts `video` by the lines of `spans` into `out`. Raises UserError for problems that the user can fix."""
    lines = read_spans(spans)
    name = video_id or re.sub(r"[^A-Za-z0-9_-]+", "-", video.stem).strip("-")[:64]
    if not is_video_id(name):
        raise UserError(f"{name!r}: cannot name clips; give --id with 1 to 64 letters, digits, _ or -")
    if not video.is_file():
        raise UserError(f"{video}: no such file")
    out.mkdir(parents=True, exist_ok=True)
    rows = [_clip_row(name, n, line) for n, line in enumerate(lines)]
    with tempfile.TemporaryDirectory(prefix=".cut-", dir=out) as scratch:
        try:
            made = make_video(video, _video_row(video, name), rows, config, Path(scratch))
        except Unusable as fault:
            raise UserError(f"{video}: {fault.reason.meaning} ({fault.detail})") from None
        except Starved as starved:
            raise UserError(f"{video}: {starved}; run it again when this machine is less busy") from None
        tried = [_line(name, clip) for clip in made.clips]
        for clip in made.clips:
            _move(clip, out, Path(scratch))
        listing = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in tried)
        _write(listing.encode(), out / CLIPS_NAME, Path(scratch))
    failed = [row for row in tried if row["status"] == ClipStatus.FAILED]
    return CutFiles(len(tried) - len(failed), failed)


def read_spans(path: Path) -> list[SpanLine]:
    """Reads the lines of a spans file. Raises UserError that names the first unusable line."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as spans ({error})") from None
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            lines.append(SpanLine.model_validate_json(line))
        except ValidationError as error:
            raise UserError(
                f"{path}, line {number}: {first_fault(SpanLine, error)}; "
                'a line is {"start_ms": 1200, "end_ms": 8400, "text": "what is said"}'
            ) from None
    if not lines:
        raise UserError(f"{path}: holds no span")
    return lines


def media_config(path: Path | None, overrides: list[str]) -> MediaConfig:
    """The media settings of a run's YAML (None: the defaults) with `media.a.b=c` overrides on top."""
    if path is None and all(override.startswith("media.") for override in overrides):
        return load_config(_MediaAlone, None, overrides).media
    from pipeline.config import RunConfig

    return load_config(RunConfig, path, ["out=.", *overrides]).media


def _video_row(video: Path, name: str) -> VideoRow:
    """Makes a row of VIDEOS; little is known of a file alone."""
    return {
        "video_id": name,
        "url": video.absolute().as_uri(),
        "source": "",
        "query": "",
        "category_id": UNCATEGORISED_ID,
        "category": "",
        "title": video.stem,
        "channel_id": "",
        "channel": "",
        "duration_s": 0.0,
        "language": "",
        "upload_date": "",
        "license": "",
        "view_count": -1,
        "age_limit": 0,
        "made_for_kids": False,
        "heights": [],
        "caption_tracks": [],
        "audio_format": "",
        "audio_bytes": -1,
        "media_path": str(video),
        "media_bytes": -1,
        "media_hash": "",
        "media_stamp": "",
        "given_spans": "",
        "egress": "",
        "yt_dlp_version": "",
        "round": 0,
        "flags": "[]",
        "extra": "",
        "about": [],
    }


def _clip_row(name: str, n: int, line: SpanLine) -> ClipRow:
    """Makes a row of CLIPS for a span."""
    return {
        "clip_id": clip_id(name, n),
        "video_id": name,
        "n": n,
        "start_ms": line.start_ms,
        "end_ms": line.end_ms,
        "text": line.text,
        "first_word": 0,
        "n_words": 0,
        "category_id": UNCATEGORISED_ID,
        "confidence": 1.0,
        "language": "",
        "caption_kind": "",
        "boundary_model": GIVEN,
        "flags": "[]",
    }


def _line(name: str, clip: MadeClip) -> ClipLine:
    """Makes the line of clips.jsonl for a clip."""
    return {
        "key": sample_key(name, clip.n),
        "status": (ClipStatus.SUCCESS if clip.sample else ClipStatus.FAILED).value,
        "reason": clip.reason.value if clip.reason else "",
        "error_message": clip.detail,
        "start_ms": clip.start_ms,
        "end_ms": clip.end_ms,
        "text": clip.text,
        "motion": clip.motion,
        "flags": list(clip.flags),
    }


def _move(clip: MadeClip, out: Path, scratch: Path) -> None:
    if clip.sample is None:
        return
    members: Mapping[str, bytes | Path] = clip.sample.members
    for extension, content in members.items():
        target = out / f"{clip.sample.key}.{extension}"
        if isinstance(content, Path):
            shutil.move(content, target)
        else:
            _write(content, target, scratch)


def _write(data: bytes, target: Path, scratch: Path) -> None:
    """Writes the file under another name first, so that it appears whole."""
    temporary = scratch / "writing"
    temporary.write_bytes(data)
    temporary.replace(target)
