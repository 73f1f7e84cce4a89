"""The data set's own index: written with the manifest, mapped by the trainer, and passed over where it doesn't fit."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from hdvila_testing.drawn_set import Shape, write_dataset
from hdvila_testing.shards import a_data_set, commit_video, make_shards, select
from manifests.errors import UserError
from manifests.sample import ALL_MEMBERS
from manifests.sample_index import index_files, open_index, sha256_of
from manifests.shards import Manifest, read_manifest
from pipeline.config.shards import ShardsConfig
from pipeline.shards.manifest import given_head, publish
from train.data import index as index_module
from train.data.index import Index, load_index


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    a_data_set(tmp_path, n_videos=9)
    return read_manifest(str(tmp_path))


def of_rows(manifest: Manifest, split: str = "train") -> Index:
    """The index as the shards' own Parquet files give it."""
    return load_index(replace(manifest, head={**manifest.head, "index": {}}), split)


def index_path(manifest: Manifest) -> Path:
    """Where the only index file of split `train` is."""
    (entry,) = manifest.head["index"]["train"]
    return Path(manifest.resolve(entry["url"]))


def remove_rows(manifest: Manifest) -> None:
    """After this an index can only come from an index file."""
    for shard in manifest.shards:
        Path(manifest.resolve(shard.rows_url)).unlink()


def assert_same(one: Index, other: Index) -> None:
    assert one.keys.to_pylist() == other.keys.to_pylist() and one.fingerprint() == other.fingerprint()
    assert np.array_equal(one.shard, other.shard) and np.array_equal(one.category, other.category)
    assert [one.members(i) for i in range(len(one))] == [other.members(i) for i in range(len(other))]
    assert all(one.has(m) == other.has(m) for m in ALL_MEMBERS)


def test_the_manifest_names_each_splits_index_and_it_says_what_the_rows_say(manifest):
    for split in ("train", "val"):
        (entry,) = manifest.head["index"][split]
        path = Path(manifest.resolve(entry["url"]))
        assert (entry["sha256"], entry["bytes"]) == (sha256_of(path), path.stat().st_size)
        assert entry["samples"] == sum(shard.nsamples for shard in manifest.split(split))
        assert_same(load_index(manifest, split), of_rows(manifest, split))


def test_the_trainer_maps_it_and_reads_no_rows(manifest):
    wanted = of_rows(manifest)
    remove_rows(manifest)

    index = load_index(manifest, "train")

    assert_same(index, wanted)
    owned = [index.shard, *index.columns.offsets.values(), *index.columns.sizes.values()]
    assert not any(column.flags.owndata for column in owned)  # views of the mapped file


def test_a_run_that_finds_more_writes_it_anew_and_one_that_finds_nothing_leaves_it(tmp_path):
    store = a_data_set(tmp_path, n_videos=3)
    first = read_manifest(str(tmp_path))
    make_shards(store)
    assert read_manifest(str(tmp_path)).head["index"] == first.head["index"]

    commit_video(store, "one-more")
    select(store)
    make_shards(store)

    second = read_manifest(str(tmp_path))
    n_samples = [sum(e["samples"] for entries in m.head["index"].values() for e in entries) for m in (first, second)]
    assert n_samples[1] == n_samples[0] + 3
    assert_same(load_index(second, "train"), of_rows(second))


@pytest.mark.parametrize("damage", ["gone", "cut short", "another set's", "changed"])
def test_an_index_that_does_not_fit_is_reported_and_the_rows_are_read(manifest, tmp_path, damage, caplog):
    path = index_path(manifest)
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "cut short":
        path.write_bytes(data[:-200])
    elif damage == "changed":
        path.write_bytes(data[:3000] + b"\xff" * 8 + data[3008:])
    else:
        other = tmp_path / "other"
        a_data_set(other, n_videos=9, prefix="other")
        path.write_bytes(index_path(read_manifest(str(other))).read_bytes())

    with caplog.at_level(logging.WARNING, logger="hdvila"):
        index = load_index(manifest, "train")

    assert_same(index, of_rows(manifest))
    assert "the index is made of the shards' rows" in caplog.text


