"""Settings of the sources that do not ask the site: a folder of videos, and tables of media addresses as video2dataset
reads them.
"""

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


class UrlsConfig(Section):
    """Tables of media addresses: CSV, Parquet or JSON Lines files, a row per video."""

    stage: ClassVar[str] = "urls"
    files: tuple[str, ...] = operational(
        (), doc="the tables: .csv, .tsv, .parquet or .jsonl, on a disk or on object storage (s3://…, gs://…)"
    )
    columns: dict[str, str] = identity(
        dict,
        doc="what the tables call our columns, where the names differ: {url: videoURL, caption: "
        "name}; ours are url id caption caption_url caption_file clips category title license "
        "language duration channel",
    )
    caption_language: str = identity("en", doc="language of captions whose row states none")
    allow_private: bool = operational(
        False, doc="also fetch from private, loopback and link-local addresses: for tests and for servers of your own"
    )
    buckets: tuple[str, ...] = operational(
        (), doc="buckets that media and captions may be read from, e.g. s3://mine; no other bucket is read"
    )
    gap_s: float = operational(
        0.2, ge=0, doc="minimum time between two requests to one host, over all workers, seconds"
    )
