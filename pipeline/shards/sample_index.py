"""The index files of a data set: the location of each member of each sample, a file per split for trainers to map.

in     the shards' rows        out    index/<split>.arrow (manifests.sample_index), and their entries in manifest.json
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from manifests.errors import DamagedFile
from manifests.sample_index import (
    IndexEntry,
    SampleColumns,
    columns_of_rows,
    index_entry,
    index_name,
    join_columns,
    write_index,
)
from manifests.shards import ShardEntry
from pipeline.engine.store import Store
from pipeline.shards.files import read_rows

READ_THREADS = 8
_COLUMNS = ["key", "status", "category_id", "members"]


def make_indexes(
    store: Store, entries: Sequence[ShardEntry], shards_sha256: str, folder: Path
) -> dict[str, IndexEntry]:
    """Writes the indexes of these shards into `folder`, named by `index_name`; returns manifest.json's entry by split.

    A split without samples gets none. Raises UserError if the rows of a shard are missing or unreadable.
    """
    found: dict[str, IndexEntry] = {}
    for split in sorted({entry.split for entry in entries}):
        shards = [entry for entry in entries if entry.split == split]
        with ThreadPoolExecutor(READ_THREADS) as pool:
            parts = list(pool.map(lambda shard: _columns(store, shard), shards))
        columns = join_columns(parts)
        if len(columns.shard):
            path = folder / index_name(split)
            path.parent.mkdir(exist_ok=True)
            write_index(columns, path, shards_sha256)
            found[split] = index_entry(split, path, len(columns.shard))
    return found


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
