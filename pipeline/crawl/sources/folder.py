"""The folder source: videos that are already on a disk become candidates, with the caption files beside them.

In:  a folder as yt-dlp leaves it, `NAME.mp4|webm|mkv` with `NAME.info.json` and `NAME.en.vtt|json3|srt` if there
     are any; any file that opens as video counts, whatever its suffix.
Out: rows of `videos` and `captions`; what is not a video, or below 720p, is a reject.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pyarrow.compute as pc
import yaml

from manifests.addresses import without_secrets
from manifests.categories import UNCATEGORISED_ID, category_by_id, category_by_name, category_name, load_categories
from manifests.errors import UserError
from manifests.reasons import Reason
from manifests.rows import CaptionRow, VideoRow
from manifests.sample import is_video_id
from pipeline.config.media import MediaConfig
from pipeline.config.sources import FolderConfig
from pipeline.crawl.sources.file_names import id_in_name, without_format
from pipeline.engine.store.store import Store
from pipeline.engine.work.boundary import per_item, plain, reading_input
from pipeline.engine.work.unit import Context, Output, Reject, Rejected, Resources, Unit, content_name
from pipeline.media.probe import Probe, Starved, Unusable, probe
from pipeline.media.source_files import FileSeen, looked_at, path_text, refuse_unreadable
from pipeline.outdir.identity import RUN_FILE, is_of_a_run
from pipeline.outdir.tombstones import is_pseudonym, read_tombstones
from pipeline.text.captions import BrokenTrack, read_track
from pipeline.text.captions.markup import MAX_BYTES

if TYPE_CHECKING:  # heavy to import, and a folder needs no site
    from pipeline.site.ytdlp import Info

CAPTION_SUFFIXES = frozenset({"vtt", "json3", "srt"})
SIDECARS = frozenset(
    {
        *("json", "jpg", "jpeg", "png", "webp", "description", "part", "ytdl", "txt", "tsv", "csv", "yaml"),
        *("srv1", "srv2", "srv3", "ttml"),
    }
)
MAX_INFO_BYTES = 64 * 1024**2
MAX_CAPTION_BYTES = MAX_BYTES
BATCH_FILES = 32
"""Of a unit."""
MAX_HASHED_BYTES = 64 * 1024**3
MAX_NAME_BYTES = 255
"""The longest possible file name in bytes (NAME_MAX of all common file systems)."""

log = logging.getLogger("hdvila")


@dataclass(frozen=True, slots=True)
class FolderStage:
    """One unit per batch of files without a verdict, in the order of their names."""

    config: FolderConfig
    media: MediaConfig
    recognises: bool = False
    """Whether a video without captions stays: it gets some later."""
    name: str = "folder"
    resources: Resources = Resources(time_limit_s=900)

    def units(self, store: Store) -> list[Unit]:
        """Batches of files, named by the ids they will have. UserError if the folder is missing or empty."""
        folder = folder_of(self.config)
        verdicts, ids_of = _known(store)
        known_as = read_tombstones(store).known_as
        identified = ((known_as(i), file) for i, file in identify(folder, self.media.limits.max_bytes, ids_of))
        files = [(video_id, file) for video_id, file in identified if video_id not in verdicts]
        if self.config.category_from == "folder":
            warn_of_no_category(file.parent.name for _, file in files)
        units = []
        for first in range(0, len(files), BATCH_FILES):
            batch = files[first : first + BATCH_FILES]
            ids = tuple(video_id for video_id, _ in batch)
            units.append(Unit(content_name(ids), tuple(batch), ids))
        return units

    def process(self, unit: Unit, context: Context) -> Output:
        """Reads each file of the batch; a file that cannot be used is a reject and does not affect the others."""
        videos: list[VideoRow] = []
        captions: list[CaptionRow] = []
        rejects: list[Reject] = []
        mapping = read_mapping(self.config.mapping) if self.config.category_from == "mapping" else {}
        for video_id, file in unit.payload:
            if is_pseudonym(video_id):  # removed: it is not looked at again, and its name may be its id
                rejects.append(Reject(Reason.OPTED_OUT, video_id, detail=f"video {video_id}"))
                continue
            made = per_item(context, video_id, partial(self._read_file, video_id, file, mapping, context))
            if isinstance(made, Reject):
                rejects.append(replace(made, detail=f"{file.name}: {made.detail}"))
                continue
            videos.append(made[0])
            captions.extend(made[1])
        return Output(rows={"videos": videos, "captions": captions}, rejects=rejects)

    def _read_file(
        self, video_id: str, file: Path, mapping: dict[str, int], context: Context
    ) -> tuple[VideoRow, list[CaptionRow]]:
        with reading_input(file.name, context):
            facts = self._probe(file, context)
            seen = looked_at(file)
            info = read_info(file)
            beside = caption_files(file)
            payloads = [(path, read_caption(path)) for path in beside]
        picture, cut = facts.video, self.media.cut
        if not cut.is_720p(picture.width, picture.height):
            raise Rejected(Reason.BELOW_720P, f"the video is {picture.width}x{picture.height}")
        language = self.config.caption_language
        tracks = [
            caption_row(video_id, path, payload, info, language)
            for path, payload in payloads
            if isinstance(payload, bytes)
        ]
        if not tracks and not (self.recognises and facts.audio):
            why = "; ".join(f"{path.name}: {payload}" for path, payload in payloads if isinstance(payload, str))
            raise Rejected(Reason.NO_CAPTIONS, why or "no caption file beside it")
        category_id = self._category(video_id, file, info, mapping)
        return video_row(video_id, file, seen, facts, info, category_id, tracks), tracks

    def _probe(self, file: Path, context: Context) -> Probe:
        try:
            return probe(file, self.media.limits)
        except Unusable as fault:
            refuse_unreadable(file, fault, context)
            raise
        except Starved as starved:
            raise Rejected(Reason.TIMEOUT, str(starved)) from None

    def _category(self, video_id: str, file: Path, info: Info, mapping: dict[str, int]) -> int:
        if self.config.category_from == "mapping":
            return mapping.get(video_id, mapping.get(file.name, mapping.get(file.stem, UNCATEGORISED_ID)))
        if self.config.category_from == "folder":
            return category_id_of(file.parent.name)
        names = info.get("categories")
        return category_id_of(str(names[0])) if isinstance(names, list) and names else UNCATEGORISED_ID


def folder_of(config: FolderConfig) -> Path:
    """The folder of videos. UserError if it is not set, missing or empty."""
    folder = config.path
    if folder is None:
        raise UserError("folder.path: not set, but the folder source needs it")
    if not folder.is_dir():
        raise UserError(f"folder.path: {folder} is not a folder; give the folder that holds the videos")
    if not any(media_files(folder)):
        raise UserError(f"folder.path: {folder} holds no file that could be a video")
    return folder


def _known(store: Store) -> tuple[set[str], dict[str, str]]:
    """(ids with a verdict of this source already, {path: id} of the files that became videos)."""
    rejects = store.read_rejects(["stage", "video_id"])
    rejected = rejects.filter(pc.field("stage") == "folder")["video_id"].to_pylist()
    videos = store.read_table("videos", ["video_id", "media_path"])
    from_files = videos.filter(pc.field("media_path") != "")
    ids_of = dict(zip(from_files["media_path"].to_pylist(), from_files["video_id"].to_pylist(), strict=True))
    return {*rejected, *videos["video_id"].to_pylist()}, ids_of


def media_files(folder: Path) -> Iterator[Path]:
    """Files that may be videos, in the order of their paths: all except caption files, other sidecars, hidden files,
    and what is in the output directory of a run.
    """
    paths = sorted(folder.rglob("*"))
    of_runs = {path.parent for path in paths if path.name == RUN_FILE and path.parent != folder and is_of_a_run(path)}
    for file in paths:
        suffix = file.suffix.removeprefix(".").lower()
        hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
        if hidden or suffix in CAPTION_SUFFIXES | SIDECARS or not of_runs.isdisjoint(file.parents):
            continue
        if file.is_file():
            yield file


def identify(
    folder: Path, max_bytes: int = MAX_HASHED_BYTES, ids_of: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Path]]:
    """Yields (video id, file). A file that became a video before keeps its id (`ids_of`: {path: id}). Otherwise the id
    is the first of these that no other file has: the id in info.json, the id that yt-dlp put into the name, the
    name itself if it can be an id, the content's hash.

    A file larger than `max_bytes`, or unreadable, gets the hash of its name; it will be rejected under that id.
    """
    ids_of = ids_of or {}
    taken = set(ids_of.values())
    for file in media_files(folder):
        if video_id := ids_of.get(str(file.absolute())):
            yield video_id, file
            continue
        said = _id_in_info(file), id_in_name(file.stem), file.stem
        free = (name for name in said if is_video_id(name) and name not in taken)
        video_id = next(free, None) or _hash_id(file, folder, max_bytes)
        if video_id not in taken:
            taken.add(video_id)
            yield video_id, file


def _id_in_info(file: Path) -> str:
    try:
        return str(read_info(file).get("id") or "")
    except OSError:
        return ""  # a file that cannot be read now is reported when its turn comes


def content_id(file: Path) -> str:
    """16 hex digits of a file's SHA-256."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()[:16]


