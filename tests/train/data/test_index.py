"""The index of samples: it follows the manifest, and leaves out what cannot be read."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvila_testing.drawn_set import Shape, write_dataset
from manifests.errors import UserError
from manifests.shards import read_manifest
from train.data import index as index_module
from train.data.index import load_index, read_captions


def test_captions_for_a_vocabulary_come_from_as_many_shards_as_hold_them_drawn_by_the_seed(tmp_path):
    few_frames = Shape(width=160, height=96, n_frames=2, first_frame=0, prepared=False)
    manifest = read_manifest(str(write_dataset(tmp_path, videos=40, shard_size=4, shape=few_frames)))
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


def test_a_fingerprint_is_of_the_manifest_and_of_the_shards_that_can_be_read(manifest):
    index = load_index(manifest, "train")
    fewer = dataclasses.replace(index, shards=index.shards[1:])
    other = dataclasses.replace(index, manifest=dataclasses.replace(manifest, sha256="1" * 64))

    assert len({index.fingerprint(), fewer.fingerprint(), other.fingerprint()}) == 3
    assert index.fingerprint() == load_index(manifest, "train").fingerprint()


def rows_with(manifest, number: int, **changes: object) -> None:
    """Rewrites a row of the first shard; `members` are merged into its own."""
    path = manifest.resolve(manifest.shards[0].rows_url)
    rows = pq.read_table(path).to_pylist()
    members = {**json.loads(rows[number]["members"]), **changes.pop("members", {})}  # type: ignore[dict-item]
    rows[number] = {**rows[number], **changes, "members": json.dumps(members)}
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(path)), path)


def test_captions_are_those_of_the_samples_alone(manifest):
    rows_with(manifest, 1, status="failed", caption="never made")
    Path(manifest.resolve(manifest.shards[1].rows_url)).write_bytes(b"x")

    captions = read_captions(manifest, "train")

    assert len(captions) == 3 + 2 and "never made" not in captions, "one of four failed, one shard is unreadable"


@pytest.mark.parametrize("folder", ["run", "not/there/yet"])
def test_a_kept_index_that_is_damaged_is_made_again_and_no_part_of_a_file_is_left(manifest, tmp_path, folder: str):
    (tmp_path / "run").mkdir()
    whole = load_index(manifest, "train", cache=tmp_path / folder)
    (kept,) = (tmp_path / folder).iterdir()
    data = kept.read_bytes()
    kept.write_bytes(b"no index")

    again = load_index(manifest, "train", cache=tmp_path / folder)

    assert again.keys.to_pylist() == whole.keys.to_pylist()
    assert [path.read_bytes() for path in (tmp_path / folder).iterdir()] == [data]


def test_an_index_that_cannot_be_kept_leaves_no_part_of_a_file(manifest, tmp_path, monkeypatch):
    def full(columns, path, sha256):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(index_module, "write_index", full)
    with pytest.raises(OSError, match="no space left"):
        load_index(manifest, "train", cache=tmp_path / "run")

    assert list((tmp_path / "run").iterdir()) == []
