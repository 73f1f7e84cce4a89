"""The index of samples: it follows the manifest, and leaves out what cannot be read."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.errors import UserError
from manifests.shards import read_manifest
from train.data.index import load_index, read_captions
from train.testing import Shape, write_dataset

SMALL = Shape(width=160, height=96, n_frames=6, first_frame=1, n_stills=2)


@pytest.fixture
def manifest(tmp_path):
    return read_manifest(str(write_dataset(tmp_path, videos=5, clips=2, val_videos=1, shard_size=4, shape=SMALL)))


def test_captions_for_a_vocabulary_come_from_as_many_shards_as_hold_them_drawn_by_the_seed(tmp_path):
    manifest = read_manifest(str(write_dataset(tmp_path, videos=40, shard_size=4, shape=SMALL)))
    whole = read_captions(manifest, "train")

    some = [read_captions(manifest, "train", at_most=12, seed=seed) for seed in (1, 1, 2)]

    assert [len(captions) for captions in some] == [12, 12, 12]
    assert some[0] == some[1] != some[2]
    assert set(some[0]) <= set(whole) and len(whole) == 40
    assert read_captions(manifest, "train", at_most=40) == read_captions(manifest, "train", at_most=100) == whole


def test_the_index_follows_the_manifest_and_knows_its_categories(manifest):
    index = load_index(manifest, "train")

    assert [index.key(i) for i in range(3)] == ["train00000_00000", "train00000_00001", "train00001_00000"]
    assert len(index) == 10 and len(index.shards) == 3
    assert index.has("m4v", "mjpg") and index.category.tolist()[:4] == [10, 10, 27, 27]
    assert read_captions(manifest, "train")[0] == "a red square moves left"


def test_failed_clips_of_a_shard_are_no_samples(manifest):
    path = manifest.resolve(manifest.shards[0].rows_url)
    rows = pq.read_table(path).to_pylist()
    rows[1]["status"], rows[1]["members"] = "failed", "{}"
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)

    index = load_index(manifest, "train")

    assert len(index) == 9 and json.loads(rows[1]["members"]) == {}
    assert "train00000_00001" not in [index.key(i) for i in range(9)]


def test_unreadable_shards_are_left_out_up_to_the_limit_and_named_past_it(manifest):
    Path(manifest.resolve(manifest.shards[0].rows_url)).write_bytes(b"not parquet")

    index = load_index(manifest, "train", max_bad_shards=1)

    assert len(index) == 6 and len(index.bad_shards) == 1 and "00000.parquet" in index.bad_shards[0]
    assert index.fingerprint() != load_index(manifest, "val").fingerprint()
    with pytest.raises(UserError, match=r"1 unreadable shard, more than .*max_bad_shards=0.*\n.*00000\.parquet"):
        load_index(manifest, "train")


def test_a_split_that_is_not_there_is_named_with_those_that_are(manifest):
    with pytest.raises(UserError, match=r"no shard of split 'test'.*train, val"):
        load_index(manifest, "test")


def test_a_manifest_of_an_unknown_version_is_refused(tmp_path):
    path = write_dataset(tmp_path, videos=1, shape=SMALL)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))

    with pytest.raises(UserError, match="schema version 99, this program reads version 1"):
        read_manifest(str(path))


def test_the_manifests_hash_is_of_its_bytes(manifest, tmp_path):
    assert manifest.sha256 == hashlib.sha256((tmp_path / "manifest.json").read_bytes()).hexdigest()