def _hash_id(file: Path, folder: Path, max_bytes: int) -> str:
    try:
        if file.stat().st_size <= max_bytes:
            return content_id(file)
    except OSError:
        pass
    return hashlib.sha256(os.fsencode(file.relative_to(folder))).hexdigest()[:16]


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Reads a whole regular file. ValueError if it is not regular (pipes and devices are not read) or is too large."""
    if not path.is_file():
        raise ValueError("a broken link" if path.is_symlink() and not path.exists() else "not a regular file")
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as opened:  # noqa: PTH123 - opened by descriptor, so that what was looked at is read
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("not a regular file")
        data = opened.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"more than {max_bytes} bytes")
    return data


def read_info(file: Path) -> Info:
    """The info.json beside a video; {} if there is none or it is not valid."""
    name = f"{without_format(file.stem)}.info.json"
    if len(os.fsencode(name)) > MAX_NAME_BYTES or not file.with_name(name).is_file():
        return {}
    try:
        info = json.loads(read_regular(file.with_name(name), MAX_INFO_BYTES))
    except (ValueError, RecursionError):
        return {}
    return info if isinstance(info, dict) else {}


def caption_files(file: Path) -> list[Path]:
    """The caption files that belong to a video: NAME.vtt, NAME.en.vtt …"""
    stem = without_format(file.stem)
    beside = (f for f in file.parent.iterdir() if f.name.startswith(f"{stem}.") and f != file)
    return sorted(f for f in beside if f.suffix.removeprefix(".").lower() in CAPTION_SUFFIXES)


def read_caption(path: Path) -> bytes | str:
    """A caption file's bytes, or why it cannot be read."""
    try:
        return read_regular(path, MAX_CAPTION_BYTES)
    except ValueError as error:
        return str(error)


