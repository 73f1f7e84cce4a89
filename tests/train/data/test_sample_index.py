"""The data set's own index: written with the manifest, mapped by the trainer, and passed over where it doesn't fit."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from hdvila_testing.drawn_set import Shape, write_dataset
from hdvila_testing.shards import a_data_set, commit_video, make_shards, select
from manifests.errors import UserError
from manifests.sample import ALL_MEMBERS
from manifests.sample_index import sha256_of
from manifests.shards import Manifest, read_manifest
from pipeline.config.shards import ShardsConfig
from pipeline.shards.manifest import given_head, publish
from train.data.index import Index, load_index


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    a_data_set(folder, n_videos=9)
    return folder


@pytest.fixture
def manifest(made_once: Path, tmp_path: Path) -> Manifest:
    shutil.copytree(made_once, tmp_path, dirs_exist_ok=True)
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
    monkeypatch.setattr("train.data.index.shutil.copyfileobj", breaks)

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


def key_column(ends: list[int]) -> Any:
    """Changes where keys end among their letters, which Arrow does not look at when it maps a file."""

    def change(batch: pa.RecordBatch) -> pa.RecordBatch:
        keys = batch.column("key")
        at = np.frombuffer(keys.buffers()[1], np.int64).copy()
        at[1 : 1 + len(ends)] = ends
        array = pa.Array.from_buffers(pa.large_string(), len(keys), [None, pa.py_buffer(at), keys.buffers()[2]])
        return batch.set_column(0, "key", array)

    return change


def with_column(name: str, change: Callable[[np.ndarray], Any]) -> Any:
    def changed(batch: pa.RecordBatch) -> pa.RecordBatch:
        column = change(batch.column(name).to_numpy().copy())
        return batch.set_column(batch.schema.get_field_index(name), name, pa.array(column))

    return changed


def with_metadata(text: str) -> Any:
    return lambda batch: batch.replace_schema_metadata({**batch.schema.metadata, b"members_of_all": text})


ATTACKS: dict[str, tuple[str, Callable[[pa.RecordBatch], pa.RecordBatch]]] = {
    "keys that end beyond the file": ("Offset|offset", key_column([2**40])),
    "a key of negative length": ("Offset|offset", key_column([2**40, 5])),
    "a null": ("", with_column("shard", lambda shard: [None, *shard[1:].tolist()])),
    "another type": ("columns are not those", with_column("mp4", lambda at: at.astype(np.float64))),
    "shards that are not there": ("in their order", with_column("shard", lambda shard: shard + 1)),
    "a member beyond its tar": ("mp4 lies outside", with_column("mp4", lambda at: at + 2**50)),
    "an end beyond 2^63": ("mp4 lies outside", with_column("mp4", lambda at: np.full_like(at, 2**63 - 5))),
    "a member before its tar": ("mp4 lies outside", with_column("mp4_bytes", lambda size: np.full_like(size, -7))),
    "a member that only its metadata has": ("no column", with_metadata('["mp4", "flac9"]')),
    "nested metadata": ("recursion", with_metadata("[" * 100_000)),
    "metadata of another form": ("unhashable", with_metadata("[[1]]")),
}


def strangers(manifest: Manifest, change: Callable[[pa.RecordBatch], pa.RecordBatch], **options: Any) -> Manifest:
    """The manifest of a stranger, who has changed the index and written its hash."""
    path, head = index_path(manifest), json.loads(json.dumps(manifest.head))
    batch = change(pa.ipc.open_file(path.read_bytes()).get_batch(0))
    as_asked = pa.ipc.IpcWriteOptions(**options)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema, options=as_asked) as writer:
        writer.write_batch(batch)
    head["index"]["train"][0] |= {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    return replace(manifest, head=head)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_strangers_index_is_not_believed(manifest, attack):
    why, change = ATTACKS[attack]
    bad = strangers(manifest, change)

    index = load_index(bad, "train")

    assert_same(index, replace(of_rows(manifest), manifest=bad))
    assert re.search(f"index of train: cannot be used .*({why})", index.bad_index)


def test_a_strangers_index_asks_for_no_more_memory_than_it_has_bytes(manifest):
    index = load_index(strangers(manifest, lambda batch: batch, compression="zstd"), "train")
    assert "its columns are compressed" in index.bad_index


def of_generations(folder: Path, generations: Sequence[int]) -> Manifest:
    """A data set whose train shards are of these generations, in manifest order."""
    split = {"by": "video", "val": 0, "test": 0}
    store = a_data_set(folder, n_videos=len(generations), n_clips=2, config=ShardsConfig(max_samples=2, split=split))
    made = read_manifest(store.url)
    assert len(made.shards) == len(generations)
    entries = [replace(shard, generation=g) for shard, g in zip(made.shards, generations, strict=True)]
    return publish(store, entries, *given_head(made.head))


def test_a_set_of_several_generations_gets_its_index_from_the_rows_once_a_run(tmp_path, caplog):
    manifest = of_generations(tmp_path / "set", [0, 2, 1, 0])
    caplog.clear()
    made = load_index(manifest, "train", cache=tmp_path / "run")
    remove_rows(manifest)

    assert len(manifest.head["index"]["train"]) == 3 and not made.bad_index and not caplog.records
    assert_same(load_index(manifest, "train", cache=tmp_path / "run"), made)
    with pytest.raises(UserError, match="4 unreadable shards"):
        load_index(manifest, "train")
