"""The shard manifest: what a trainer is pointed at, and the only way in which it learns of shards.

`manifest.json` holds the head and totals and names `manifest.parquet`, a row a shard (manifests.schema.MANIFEST).
Urls are relative to the manifest, so that a data set can be moved. `wids.json` and `sizes.json` say the same to
readers that know the WIDS index or open_clip's convention.
"""

import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import UserError
from manifests.schema import MANIFEST, SCHEMA_VERSION, SHARD_ROWS, table_of

MANIFEST_NAME = "manifest.json"
TABLE_NAME = "manifest.parquet"


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One shard. `url` is relative to the manifest; `categories` counts samples by category id."""

    url: str
    split: str
    generation: int
    sha256: str
    md5: str
    bytes_: int
    nsamples: int
    hours: float
    categories: dict[int, int]

    @property
    def rows_url(self) -> str:
        """Where the shard's own Parquet of rows lies, relative to the manifest."""
        return self.url.removesuffix(".tar") + ".parquet"

    def row(self) -> dict[str, Any]:
        """The row of manifest.parquet."""
        row = asdict(self)
        row["bytes"] = row.pop("bytes_")
        row["categories"] = json.dumps({str(k): v for k, v in sorted(self.categories.items())})
        return row

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> "ShardEntry":
        """The entry of a row of manifest.parquet."""
        known = dict(row)
        known["bytes_"] = known.pop("bytes")
        known["categories"] = {int(k): v for k, v in json.loads(known["categories"]).items()}
        return cls(**known)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A data set's shards with the facts of the whole. `head` is what manifest.json holds besides."""

    root: str
    """Folder or url prefix that relative urls start from."""
    shards: tuple[ShardEntry, ...]
    head: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    """Of manifest.json's bytes: what a trainer pins in its checkpoints."""

    def split(self, name: str) -> tuple[ShardEntry, ...]:
        """The shards of one split, in manifest order."""
        return tuple(shard for shard in self.shards if shard.split == name)

    def resolve(self, url: str) -> str:
        """A relative url as one that fsspec opens."""
        return f"{self.root.rstrip('/')}/{url}"


def manifest_bytes(shards: Sequence[ShardEntry], head: dict[str, Any]) -> tuple[bytes, bytes]:
    """(manifest.json, manifest.parquet) of these shards. `head` adds what only the caller knows; totals are counted."""
    parquet = _table_bytes(shards)
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "hdvila-manifest",
        "shards": TABLE_NAME,
        "shards_sha256": hashlib.sha256(parquet).hexdigest(),
        "totals": _totals(shards),
        "splits": {name: _totals([s for s in shards if s.split == name]) for name in sorted({s.split for s in shards})},
        **head,
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n", parquet


def shards_sha256(shards: Sequence[ShardEntry]) -> str:
    """The checksum that manifest.json will give of its table of these shards."""
    return hashlib.sha256(_table_bytes(shards)).hexdigest()


def _table_bytes(shards: Sequence[ShardEntry]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table_of([shard.row() for shard in shards], MANIFEST), buffer)
    return buffer.getvalue()


def _totals(shards: Sequence[ShardEntry]) -> dict[str, Any]:
    categories: dict[int, int] = {}
    for shard in shards:
        for category_id, count in shard.categories.items():
            categories[category_id] = categories.get(category_id, 0) + count
    return {
        "shards": len(shards),
        "samples": sum(s.nsamples for s in shards),
        "hours": round(sum(s.hours for s in shards), 6),
        "bytes": sum(s.bytes_ for s in shards),
        "categories": {str(k): v for k, v in sorted(categories.items())},
    }


def wids_bytes(shards: Sequence[ShardEntry], *, name: str) -> bytes:
    """wids.json: the shard index that webdataset's older `wids` reader understands."""
    shardlist = [
        {"url": s.url, "md5sum": s.md5, "nsamples": s.nsamples, "filesize": s.bytes_, "split": s.split} for s in shards
    ]
    document = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": name, "shardlist": shardlist}
    return json.dumps(document, indent=2).encode() + b"\n"


def sizes_bytes(shards: Sequence[ShardEntry]) -> bytes:
    """sizes.json: samples by shard path relative to the manifest, as open_clip's loaders expect."""
    return json.dumps({s.url: s.nsamples for s in shards}, indent=2).encode() + b"\n"


def read_manifest(url: str, **storage_options: Any) -> Manifest:
    """The manifest at a path or url, or in the folder there.

    Raises UserError where it is missing, unreadable, of an unknown version or disagrees with its own table.
    """
    path = url if url.endswith(".json") else f"{url.rstrip('/')}/{MANIFEST_NAME}"
    raw = _read(path, storage_options)
    try:
        head = json.loads(raw)
        version = head["schema_version"]
        name, wanted = head["shards"], head["shards_sha256"]
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a shard manifest (no JSON object with schema_version and shards)") from None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: manifest of schema version {version}, this program reads version {SCHEMA_VERSION}; "
            f"use the hdvila release that wrote it, or write the manifest anew"
        )
    root = path.rpartition("/")[0] or "."
    table = _read(f"{root}/{name}", storage_options)
    if hashlib.sha256(table).hexdigest() != wanted:
        raise UserError(f"{root}/{name}: does not belong to {path} (checksum differs); copy both files again")
    rows = pq.read_table(pa.BufferReader(table)).to_pylist()
    return Manifest(root, tuple(ShardEntry.of_row(row) for row in rows), head, hashlib.sha256(raw).hexdigest())


def read_shard_rows(manifest: Manifest, shard: ShardEntry, **storage_options: Any) -> pa.Table:
    """The rows of one shard (manifests.schema.SHARD_ROWS), failed clips included. UserError where unreadable."""
    path = manifest.resolve(shard.rows_url)
    raw = _read(path, storage_options)
    try:
        return pq.read_table(pa.BufferReader(raw), columns=SHARD_ROWS.names)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: shard rows cannot be read ({error})") from None


def _read(path: str, storage_options: dict[str, Any]) -> bytes:
    try:
        with fsspec.open(path, "rb", **storage_options) as file:
            return bytes(file.read())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; is this the output directory of a finished run?") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