def caption_row(video_id: str, path: Path, payload: bytes, info: Info, default_language: str) -> CaptionRow:
    """A row of `captions`.

    Whether a track is manual is taken from info.json if that lists the language, else from the file itself.
    """
    language = path.name.removesuffix(path.suffix).rpartition(".")[2]
    if language == path.stem or len(language) > 35 or not language.replace("-", "").isalnum():
        language = default_language
    suffix = path.suffix.removeprefix(".").lower()
    return {
        "video_id": video_id,
        "kind": track_kind(language, info) or kind_shown_by(payload, suffix),
        "language": language.removesuffix("-orig"),
        "track": language,
        "format": suffix,
        "payload": payload,
    }


def track_kind(language: str, info: Info) -> str:
    """manual or auto according to the info.json; "" if it does not say."""
    if language.endswith("-orig"):
        return "auto"
    for kind, key in (("manual", "subtitles"), ("auto", "automatic_captions")):
        if isinstance(info.get(key), dict) and language in info[key]:
            return kind
    return ""


def kind_shown_by(payload: bytes, suffix: str) -> str:
    """auto if the file itself has word times, else manual. Broken files are left to the transcripts stage."""
    try:
        track = read_track(payload, format=suffix)
    except BrokenTrack:
        return "manual"
    return track.kind or ("auto" if track.word_timed else "manual")


