"""Index files of shards: one a split, the same bytes each time, put in place where they are not there already."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests.errors import DamagedFile
from manifests.sample_index import IndexWriter, columns_of_rows, index_name, join_columns, sha256_of, write_index
from manifests.shards import read_manifest
from pipeline.engine.store import Store
from pipeline.shards.files import read_rows
from pipeline.shards.sample_index import make_indexes, put_indexes
from pipeline.testing.shards import a_data_set


def test_indexes_are_those_that_the_manifest_names_and_come_back_where_one_is_gone(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "set", n_videos=5)
    manifest = read_manifest(str(tmp_path / "set"))
    folder = tmp_path / "made"
    folder.mkdir()
    made = make_indexes(store, manifest.shards, manifest.head["shards_sha256"], folder)

    assert made == manifest.head["index"]
    name = index_name("train")
    (tmp_path / "set" / name).unlink()
    put_indexes(store, folder, made, made)
    assert sha256_of(tmp_path / "set" / name) == made["train"]["sha256"]


def test_an_index_made_shard_by_shard_is_that_of_all_columns_at_once(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "set", n_videos=5)
    manifest = read_manifest(str(tmp_path / "set"))
    parts = [columns_of_rows(read_rows(store, shard.url, None)) for shard in manifest.split("train")]
    empty = columns_of_rows(read_rows(store, manifest.shards[0].url, None).slice(0, 0))
    parts = [*parts[:1], empty, *parts[1:], empty]
    write_index(join_columns(parts), tmp_path / "whole.arrow", "0" * 64)
    writer = IndexWriter(tmp_path / "columns")
    for part in parts:
        writer.add(part)
    writer.write(tmp_path / "grown.arrow", "0" * 64)

    assert writer.n_samples == sum(shard.nsamples for shard in manifest.split("train"))
    assert (tmp_path / "grown.arrow").read_bytes() == (tmp_path / "whole.arrow").read_bytes()


def test_rows_that_are_none_of_a_shard_are_named(tmp_path: Path) -> None:
    a_data_set(tmp_path, n_videos=2)
    manifest = read_manifest(str(tmp_path))
    path = tmp_path / manifest.shards[0].rows_url
    rows = pq.read_table(path)
    column = rows.column_names.index("members")
    pq.write_table(rows.set_column(column, "members", [["no json"] * rows.num_rows]), path)

    with pytest.raises(DamagedFile, match=path.name):
        make_indexes(Store(str(tmp_path)), manifest.shards, "0" * 64, tmp_path / "x")


def test_an_index_of_another_manifest_is_replaced_though_its_file_is_there(tmp_path: Path) -> None:
    store, folder, name = Store(str(tmp_path / "out")), tmp_path / "made", index_name("train")
    (folder / name).parent.mkdir(parents=True)
    (folder / name).write_bytes(b"new")
    store.write(name, b"old")

    put_indexes(store, folder, {"train": {"sha256": "1"}}, {"train": {"sha256": "1"}})
    unchanged = store.read(name)
    put_indexes(store, folder, {"train": {"sha256": "2"}}, {"train": {"sha256": "1"}})

    assert (unchanged, store.read(name)) == (b"old", b"new")
