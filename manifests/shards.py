"""The shard manifest: what a trainer is pointed at, and its only source of knowledge about shards.

`manifest.json` holds the head and totals and names `manifest.parquet`, a row per shard (manifests.schema.MANIFEST).
Urls are relative to the manifest, so that a data set can be moved. `wids.json` and `sizes.json` hold the same for
readers that know the WIDS index or open_clip's convention.
"""

import errno
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import fsspec
import pyarrow as pa

from manifests.errors import DamagedFile, UserError
from manifests.extras import why
from manifests.parquet import parquet_bytes, read_parquet
from manifests.rows import ManifestRow
from manifests.sample import DEFAULTS
from manifests.schema import MANIFEST, RECORDED, SHARD_ROWS, table_of
from manifests.version import SCHEMA_VERSION

MANIFEST_NAME = "manifest.json"
TABLE_NAME = "manifest.parquet"
TOMBSTONES = "tombstones.txt"
RECORDS = "removals"
"""Folder with a record of each removal: <date>-<hash>.json, ids and keys only."""
PUBLISHED = "manifests"
"""Folder beside manifest.json that keeps each published manifest: `<its sha256>.json`, and its table as `<the table's
sha256>.parquet`. Their urls are relative to the parent folder, too.
"""


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
        """The path of the shard's own Parquet of rows, relative to the manifest."""
        return self.url.removesuffix(".tar") + ".parquet"

    def row(self) -> ManifestRow:
        """The shard's row of manifest.parquet."""
        return {
            "url": self.url,
            "split": self.split,
            "generation": self.generation,
            "sha256": self.sha256,
            "md5": self.md5,
            "bytes": self.bytes_,
            "nsamples": self.nsamples,
            "hours": self.hours,
            "categories": json.dumps({str(k): v for k, v in sorted(self.categories.items())}),
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "ShardEntry":
        """Makes an entry of a row of manifest.parquet. DamagedFile for values that none of our shards can have.

        A manifest may come from a stranger, and files are written and deleted by it: so a url must not point outside
        its folder.
        """
        try:
            known = {**row, "bytes_": row["bytes"], "categories": _categories(row["categories"])}
            known.pop("bytes")
            entry = cls(**known)
            problem = _problem(entry)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedFile(f"a shard's entry cannot be read ({type(error).__name__}: {error})") from None
        if problem:
            raise DamagedFile(f"shard {str(entry.url)[:100]!r}: {problem}")
        return entry


_PART = r"[A-Za-z0-9_][A-Za-z0-9_.=-]{0,99}"
SHARD_URL = re.compile(rf"(?:{_PART}/){{0,8}}{_PART}\.tar")
"""A path below the manifest: no `..`, no address, no hidden file."""
SPLIT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_FILE_NAME = re.compile(rf"{_PART}\.parquet")
_KEPT = re.compile(rf"(^|/){PUBLISHED}/[0-9a-f]{{64}}\.json$")
_SHA256, _MD5 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{32}")
MAX_SHARDS, MAX_SHARD_ROWS = 1_000_000, 200_000
_MAX_RECORDED = 10_000
"""Characters of a text that a row takes over from KEY.json."""
MAX_JSON_BYTES, MAX_TABLE_BYTES = 64 * 1024**2, 512 * 1024**2


def _categories(text: str) -> dict[int, int]:
    return {int(k): v for k, v in json.loads(text).items()}


def _problem(entry: ShardEntry) -> str:
    """What is wrong with an entry; "" if nothing."""
    if not isinstance(entry.url, str) or not SHARD_URL.fullmatch(entry.url):
        return "its url is not the path of a tar below the manifest"
    if not isinstance(entry.split, str) or not SPLIT_NAME.fullmatch(entry.split):
        return f"split {str(entry.split)[:64]!r} is not a name"
    if not _SHA256.fullmatch(entry.sha256) or not _MD5.fullmatch(entry.md5):
        return "its sha256 or md5 is not a checksum"
    counts = (entry.generation, entry.bytes_, entry.nsamples, *entry.categories.values())
    if any(type(count) is not int or not 0 <= count < 2**62 for count in counts):
        return f"its counts are not valid: {counts}"
    if not math.isfinite(entry.hours) or entry.hours < 0:
        return f"its duration is not valid: {entry.hours} hours"
    if sum(entry.categories.values()) != entry.nsamples:
        return f"has {entry.nsamples} samples, and {sum(entry.categories.values())} by category"
    return ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A data set's shards with the facts about the whole. `head` holds the remaining keys of manifest.json."""

    root: str
    """The folder or url prefix that relative urls start from."""
    shards: tuple[ShardEntry, ...]
    head: dict[str, Any] = field(default_factory=dict)
    sha256: str = ""
    """The hash of manifest.json's bytes, which a trainer pins in its checkpoints."""

    def split(self, name: str) -> tuple[ShardEntry, ...]:
        """The shards of a split, in manifest order."""
        return tuple(shard for shard in self.shards if shard.split == name)

    def resolve(self, url: str) -> str:
        """Turns a relative url into a url that fsspec opens."""
        return f"{self.root.rstrip('/')}/{url}"


def manifest_bytes(shards: Sequence[ShardEntry], head: dict[str, Any]) -> tuple[bytes, bytes]:
    """(manifest.json, manifest.parquet) of these shards. `head` adds what the caller knows; totals are computed."""
    parquet = parquet_bytes(table_of([shard.row() for shard in shards], MANIFEST))
    document = {
        "schema_version": SCHEMA_VERSION,
        "kind": "hdvila-manifest",
        "shards": TABLE_NAME,
        "shards_sha256": hashlib.sha256(parquet).hexdigest(),
        **counts_of(shards),
        **head,
    }
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n", parquet


def counts_of(shards: Sequence[ShardEntry]) -> dict[str, Any]:
    """`totals` and `splits` of manifest.json."""
    names = sorted({shard.split for shard in shards})
    return {"totals": _totals(shards), "splits": {n: _totals([s for s in shards if s.split == n]) for n in names}}


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
    """wids.json: the shard index of webdataset's older `wids` reader."""
    shardlist = [
        {"url": s.url, "md5sum": s.md5, "nsamples": s.nsamples, "filesize": s.bytes_, "split": s.split} for s in shards
    ]
    document = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": name, "shardlist": shardlist}
    return json.dumps(document, indent=2).encode() + b"\n"


def sizes_bytes(shards: Sequence[ShardEntry]) -> bytes:
    """sizes.json: samples by shard path relative to the manifest, in the form that open_clip's loaders expect."""
    return json.dumps({s.url: s.nsamples for s in shards}, indent=2).encode() + b"\n"


def published_names(text: bytes, table: bytes) -> tuple[str, str]:
    """The paths under which a manifest and its table are kept by hash, relative to the manifest."""
    stem = [hashlib.sha256(data).hexdigest() for data in (text, table)]
    return f"{PUBLISHED}/{stem[0]}.json", f"{PUBLISHED}/{stem[1]}.parquet"


def read_published(root: str, sha256: str, **storage_options: Any) -> Manifest:
    """Reads the published manifest with this hash from a folder. UserError if it is not kept there."""
    if not _SHA256.fullmatch(sha256):
        raise UserError(f"{root}: {sha256[:80]!r} is not a sha256")
    manifest = read_manifest(f"{root.rstrip('/')}/{PUBLISHED}/{sha256}.json", **storage_options)
    if manifest.sha256 != sha256:
        raise DamagedFile(
            f"{root}/{PUBLISHED}/{sha256}.json: its checksum is not the one in its name; restore the file"
        )
    return manifest


def lineage(manifest: Manifest, **storage_options: Any) -> Iterator[str]:
    """Yields the sha256 of each manifest that preceded this manifest in its folder, the newest first.

    Ends before the first that names no parent, and after the first that is no longer kept. Reads only heads.
    """
    parent = manifest.head.get("parent", "")
    while _SHA256.fullmatch(parent):
        yield parent
        path = manifest.resolve(f"{PUBLISHED}/{parent}.json")
        try:
            raw = _read(path, storage_options, MAX_JSON_BYTES)
        except DamagedFile:
            raise
        except UserError:
            return
        if hashlib.sha256(raw).hexdigest() != parent:
            raise DamagedFile(f"{path}: its checksum is not the one in its name; restore the file")
        parent = head_of(raw, path).get("parent", "")


def read_manifest(url: str, **storage_options: Any) -> Manifest:
    """Reads the manifest at a path or url, or in the folder there.

    Raises UserError if it is missing, unreadable, of an unknown version or inconsistent with its own table.
    """
    path = url if url.endswith(".json") else f"{url.rstrip('/')}/{MANIFEST_NAME}"
    raw = _read(path, storage_options, MAX_JSON_BYTES)
    head = head_of(raw, path)
    name, wanted = head["shards"], head["shards_sha256"]
    root = path.rpartition("/")[0] or "."
    if _KEPT.search(path):
        root, name = root.removesuffix(PUBLISHED).rstrip("/") or ".", f"{PUBLISHED}/{str(wanted)[:64]}.parquet"
    table = _read(f"{root}/{name}", storage_options, MAX_TABLE_BYTES)
    if hashlib.sha256(table).hexdigest() != wanted:
        raise DamagedFile(f"{root}/{name}: does not belong to {path} (checksum differs); copy both files again")
    entries = read_entries(table, f"{root}/{name}")
    _refuse_wrong_totals(head, entries, path)
    return Manifest(root, entries, head, hashlib.sha256(raw).hexdigest())


def head_of(raw: bytes, path: str) -> dict[str, Any]:
    """manifest.json's keys; those that readers rely on are checked. UserError names `path` and what is wrong."""
    try:
        head = json.loads(raw)
        json.dumps(head, ensure_ascii=False).encode()  # half a character could not be written again: UnicodeEncodeError
        version = head["schema_version"]
        name, wanted = head["shards"], head["shards_sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DamagedFile(f"{path}: not a shard manifest (no JSON object with schema_version and shards)") from None
    if version != SCHEMA_VERSION:
        raise UserError(
            f"{path}: manifest of schema version {str(version)[:40]}, this program reads version {SCHEMA_VERSION}; "
            f"use the hdvila release that wrote it, or rewrite the manifest"
        )
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name) or not isinstance(wanted, str):
        raise DamagedFile(f"{path}: shards: {str(name)[:100]!r} is not a Parquet file beside it")
    wrong = [key for key, kind in _HEAD_TYPES.items() if key in head and not isinstance(head[key], kind)]
    members = head.get("members", [])
    if wrong or not all(isinstance(member, str) and _MEMBER.fullmatch(member) for member in members):
        raise DamagedFile(f"{path}: {', '.join(wrong) or 'members'}: wrong type of value")
    blocks = [head.get("totals"), *head.get("splits", {}).values()]
    if not all(isinstance(block, dict) and _are_totals(block) for block in blocks):
        raise DamagedFile(f"{path}: totals or splits lack a count of shards, samples, hours, bytes or categories")
    return dict(head)


def _are_totals(block: dict[str, Any]) -> bool:
    whole = all(type(block.get(key)) is int and block[key] >= 0 for key in ("shards", "samples", "bytes"))
    categories = block.get("categories")
    counts = isinstance(categories, dict) and all(
        re.fullmatch(r"-?\d{1,9}", key) and type(n) is int for key, n in categories.items()
    )
    hours = block.get("hours")
    return whole and counts and isinstance(hours, int | float) and 0 <= hours < 1e12


_HEAD_TYPES = {
    "name": str,
    "kind": str,
    "config": dict,
    "versions": dict,
    "card": dict,
    "members": list,
    "totals": dict,
    "splits": dict,
    "balance": dict,
    "funnel": dict,
    "made_by": dict,
    "removed": dict,
    "index": dict,
    "generation": int,
    "parent": str,
    "created_at": str,
}
_MEMBER = re.compile(r"[a-z0-9]{1,16}(\.[a-z0-9]{1,16})?")


def _refuse_wrong_totals(head: Mapping[str, Any], entries: Sequence[ShardEntry], path: str) -> None:
    """Raises DamagedFile if the head's counts of shards, samples or bytes differ from the table's."""
    counted = _totals(entries)
    for key in ("shards", "samples", "bytes"):
        if head.get("totals", {}).get(key, counted[key]) != counted[key]:
            said = str(head["totals"][key])[:40]
            raise DamagedFile(f"{path}: totals.{key} is {said}, its table counts {counted[key]}; restore both files")
    if splits := sorted({entry.split for entry in entries} - set(head.get("splits", {}))):
        raise DamagedFile(f"{path}: splits lacks {', '.join(splits)}, to which shards belong; restore both files")


def read_entries(
    table: bytes, where: str, wanted: Callable[[pa.Table], pa.Table] = lambda rows: rows
) -> tuple[ShardEntry, ...]:
    """The shards that manifest.parquet lists, each checked; of these, those whose rows `wanted` returns. DamagedFile
    names `where`.
    """
    rows = wanted(read_parquet(table, MANIFEST, where, max_rows=MAX_SHARDS)).to_pylist()
    try:
        return tuple(ShardEntry.of_row(row) for row in rows)
    except DamagedFile as error:
        raise DamagedFile(f"{where}: {error}") from None


def read_shard_rows(
    manifest: Manifest, shard: ShardEntry, columns: Sequence[str] | None = None, **storage_options: Any
) -> pa.Table:
    """The rows of one shard (manifests.schema.SHARD_ROWS), failed clips included. UserError if unreadable."""
    path = manifest.resolve(shard.rows_url)
    return rows_of_shard(_read(path, storage_options, MAX_TABLE_BYTES), path, columns)


def rows_of_shard(data: bytes, where: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Reads a shard's own Parquet, all of its columns or the given ones. DamagedFile names `where`."""
    schema = SHARD_ROWS if columns is None else pa.schema([SHARD_ROWS.field(name) for name in columns])
    return read_parquet(data, schema, where, max_rows=MAX_SHARD_ROWS, absent=UNRECORDED)


UNRECORDED: dict[str, Any] = {name: DEFAULTS[name] for name in RECORDED}
"""The columns of a row that come from KEY.json, where that says nothing."""


def recorded_in(sample_json: bytes) -> dict[str, Any]:
    """What a row has of its KEY.json (`RECORDED`). What isn't there, or is of another type, is unknown."""
    try:
        document = json.loads(sample_json)
    except (ValueError, RecursionError):
        document = None
    given = document if isinstance(document, dict) else {}
    return {name: _recorded(given.get(name), unknown) for name, unknown in UNRECORDED.items()}


def _recorded(value: Any, unknown: Any) -> Any:
    if isinstance(unknown, float):
        known = type(value) in (int, float) and abs(value) < 1e300
        return float(value) if known else unknown
    return value if isinstance(value, str) and value.isprintable() and len(value) <= _MAX_RECORDED else unknown


def member_offsets(text: str) -> dict[str, tuple[int, int]]:
    """{extension: (offset of the data in the tar, size)} of a row's `members`. DamagedFile for anything else."""
    try:
        offsets = {extension: (at, size) for extension, (at, size) in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise DamagedFile(f"members {text[:80]!r} are not {{extension: [offset, size]}}") from None
    for extension, (at, size) in offsets.items():
        whole = type(at) is int and type(size) is int and 512 <= at < 2**62 and 0 <= size < 2**62
        if not whole or not _MEMBER.fullmatch(extension):
            raise DamagedFile(f"members {text[:80]!r} are not valid offsets in a tar")
    return offsets


def _read(path: str, storage_options: dict[str, Any], max_bytes: int, tries: int = 3) -> bytes:
    try:
        with fsspec.open(path, "rb", **storage_options) as file:
            data = bytes(file.read(max_bytes + 1))
    except (OSError, ValueError, ImportError) as error:  # of a protocol that is not known, or not installed
        is_gone = isinstance(error, FileNotFoundError | NotADirectoryError)
        if tries > 1 and "://" in path and (is_gone or getattr(error, "errno", None) == errno.EBUSY):
            time.sleep(0.2)  # a bucket finds what is new a little late, or it was replaced between two requests
            return _read(path, storage_options, max_bytes, tries - 1)
        if is_gone:
            raise UserError(f"{path}: no such file; is this the output directory of a finished run?") from None
        raise UserError(f"{path}: cannot be read ({why(error)})") from None
    if len(data) > max_bytes:
        raise DamagedFile(f"{path}: larger than {max_bytes} bytes, the most that such a file has")
    return data
