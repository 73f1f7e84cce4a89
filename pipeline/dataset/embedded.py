"""Embeddings that lie in a data set's directory (`hdvila-train embed`): a removed sample's rows go with it."""

import hashlib
from collections.abc import Collection
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from manifests.embeddings import EMBEDDINGS, HEAD, read_head, table_name
from manifests.errors import UserError
from manifests.parquet import open_parquet, parquet_bytes
from manifests.shards import MANIFEST_NAME
from pipeline.engine.store.store import Store
from pipeline.shards.closed import read_entries


def forget_embedded(store: Store, urls: Collection[str], keys: Collection[str]) -> None:
    """Takes the rows of these samples out of the tables of these shards. A table that can't be read is deleted: it may
    hold them, and `embed` makes it again.
    """
    gone = pa.array(sorted(keys), pa.string())
    for model in store.folders(EMBEDDINGS):
        for entry in read_entries(store):
            name = f"{EMBEDDINGS}/{model}/{table_name(entry)}"
            if entry.url not in urls or not store.exists(name):
                continue
            try:
                table = open_parquet(store.read(name), is_foreign=True).read()
                kept = table.filter(pc.invert(pc.is_in(table["key"], gone)))
            except (pa.ArrowException, OSError, ValueError, KeyError):
                store.delete(name)
                continue
            if kept.num_rows < table.num_rows:
                store.write(name, parquet_bytes(kept))


def move_heads(store: Store, before: Collection[str]) -> None:
    """Embeddings of a manifest that was published here before a removal are those of the one after it."""
    if not store.exists(MANIFEST_NAME):
        return
    after = hashlib.sha256(store.read(MANIFEST_NAME)).hexdigest()
    for model in store.folders(EMBEDDINGS):
        files = store / f"{EMBEDDINGS}/{model}"
        try:
            head = read_head(files)
        except UserError:
            continue  # no embeddings, or none that anything would use
        if head.manifest in before:
            files.write(HEAD, replace(head, manifest=after).as_bytes())
