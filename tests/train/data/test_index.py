"""The index of samples: it follows the manifest, and leaves out what cannot be read."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hdvila_testing.drawn_set import Shape, write_dataset
from manifests.errors import UserError
from manifests.shards import read_manifest
from train.data import index as index_module
from train.data.index import _checked, load_index, read_captions
from train.data.plan import Mixing, WindowedOrder, order_of

SMALL = Shape(width=160, height=96, n_frames=6, first_frame=1, n_stills=2)


@pytest.fixture(scope="module")
def drawn_once(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    write_dataset(root, videos=5, clips=2, val_videos=1, shard_size=4, shape=SMALL)
    return root


@pytest.fixture
def manifest(drawn_once, tmp_path):
    shutil.copytree(drawn_once, tmp_path, dirs_exist_ok=True)
    return read_manifest(str(tmp_path))


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


def test_a_manifest_of_an_unknown_version_is_refused(tmp_path):
    path = write_dataset(tmp_path, videos=1, shape=SMALL)
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))

    with pytest.raises(UserError, match="schema version 99, this program reads version 1"):
        read_manifest(str(path))


def test_the_manifests_hash_is_of_its_bytes(manifest, tmp_path):
    assert manifest.sha256 == hashlib.sha256((tmp_path / "manifest.json").read_bytes()).hexdigest()


def test_columns_that_cannot_be_those_of_the_shards_are_not_used(manifest):
    index = load_index(manifest, "train")
    columns, shards = index.columns, index.shards

    def usable(shard: np.ndarray) -> bool:
        return _checked(manifest, shards, dataclasses.replace(columns, shard=shard)) is not None

    assert usable(columns.shard)
    assert not usable(columns.shard[:-1]), "a sample is missing"
    assert not usable(columns.shard[::-1].copy()), "out of order"
    assert not usable(columns.shard - 1) and not usable(columns.shard + 1), "no such shard"
    assert not usable(columns.shard[:0])
    for at, number in ((0, -1), (-1, len(shards))):
        one_off = columns.shard.copy()
        one_off[at] = number
        assert not usable(one_off), "a single sample of no shard"


def test_an_index_that_was_made_is_kept_in_the_cache_and_used_from_there(manifest, tmp_path):
    cache = tmp_path / "cache"
    whole = load_index(manifest, "train", cache=cache)
    (kept,) = cache.iterdir()
    assert kept.name == f"train-of-{manifest.sha256[:16]}.arrow"
    for shard in manifest.shards:
        Path(manifest.resolve(shard.rows_url)).unlink()  # it cannot be made again

    again = load_index(manifest, "train", cache=cache)

    assert again.columns.keys.to_pylist() == whole.columns.keys.to_pylist()


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


@pytest.mark.parametrize(
    ("behind_end", "size", "fits"),
    [(0, 512, True), (0, 0, True), (1, 512, False), (0, -2, False), (-(2**40), 0, False)],
)
def test_a_member_may_be_empty_and_end_with_its_tar(manifest, behind_end: int, size: int, fits: bool):
    at = manifest.shards[0].bytes_ - max(size, 0) + behind_end
    rows_with(manifest, 0, members={"mp4": [at, size]})
    if fits:
        assert load_index(manifest, "train").members(0)["mp4"] == (at, size)
    else:
        with pytest.raises(UserError, match="mp4 lies outside its tar"):
            load_index(manifest, "train")


def test_captions_are_those_of_the_samples_alone(manifest):
    rows_with(manifest, 1, status="failed", caption="never made")
    Path(manifest.resolve(manifest.shards[1].rows_url)).write_bytes(b"x")

    captions = read_captions(manifest, "train")

    assert len(captions) == 3 + 2 and "never made" not in captions, "one of four failed, one shard is unreadable"


def test_an_index_has_its_samples_in_the_order_of_shards_and_plans_need_no_epoch_in_memory(manifest):
    index = load_index(manifest, "train")

    assert index.by_shard and index.bad_shards == ()
    assert isinstance(order_of(index, 0, 0, Mixing()), WindowedOrder)
    assert index.has() and index.has("mp4", "txt") and not index.has("mp4", "flac")
    assert "flac" not in index.members(0)


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


def test_an_index_without_some_shards_is_not_kept(manifest, tmp_path):
    Path(manifest.resolve(manifest.shards[0].rows_url)).write_bytes(b"not parquet")

    load_index(manifest, "train", max_bad_shards=1, cache=tmp_path / "run")

    assert not (tmp_path / "run").exists()


def test_an_index_that_cannot_be_kept_leaves_no_part_of_a_file(manifest, tmp_path, monkeypatch):
    def full(columns, path, sha256):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(index_module, "write_index", full)
    with pytest.raises(OSError, match="no space left"):
        load_index(manifest, "train", cache=tmp_path / "run")

    assert list((tmp_path / "run").iterdir()) == []
