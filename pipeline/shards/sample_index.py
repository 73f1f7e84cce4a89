"""The index files of a data set: the location of each member of each sample, a file per split for trainers to map.

in     the shards' rows        out    index/<split>.arrow (manifests.sample_index), and their entries in manifest.json
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from manifests.errors import DamagedFile
from manifests.sample_index import (
    IndexEntry,
    IndexWriter,
    SampleColumns,
    columns_of_rows,
    index_entry,
    index_name,
)
from manifests.shards import ShardEntry
from pipeline.engine.store import Store
from pipeline.shards.files import read_rows

READ_THREADS = 8
SHARDS_AT_A_TIME = 64
"""Shards whose columns are in memory at the same time."""
_COLUMNS = ["key", "status", "category_id", "members"]


def make_indexes(
    store: Store, entries: Sequence[ShardEntry], shards_sha256: str, folder: Path
) -> dict[str, IndexEntry]:
    """Writes the indexes of these shards into `folder`, named by `index_name`; returns manifest.json's entry by split.

    A split without samples gets none. Raises UserError if the rows of a shard are missing or unreadable.
    """
    found: dict[str, IndexEntry] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for split in sorted({entry.split for entry in entries}):
        shards = [entry for entry in entries if entry.split == split]
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            writer = IndexWriter(Path(scratch) / "columns")
            for part in _columns_of_all(store, shards):
                writer.add(part)
            if writer.n_samples:
                path = folder / index_name(split)
                path.parent.mkdir(exist_ok=True)
                writer.write(path, shards_sha256)
                found[split] = index_entry(split, path, writer.n_samples)
    return found


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


def put_indexes(store: Store, folder: Path, wanted: Mapping[str, Mapping[str, Any]], old: Mapping[str, Any]) -> None:
    """Puts in place the files that the manifest names, unless they are there already."""
    for split, entry in wanted.items():
        name = index_name(split)
        if old.get(split) != entry or not store.exists(name):
            store.put(folder / name, name)
