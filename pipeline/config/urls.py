"""Settings of the urls source: a table of media addresses, as video2dataset reads them."""

from typing import ClassVar

from manifests.settings import Section, identity, operational


class UrlsConfig(Section):
    """Tables of media addresses: CSV, Parquet or JSON Lines files, a row per video."""

    stage: ClassVar[str] = "urls"
    files: tuple[str, ...] = operational(
        (), doc="the tables: .csv, .tsv, .parquet or .jsonl, local or on object storage (s3://…, gs://…)"
    )
    columns: dict[str, str] = identity(
        dict,
        doc="names of our columns in these tables, where they differ: {url: videoURL, caption: name}; ours are "
        "url id caption caption_url caption_file clips category title license language duration channel",
    )
    caption_language: str = identity("en", doc="language of captions whose row does not say")
    allow_private: bool = operational(
        False, doc="also ask private, loopback and link-local addresses: for tests and for servers of your own"
    )
    buckets: tuple[str, ...] = operational(
        (), doc="buckets that a media or caption address may name, e.g. s3://mine; nothing is read from any other"
    )
    gap_s: float = operational(
        0.2, ge=0, doc="least time between two requests to one host, of all workers together, seconds"
    )
    max_caption_bytes: int = identity(32 * 1024**2, gt=0, doc="largest caption file, bytes")
    batch_rows: int = operational(32, ge=1, doc="rows in one unit of work")
