"""Where the hash of each file of an output directory is: nowhere twice, and for most in the file itself.

tables              Parquet: in each file (manifests/parquet.py)
documents           JSON, the report, cards, tombstones: in each file (manifests/seals.py)
commits, packs, published manifests                   in their names
shards, index files, manifest.parquet                 in the manifest
manifest.json                                         in the name of its copy in manifests/
wids.json, sizes.json                                 follow from the manifest byte for byte
own videos                                            in table `videos` (manifests/content.py)
lists                                                 in the ledger (pipeline/dataset/ledger.py)
A film at an address has one too, in table `videos`, and is not asked for here: a host would be asked a million times,
and what is fetched is compared (pipeline/crawl/sources/addresses.py).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Literal

import pyarrow.compute as pc

from manifests import shards
from manifests.content import SAMPLED
from manifests.parquet import is_whole
from manifests.sample_index import entries_in
from manifests.seals import is_sealed
from pipeline.crawl.sources.tables import hash_of_list
from pipeline.dataset.ledger import COMMITS, LEDGER, files_in, noted_inputs
from pipeline.dataset.pushes import PUSHES_NAME
from pipeline.engine.store.commits import is_group
from pipeline.engine.store.lost import table_files
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import IDS_NAME, cure_of
from pipeline.media.source_files import path_of
from pipeline.outdir.identity import RUN_FILE
from pipeline.outdir.remade import ALIKE
from pipeline.outdir.tombstones import COPY
from pipeline.shards.files import shard_files
from pipeline.shards.manifest import CARD_NAME, CROISSANT_NAME, SIZES_NAME, WIDS_NAME, split_indexes

Remake = Literal["", "publish", "report", "stats", "tombstones", "batches", "delete"]
"""How `fsck` makes a file again: with the manifest's others, with the report, from its shard's rows, from its copy,
from what media made; or by deleting it, so that the next run does.
"""
BATCHES = "batches"
MADE_AGAIN = "the next run makes it again"
RESTORE = "restore it from a copy"
CURES = {
    RUN_FILE: f"{RESTORE}, or begin again in another output directory",
    shards.MANIFEST_NAME: RESTORE,
    shards.TABLE_NAME: RESTORE,
    "segments": f"{RESTORE}, or begin again in another output directory",
    shards.TOMBSTONES: RESTORE,
    "rounds": f"{RESTORE}, or run with --redo list",
    BATCHES: f"{RESTORE}, or begin again in another output directory",
    "generations": f"{RESTORE}, or run with --redo shards where packs are kept, else with --redo media",
    "shards": f"{RESTORE}, or run with --redo shards where packs are kept, else with --redo media",
    "packs": f"{RESTORE}, or run with --redo media",
    COMMITS: f"{RESTORE}, or delete it: the next run does its units again",
    shards.PUBLISHED: f"{RESTORE}; only who pinned that manifest needs it",
    shards.RECORDS: RESTORE,
    PUSHES_NAME: RESTORE,
}
"""By the first name of a path: what to do about a file that cannot be made again here."""


@dataclass(frozen=True, slots=True)
class Hashed:
    """A file with a hash. `is_right` reads it through; `source` or `address`: where it is, if that is not in the store.
    `in_pieces`: its hash is one of three pieces.
    """

    path: str
    is_right: Callable[[IO[bytes]], bool]
    cure: str = MADE_AGAIN
    remake: Remake = ""
    source: Path | None = None
    address: str = ""
    in_pieces: bool = False


def hashed_files(store: Store, names: set[str], manifest: shards.Manifest | None) -> Iterator[Hashed]:
    """All files that have a hash, but for tables and own videos. `names`: of files that should be there."""
    of_manifest = {file.path: file for file in _of_manifest(manifest)} if manifest else {}
    ledger = [LEDGER] * store.exists(LEDGER)
    for path in sorted({*files_in(store), *names, *of_manifest, *ledger}):
        if (found := of_manifest.get(path) or _by_name(store, path)) is not None:
            yield found


def hashed_tables(store: Store) -> Iterator[Hashed]:
    """The files of tables. DamagedFile for a commit or head that cannot be read."""
    for file in table_files(store):
        yield Hashed(file.path, is_whole, cure_of(file.path), "delete" if file.path.endswith(f"/{IDS_NAME}") else "")


def hashed_videos(store: Store) -> Iterator[Hashed]:
    """The own videos that were looked at, wherever they are on this machine. DamagedFile for a table's file."""
    videos = store.read_table("videos", ["media_path", "media_hash"])
    cure = "the next run looks at it anew, unless its clips are cut"
    for row in videos.filter(pc.not_equal(videos.column("media_path"), "")).to_pylist():
        yield _input(row["media_path"], row["media_hash"], cure)