def category_id_of(text: str) -> int:
    """The id of a category given by name or id; the uncategorised id for anything else."""
    category = category_by_name(text) or (category_by_id(int(text)) if text.isdecimal() and len(text) < 4 else None)
    return category.id if category else UNCATEGORISED_ID


def warn_of_no_category(names: Iterable[str]) -> None:
    """Says which of these folders' names, one for each file, are no category, with the fifteen that are."""
    unknown = Counter(name for name in names if category_id_of(name) == UNCATEGORISED_ID)
    if not unknown:
        return
    log.warning(
        "folder.category_from: %s%s: no category; the videos in there are uncategorised. The categories: %s",
        ", ".join(repr(name) for name, _ in unknown.most_common(5)),
        f" and {len(unknown) - 5} more" if len(unknown) > 5 else "",
        ", ".join(category.name for category in load_categories()),
    )


def read_mapping(path: Path | None) -> dict[str, int]:
    """{file name or id: category id} of a mapping file. Raises UserError if it is not usable."""
    if path is None:
        raise UserError("folder.mapping: not set, but category_from: mapping needs it")
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"folder.mapping: {path} cannot be read ({error})") from None
    if not isinstance(tree, dict):
        raise UserError(f"folder.mapping: {path} is not a YAML mapping of names to categories")
    mapping = {str(name): category_id_of(str(category)) for name, category in tree.items()}
    unknown = [str(tree[name]) for name, category_id in mapping.items() if category_id == UNCATEGORISED_ID]
    if unknown:
        raise UserError(f"folder.mapping: {path} names {unknown[0]!r}, which is not one of the 15 categories")
    return mapping


def video_row(
    video_id: str, file: Path, seen: FileSeen, facts: Probe, info: Info, category_id: int, tracks: Sequence[CaptionRow]
) -> VideoRow:
    """A row of `videos`: what the info.json says, and what the file itself shows."""
    return {
        "video_id": video_id,
        "url": web_address(_text(info, "webpage_url")) or f"file:{plain(file.name)}",
        "source": "folder",
        "query": plain(file.parent.name),
        "category_id": category_id,
        "category": category_name(category_id),
        "title": _text(info, "title") or plain(file.stem),
        "channel_id": _text(info, "channel_id") or _text(info, "uploader_id"),
        "channel": _text(info, "channel") or _text(info, "uploader"),
        "duration_s": facts.duration_ms / 1000,
        "language": _text(info, "language") or (tracks[0]["language"] if tracks else ""),
        "upload_date": _text(info, "upload_date"),
        "license": _text(info, "license"),
        "view_count": _count(info, "view_count", -1, 2**63 - 1),
        "age_limit": _count(info, "age_limit", 0, 99),
        "made_for_kids": False,
        "heights": [facts.video.short_side],
        "caption_tracks": [f"{track['kind']}:{track['track']}" for track in tracks],
        "audio_format": "",
        "audio_bytes": -1,
        "media_path": path_text(file.absolute()),
        "media_bytes": seen.bytes_,
        "media_hash": seen.hash_,
        "media_stamp": seen.stamp,
        "given_spans": "",
        "egress": "",
        "yt_dlp_version": _text(info.get("_version"), "version"),
        "round": 0,
        "flags": "[]",
        "extra": "",
        "about": [],
    }


def _text(info: Any, key: str) -> str:
    value = info.get(key) if isinstance(info, dict) else None
    return plain(value) if isinstance(value, str) else ""


def _count(info: Info, key: str, default: int, largest: int) -> int:
    """A whole number of the info.json; `default` for anything else, and for numbers beyond any real count."""
    value = info.get(key)
    return value if type(value) is int and 0 < value <= largest else default


def web_address(text: str) -> str:
    """An http(s) address without secrets; "" for anything else."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return without_secrets(text) if parts.scheme in ("http", "https") and parts.hostname else ""
