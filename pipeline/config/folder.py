"""Settings of the folder source: videos that are already on a disk."""

from pathlib import Path
from typing import ClassVar, Literal

from manifests.settings import Section, identity, operational


class FolderConfig(Section):
    """A folder as yt-dlp leaves it: NAME.mp4, with NAME.info.json and NAME.en.vtt if there are any."""

    stage: ClassVar[str] = "folder"
    path: Path | None = operational(
        None, doc="the folder of videos, read with its subfolders; every worker must see it under this path"
    )
    category_from: Literal["info", "folder", "mapping"] = identity(
        "info",
        doc="where a video's category comes from: its .info.json; the name of its folder; the mapping file",
    )
    mapping: Path | None = identity(
        None, doc="YAML file {file name or id: category name or id}, for category_from: mapping"
    )
    caption_language: str = identity("en", doc="language of caption files whose names state none")
