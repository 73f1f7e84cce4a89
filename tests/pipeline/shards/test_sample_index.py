"""Index files of shards: one a split, the same bytes each time, put in place where they are not there already."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hdvila_testing.shards import a_data_set
from manifests.errors import DamagedFile
from manifests.sample_index import (
    entries_in,
    index_files,
    sha256_of,
)
from manifests.shards import ShardEntry, read_manifest
from pipeline.engine.store.store import Store
from pipeline.shards.sample_index import make_indexes, put_indexes


def test_indexes_are_those_that_the_manifest_names_and_come_back_where_one_is_gone(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "set", n_videos=5)
    manifest = read_manifest(str(tmp_path / "set"))
    made = make_indexes(store, manifest.shards, tmp_path / "made")

    assert made == manifest.head["index"]
    (entry,) = made["train"]
    (tmp_path / "set" / entry["url"]).unlink()
    put_indexes(store, tmp_path / "made", made)
    assert sha256_of(tmp_path / "set" / entry["url"]) == entry["sha256"]


def test_rows_that_are_none_of_a_shard_are_named(tmp_path: Path) -> None:
    a_data_set(tmp_path, n_videos=2)
    manifest = read_manifest(str(tmp_path))
    path = tmp_path / manifest.shards[0].rows_url
    rows = pq.read_table(path)
    column = rows.column_names.index("members")
    pq.write_table(rows.set_column(column, "members", [["no json"] * rows.num_rows]), path)

    with pytest.raises(DamagedFile, match=path.name):
        make_indexes(Store(str(tmp_path)), manifest.shards, tmp_path / "x")


def entry_of(number: int, generation: int, n_samples: int = 1, sha256: str = "0" * 64) -> ShardEntry:
    counts = {1: n_samples} if n_samples else {}
    return ShardEntry(
        f"shards/train/{number:05d}.tar", "train", generation, sha256, "0" * 32, 1, n_samples, 1.0, counts
    )


def test_a_generations_file_depends_on_its_own_shards_alone() -> None:
    shards = [entry_of(0, 0), entry_of(1, 0), entry_of(2, 1)]
    before = index_files("train", shards[:2])
    after = index_files("train", shards)

    assert after[:1] == before and [file.numbers for file in after] == [(0, 1), (2,)]
    rewritten = index_files("train", [shards[0], entry_of(1, 0, sha256="1" * 64), shards[2]])
    assert [a.shards_sha256 == b.shards_sha256 for a, b in zip(after, rewritten, strict=True)] == [False, True]
    assert [a.url for a in after] == [b.url for b in rewritten]


@pytest.mark.parametrize(
    "index", [None, {}, {"train": {"url": "index/train.arrow", "sha256": "0"}}, {"train": [1, {}]}]
)
def test_an_index_of_another_form_has_no_entries(index) -> None:
    assert entries_in({"index": index}) == {}
