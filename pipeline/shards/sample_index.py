"""The index files of a data set: the location of each member of each sample, for trainers to map.

in     the shards' rows        out    index/*.arrow (manifests.sample_index), and their entries in manifest.json

Only files whose shards are new or were rewritten are made; the others stay as they are, and their shards' rows are not
read.
"""

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from manifests.errors import DamagedFile
from manifests.sample_index import (
    INDEXES,
    IndexEntry,
    IndexFile,
    IndexWriter,
    SampleColumns,
    columns_of_rows,
    index_entry,
    index_files,
)
from manifests.shards import ShardEntry
from pipeline.engine.store.store import Store
from pipeline.shards.files import read_rows

READ_THREADS = 8
SHARDS_AT_A_TIME = 64
"""Shards whose columns are in memory at the same time."""
_COLUMNS = ["key", "status", "category_id", "members"]

log = logging.getLogger("hdvila")


def make_indexes(
    store: Store, entries: Sequence[ShardEntry], folder: Path, old: Mapping[str, IndexEntry] | None = None
) -> dict[str, list[IndexEntry]]:
    """Writes the index files of these shards into `folder`; returns their entries for manifest.json, by split.

    A file of `old` (by url) that is of the same shards and still in the store is not made again. A split without
    samples gets none. Raises UserError if the rows of a shard are missing or unreadable.
    """
    sizes = store.sizes(INDEXES) if old else {}
    entries_of: dict[str, list[IndexEntry]] = {}
    for split in sorted({entry.split for entry in entries}):
        shards = [entry for entry in entries if entry.split == split]
        for file in index_files(split, shards):
            kept = _kept(store, file, (old or {}).get(file.url), sizes)
            entries_of.setdefault(split, []).append(kept or _make(store, file, folder))
    return entries_of


def _kept(store: Store, file: IndexFile, old: IndexEntry | None, sizes: Mapping[str, int]) -> IndexEntry | None:
    """The entry of a file that can stay as it is."""
    if old is None or old["shards_sha256"] != file.shards_sha256:
        return None
    size = sizes.get(file.url.rpartition("/")[2])
    if size == old["bytes"]:
        return old
    state = "is missing" if size is None else f"has {size} bytes, not {old['bytes']}"
    log.warning("%s/%s: %s; it is made again from its shards' rows", store.url, file.url, state)
    return None


def _make(store: Store, file: IndexFile, folder: Path) -> IndexEntry:
    path = folder / file.url
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch, IndexWriter(Path(scratch) / "columns") as writer:
        for number, part in enumerate(_columns_of_all(store, file.shards)):
            writer.add(part.numbered(np.array([number], np.int32)))
        if writer.n_samples != file.n_samples:
            raise DamagedFile(
                f"{store.url}: the rows of {file.shards[0].url} to {file.shards[-1].url} hold {writer.n_samples} "
                f"samples, the manifest says {file.n_samples}; restore the one that `verify` names"
            )
        writer.write(path, file.shards_sha256)
    return index_entry(file, path)


def _columns_of_all(store: Store, shards: Sequence[ShardEntry]) -> Iterator[SampleColumns]:
    """Yields the columns of each shard in order, read some shards ahead."""
    with ThreadPoolExecutor(READ_THREADS) as pool:
        for i in range(0, len(shards), SHARDS_AT_A_TIME):
            yield from pool.map(lambda shard: _columns(store, shard), shards[i : i + SHARDS_AT_A_TIME])


def _columns(store: Store, shard: ShardEntry) -> SampleColumns:
    rows = read_rows(store, shard.url, _COLUMNS)
    try:
        return columns_of_rows(rows)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedFile(f"{store.url}/{shard.rows_url}: rows are not those of a shard ({error})") from None


def put_indexes(store: Store, folder: Path, made: Mapping[str, Sequence[IndexEntry]]) -> None:
    """Puts the files in place that `make_indexes` wrote into `folder`."""
    for entry in (entry for entries in made.values() for entry in entries):
        if (folder / entry["url"]).exists():
            store.put(folder / entry["url"], entry["url"])


def sweep_indexes(store: Store, named: Mapping[str, Sequence[IndexEntry]]) -> None:
    """Deletes index files that the manifest does not name: those of a plan that has changed."""
    known = {entry["url"] for entries in named.values() for entry in entries}
    for name in store.names(INDEXES):
        if name.endswith(".arrow") and f"{INDEXES}/{name}" not in known:
            store.delete(f"{INDEXES}/{name}")
