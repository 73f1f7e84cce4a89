"""The files of videos that are on a disk or in a bucket already: how tables name them, and how they are read."""

import os
import shutil
from pathlib import Path
from urllib.parse import unquote_to_bytes

import fsspec

from manifests.reasons import Reason
from pipeline.engine.work.boundary import plain, reading_input
from pipeline.engine.work.unit import Context, Rejected
from pipeline.media.probe import Unusable


def path_text(path: Path) -> str:
    """A path as tables hold it: unchanged or, if it isn't UTF-8, as a file:// URL."""
    text = str(path)
    return text if plain(text) == text else path.as_uri()


def source_file(media_path: str, context: Context) -> Path:
    """The local file of a folder source: as it is, or copied from an object store into the scratch folder."""
    path = Path(media_path)
    if media_path.startswith("file://"):
        path = Path(os.fsdecode(unquote_to_bytes(media_path.removeprefix("file://"))))
    elif "://" in media_path:
        path = context.scratch / f"source{Path(media_path).suffix[:8]}"
        with fsspec.open(media_path, "rb") as remote, path.open("wb") as local:
            shutil.copyfileobj(remote, local, 1 << 22)
    if not path.is_file():
        raise Rejected(Reason.NOT_A_VIDEO, f"{media_path}: no such file")
    return path


def refuse_unreadable(path: Path, fault: Unusable, context: Context) -> None:
    """Raises Rejected if the file failed because of its disk, which FFmpeg does not distinguish from damaged media."""
    if fault.reason not in (Reason.NOT_A_VIDEO, Reason.BROKEN_MEDIA, Reason.TRUNCATED):
        return
    with reading_input(path.name, context), path.open("rb") as file:
        while file.read(1 << 22):
            pass