def test_a_set_without_one_gets_it_once_in_the_runs_folder(tmp_path):
    shape = Shape(width=160, height=96, n_frames=6, first_frame=1, n_stills=2)
    manifest = read_manifest(str(write_dataset(tmp_path, videos=5, val_videos=1, shard_size=2, shape=shape)))
    made = load_index(manifest, "train", cache=tmp_path / "run")
    remove_rows(manifest)

    assert_same(load_index(manifest, "train", cache=tmp_path / "run"), made)
    with pytest.raises(UserError, match="3 unreadable shards"):
        load_index(manifest, "train")


def test_unreadable_shards_are_looked_at_again_each_time(tmp_path):
    manifest = read_manifest(str(write_dataset(tmp_path, videos=4, shard_size=2, shape=Shape(n_frames=6, n_stills=2))))
    rows = Path(manifest.resolve(manifest.shards[0].rows_url))
    data = rows.read_bytes()
    rows.unlink()
    assert len(load_index(manifest, "train", cache=tmp_path / "run", max_bad_shards=1)) == 2

    rows.write_bytes(data)

    assert len(load_index(manifest, "train", cache=tmp_path / "run", max_bad_shards=1)) == 4


def test_from_an_object_store_it_is_fetched_once(manifest, tmp_path):
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path), "/indexed", recursive=True)
    remote = read_manifest("memory://indexed/manifest.json")
    wanted = load_index(manifest, "train")

    first = load_index(remote, "train", cache=tmp_path / "run")
    store.rm("/indexed/index", recursive=True)
    again = load_index(remote, "train", cache=tmp_path / "run")

    for index in (first, again):
        assert [index.members(i) for i in range(len(index))] == [wanted.members(i) for i in range(len(wanted))]


def test_a_fetch_that_fails_leaves_nothing_behind_and_the_rows_are_read(manifest, tmp_path, monkeypatch, caplog):
    def breaks(source, target, length):
        target.write(b"half")
        raise ConnectionResetError("away")

    fsspec.filesystem("memory").put(str(tmp_path), "/breaks", recursive=True)
    remote = read_manifest("memory://breaks/manifest.json")
    monkeypatch.setattr(index_module.shutil, "copyfileobj", breaks)

    assert_same(load_index(remote, "train", cache=tmp_path / "run"), load_index(manifest, "train"))

    assert "cannot be used (away)" in caplog.text
    assert [path.name.partition("-of-")[0] for path in (tmp_path / "run").iterdir()] == ["train"], "made of the rows"


def test_a_name_of_a_cached_file_comes_of_a_hash_alone(manifest, tmp_path, caplog):
    fsspec.filesystem("memory").put(str(tmp_path), "/named", recursive=True)
    remote, wanted = read_manifest("memory://named/manifest.json"), load_index(manifest, "train")

    for number, name in enumerate(("a" * 63, "a" * 65, "A" * 64, "../" + "a" * 61, "")):
        head = json.loads(json.dumps(remote.head))
        head["index"]["train"][0]["sha256"] = name
        caplog.clear()
        assert_same(load_index(replace(remote, head=head), "train", cache=tmp_path / f"run{number}"), wanted)
        assert "the manifest's sha256 is not valid" in caplog.text


def test_a_strangers_manifest_names_no_other_file(manifest, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"")
    head = json.loads(json.dumps(manifest.head))
    head["index"]["train"][0] |= {"url": "../secret", "sha256": "../../secret"}

    assert_same(load_index(replace(manifest, head=head), "train"), of_rows(manifest))


def test_a_file_that_is_no_index_of_these_shards_gives_nothing(manifest):
    path = index_path(manifest)
    (file,) = index_files("train", manifest.split("train"))
    assert open_index(path, file.shards_sha256) is not None
    assert open_index(path, "0" * 64) is None


