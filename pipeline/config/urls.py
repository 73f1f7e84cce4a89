"""Settings of the urls source: a table of media addresses, as video2dataset reads them."""

from typing import ClassVar

from manifests.settings import Section, identity, operational


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
