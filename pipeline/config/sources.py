"""Settings of the sources that are files: a folder of videos, and lists of videos, clips or addresses."""

import difflib
import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import field_validator

from manifests.settings import Section, identity, operational


class FolderConfig(Section):
    """A folder as yt-dlp leaves it: NAME.mp4, with NAME.info.json and NAME.en.vtt if there are any."""

    stage: ClassVar[str] = "folder"
    path: Path | None = operational(
        None, doc="the folder of videos, read with its subfolders; every worker must see it under this path"
    )
    category_from: Literal["info", "folder", "mapping"] = identity(
        "info", doc="where a video's category comes from: its .info.json; the name of its folder; the mapping file"
    )
    mapping: Path | None = identity(
        None, doc="YAML file {file name or id: category name or id}, for category_from: mapping"
    )
    caption_language: str = identity("en", doc="language of caption files whose names state none")


COLUMNS = (
    "url", "id", "start", "end", "clips", "caption", "caption_url", "caption_file", "category", "title", "license",
    "language", "duration", "channel",
)  # fmt: skip
"""The columns of a list that have a meaning, by our names."""


class ListsConfig(Section):
    """Lists of videos or of clips: ids and addresses of the site, or addresses of media files elsewhere."""

    stage: ClassVar[str] = "urls"
    files: tuple[str, ...] = operational(
        (),
        doc="the lists, on a disk or on object storage: text, .csv, .tsv, .jsonl or .parquet, also .gz or .zst; the "
        "published lists that `init` names are known by their columns",
    )
    columns: dict[str, str] = identity(
        dict,
        doc="what a list calls our columns, where it is none of these: {url: videoURL, caption: name}; ours are url id "
        "start end clips caption caption_url caption_file category title license language duration channel",
    )
    texts: tuple[str, ...] = identity(
        (), doc="files of {clip_id, text}, as HD-VILA-100M has them: the texts of a list's clips"
    )
    caption_language: str = identity("en", doc="language of captions whose row states none")

    @field_validator("columns")
    @classmethod
    def _columns_are_ours(cls, columns: dict[str, str]) -> dict[str, str]:
        for name in columns:
            if name not in COLUMNS:
                near = difflib.get_close_matches(name, COLUMNS, n=1)
                raise ValueError(f"{name!r} is none of our columns; {f'did you mean {near[0]}?' if near else COLUMNS}")
        return columns


class MediaUrlsConfig(Section):
    """Which addresses of lists media and captions are read from."""

    stage: ClassVar[str] = "urls"
    allow: tuple[str, ...] = operational(
        (),
        doc="prefixes of the addresses of media and captions in lists that may be read, such as s3://mine/ or "
        "https://media.example/; nothing else is asked for, and redirects are not followed",
    )

    @field_validator("allow")
    @classmethod
    def _prefixes_end(cls, allow: tuple[str, ...]) -> tuple[str, ...]:
        for prefix in allow:
            if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@]+/([^?#]*/)?", prefix):
                raise ValueError(f"{prefix!r} is no prefix: write a scheme, a host or bucket, and a slash at its end")
        return allow