@pytest.mark.parametrize(("hashed", "noticed"), [(0, True), (-1, False)])
def test_an_index_up_to_a_size_is_hashed_and_a_larger_one_compared_by_size(manifest, monkeypatch, hashed, noticed):
    path = index_path(manifest)
    data, first = path.read_bytes(), b"video-0000"
    assert first in data
    path.write_bytes(data.replace(first, b"vxdeo-0000"))
    monkeypatch.setattr(index_module, "HASHED_BYTES", len(data) + hashed)

    keys = load_index(manifest, "train").keys.to_pylist()

    assert any(key.startswith("vxdeo") for key in keys) != noticed


def test_an_index_in_a_store_is_kept_by_its_hash_and_without_a_folder_the_rows_are_read(manifest, tmp_path):
    fsspec.filesystem("memory").put(str(tmp_path), "/kept", recursive=True)
    remote = read_manifest("memory://kept/manifest.json")

    load_index(remote, "train", cache=tmp_path / "run")

    sha256 = manifest.head["index"]["train"][0]["sha256"]
    assert [path.name for path in (tmp_path / "run").iterdir()] == [f"index-{sha256[:16]}.arrow"]
    assert_same(load_index(remote, "train"), load_index(manifest, "train"))


def test_an_index_of_two_batches_or_another_format_is_none(manifest):
    path = index_path(manifest)
    of = manifest.head["index"]["train"][0]["shards_sha256"]
    assert open_index(path, of) is not None and open_index(path, "0" * 64) is None
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    for n_batches, changes in ((2, {}), (0, {}), (1, {b"hdvila_index": b"1"})):
        schema = table.schema.with_metadata({**table.schema.metadata, **changes})
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for _ in range(n_batches):
                writer.write_table(table.replace_schema_metadata(schema.metadata))
        assert open_index(path, of) is None


def of_generations(folder: Path, generations: Sequence[int]) -> Manifest:
    """A data set whose train shards are of these generations, in manifest order."""
    split = {"by": "video", "val": 0, "test": 0}
    store = a_data_set(folder, n_videos=len(generations), n_clips=2, config=ShardsConfig(max_samples=2, split=split))
    made = read_manifest(store.url)
    assert len(made.shards) == len(generations)
    entries = [replace(shard, generation=g) for shard, g in zip(made.shards, generations, strict=True)]
    return publish(store, entries, *given_head(made.head))


@pytest.mark.parametrize("generations", [[0, 0, 1, 2], [0, 2, 1, 0, 2], [3]])
def test_the_files_of_generations_are_joined_in_the_order_of_the_shards_once_a_run(tmp_path, generations):
    manifest = of_generations(tmp_path / "set", generations)
    fsspec.filesystem("memory").put(str(tmp_path / "set"), f"/{tmp_path.name}", recursive=True)
    remote = read_manifest(f"memory://{tmp_path.name}/manifest.json")
    wanted = of_rows(manifest)
    remove_rows(manifest)

    assert len(manifest.head["index"]["train"]) == len(set(generations))
    assert_same(load_index(manifest, "train"), wanted)
    assert_same(load_index(manifest, "train", cache=tmp_path / "run"), wanted)
    there = load_index(remote, "train", cache=tmp_path / "far")
    assert [there.members(i) for i in range(len(there))] == [wanted.members(i) for i in range(len(wanted))]
    assert not [path for path in (tmp_path / "run").glob("**/*") if path.suffix != ".arrow"], "nothing else is left"
    if len(set(generations)) > 1:
        for entry in manifest.head["index"]["train"]:
            Path(manifest.resolve(entry["url"])).unlink()
        assert_same(load_index(manifest, "train", cache=tmp_path / "run"), wanted)


def test_files_that_changed_places_make_it_of_the_rows(tmp_path, caplog):
    manifest = of_generations(tmp_path, [0, 1, 2])
    first, second, *_ = manifest.head["index"]["train"]
    paths = [Path(manifest.resolve(entry["url"])) for entry in (first, second)]
    data = [path.read_bytes() for path in paths]
    for path, other in zip(paths, reversed(data), strict=True):
        path.write_bytes(other)

    with caplog.at_level(logging.WARNING, logger="hdvila"):
        index = load_index(manifest, "train")

    assert_same(index, of_rows(manifest))
    assert "the index is made of the shards' rows" in caplog.text
