"""The files of videos that are on a disk or in a bucket already: how tables name them, and how they are read."""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import fsspec

from manifests.content import content_hash
from manifests.reasons import Reason
from pipeline.engine.work.boundary import plain, reading_input
from pipeline.engine.work.unit import Context, Rejected
from pipeline.media.probe import Unusable


def path_text(path: Path) -> str:
    """A path as tables hold it: unchanged or, if it isn't UTF-8, as a file:// URL."""
    text = str(path)
    return text if plain(text) == text else path.as_uri()


def path_of(media_path: str) -> Path:
    """The path that `path_text` wrote down."""
    if media_path.startswith("file://"):
        return Path(os.fsdecode(unquote_to_bytes(media_path.removeprefix("file://"))))
    return Path(media_path)


@dataclass(frozen=True, slots=True)
class FileSeen:
    """What a file, or what lies at an address, was when it was looked at. `bytes_`: -1 if unknown. `hash_`: of its
    content or head (manifests/content.py). `stamp`: when a file was changed, ns since 1970; ""
    if unknown.
    """

    bytes_: int
    hash_: str
    stamp: str = field(compare=False)


def looked_at(path: Path) -> FileSeen:
    """What a file is now."""
    with path.open("rb") as file:
        facts = os.fstat(file.fileno())
        return FileSeen(facts.st_size, content_hash(file), str(facts.st_mtime_ns))


def is_touched(path: Path, bytes_: int, stamp: str) -> bool:
    """Whether a file has another size or time of change than it had; its content may be the same."""
    facts = path.stat()
    return (facts.st_size, str(facts.st_mtime_ns)) != (bytes_, stamp)


def refuse_changed(path: Path, video: Mapping[str, Any], context: Context) -> None:
    """Raises Rejected if a file is not the one that was looked at: its text then has the times of another film."""
    if not (video["media_path"] and video["media_hash"]):
        return
    with reading_input(path.name, context):
        now = looked_at(path)
    if now != FileSeen(video["media_bytes"], video["media_hash"], video["media_stamp"]):
        was = f"{video['media_bytes']} bytes when it was looked at, {now.bytes_} now, and other content"
        raise Rejected(Reason.CHANGED, f"{was}: --redo folder looks at it again")


def source_file(media_path: str, context: Context) -> Path:
    """The local file of a folder source: as it is, or copied from an object store into the scratch folder."""
    path = path_of(media_path)
    if "://" in media_path and not media_path.startswith("file://"):
        path = context.scratch / f"source{Path(media_path).suffix[:8]}"
        with fsspec.open(media_path, "rb") as remote, path.open("wb") as local:
            shutil.copyfileobj(remote, local, 1 << 22)
    if not path.is_file():
        raise Rejected(Reason.NOT_A_VIDEO, f"{media_path}: no such file")
    return path


Fetch = Callable[[Mapping[str, Any], Context], Path]
"""Returns the file of a video (a row of `videos`) in the scratch folder; raises Rejected, Transient or StopRun."""
_FETCHED = "fetched.txt"


def note_fetched(path: Path, context: Context) -> None:
    """Writes down in the scratch folder which file was fetched there: the folder may be moved."""
    (context.scratch / _FETCHED).write_text(os.path.relpath(path, context.scratch))


def fetched_file(prepare: Callable[[Context], None], context: Context) -> Path:
    """The file that was fetched; if none was, `prepare` fetches it now."""
    note = context.scratch / _FETCHED
    if not note.exists():
        prepare(context)
    return context.scratch / note.read_text()


def refuse_unreadable(path: Path, fault: Unusable, context: Context) -> None:
    """Raises Rejected if the file failed because of its disk, which FFmpeg does not distinguish from damaged media."""
    if fault.reason not in (Reason.NOT_A_VIDEO, Reason.BROKEN_MEDIA, Reason.TRUNCATED):
        return
    with reading_input(path.name, context), path.open("rb") as file:
        while file.read(1 << 22):
            pass