def hashed_lists(store: Store) -> Iterator[Hashed]:
    """The lists that the last run read, on this machine or at an address. DamagedFile for the ledger."""
    cure = f"{RESTORE}, or let the next run read it as it is"
    for file, hash_ in noted_inputs(store).items():
        yield (
            _input(file, hash_, cure)
            if "://" not in file
            else replace(_input(file, hash_, cure), source=None, address=file)
        )


def _input(name: str, hash_: str, cure: str) -> Hashed:
    is_right, in_pieces = partial(_has_content, hash_), hash_.startswith(SAMPLED)
    return Hashed(name, is_right, cure, source=path_of(name), in_pieces=in_pieces)


def beside_shards(manifest: shards.Manifest) -> Iterator[Hashed]:
    """The files that follow from a manifest and its shards: lists, cards, indexes."""
    name = str(manifest.head.get("name", ""))
    derived = {
        WIDS_NAME: shards.wids_bytes(manifest.shards, name=name),
        SIZES_NAME: shards.sizes_bytes(manifest.shards),
        **split_indexes(manifest.shards, name=name),
    }
    for path, data in derived.items():
        yield Hashed(path, partial(_is, data), remake="publish")
    for path in (CARD_NAME, CROISSANT_NAME):
        yield Hashed(path, _is_sealed, remake="publish")
    for path, index in sorted(entries_in(manifest.head).items()):
        yield Hashed(path, partial(_has_sha256, index["sha256"]), remake="publish")


def _of_manifest(manifest: shards.Manifest) -> Iterator[Hashed]:
    cure, table_sha256 = CURES["shards"], str(manifest.head["shards_sha256"])
    for entry in manifest.shards:
        tar, rows, stats = shard_files(entry.url)
        yield Hashed(tar, partial(_has_sha256, entry.sha256), cure)
        yield Hashed(rows, is_whole, cure)
        yield Hashed(stats, _is_sealed, cure, "stats")
    yield from beside_shards(manifest)
    for path, sha256 in ((shards.MANIFEST_NAME, manifest.sha256), (shards.TABLE_NAME, table_sha256)):
        yield Hashed(path, partial(_has_sha256, sha256), RESTORE)
        kept = f"{shards.PUBLISHED}/{sha256}{Path(path).suffix}"
        yield Hashed(kept, partial(_has_sha256, sha256), remake="publish")


def _by_name(store: Store, path: str) -> Hashed | None:
    """A file whose hash is in itself or its name; None for what is not ours."""
    name = path.rpartition("/")[2]
    top, stem, ending = path.partition("/")[0], name.rpartition(".")[0], name.rpartition(".")[2]
    cure = CURES.get(top, MADE_AGAIN)
    if top == COMMITS and is_group(name):
        return Hashed(path, partial(_has_sha256, name.split(".")[-2]), cure)
    if top == "packs":
        return Hashed(path, partial(_has_blake2b, stem.rpartition("-")[2]), cure)
    if top == shards.PUBLISHED:
        return Hashed(path, partial(_has_sha256, stem), cure)
    if top == "report":
        return Hashed(path, _is_sealed, remake="report")
    if ending == "parquet":
        return Hashed(path, is_whole, cure, "delete" if top in (ALIKE, COMMITS) else "")
    if top == "shards" or path in (shards.MANIFEST_NAME, WIDS_NAME, SIZES_NAME) or ending not in ("json", "txt", "md"):
        return None  # of no manifest that can be read
    remake: Remake = "tombstones" if path in (shards.TOMBSTONES, COPY) else "batches" if top == BATCHES else ""
    return Hashed(path, _is_sealed, cure, remake)


def _is(data: bytes, file: IO[bytes]) -> bool:
    return file.read() == data


def _is_sealed(file: IO[bytes]) -> bool:
    return is_sealed(file.read())


def _has_sha256(digits: str, file: IO[bytes]) -> bool:
    """`digits`: all of the hash, or the first."""
    return hashlib.file_digest(file, "sha256").hexdigest()[: len(digits)] == digits  # type: ignore[arg-type]


def _has_blake2b(digits: str, file: IO[bytes]) -> bool:
    made = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=6))  # type: ignore[arg-type]
    return made.hexdigest() == digits


def _has_content(wanted: str, file: IO[bytes]) -> bool:
    return hash_of_list(file) == wanted
