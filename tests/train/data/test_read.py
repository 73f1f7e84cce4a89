"""Reading members by offset: each is the one in the tar, and what is not there is named."""

from __future__ import annotations

import dataclasses
import errno
import os
import pickle
import tarfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from fsspec.implementations.memory import MemoryFileSystem

from hdvila_testing.drawn_set import write_dataset
from manifests.shards import read_manifest
from tests.train.data.loaders import TINY
from train.data import read
from train.data.index import load_index
from train.data.read import Reader, ShardUnreadable


def test_every_member_read_by_offset_is_the_one_in_the_tar(manifest):
    index = load_index(manifest, "train")
    reader = pickle.loads(pickle.dumps(Reader(index)))  # as a worker gets it

    for sample in range(len(index)):
        path = manifest.resolve(index.shards[index.shard[sample]].url)
        with tarfile.open(path) as tar:
            wanted = {m.name.rpartition(".")[2]: tar.extractfile(m).read() for m in tar if index.key(sample) in m.name}
        assert reader.read(sample, list(wanted)) == wanted
        assert reader.read(sample, ["txt", "mjpg"]) == {k: wanted[k] for k in ("txt", "mjpg")}


def test_a_set_that_this_version_drew_is_opened_without_a_warning(manifest, caplog):
    load_index(manifest, "train")

    assert caplog.messages == []


def test_a_shard_that_is_gone_cut_short_or_another_one_is_unreadable(manifest):
    index = load_index(manifest, "train")
    first, second, third = (index.manifest.resolve(s.url) for s in index.shards)
    Path(first).unlink()
    os.truncate(second, 700)
    data = Path(third).read_bytes()
    Path(third).write_bytes(b"x" * 512 + data[512:])
    reader = Reader(index)

    with pytest.raises(ShardUnreadable, match="No such file"):
        reader.read(0, ["txt"])
    with pytest.raises(ShardUnreadable, match="ends at byte 700, the index promises"):
        reader.read(4, ["mp4"])
    with pytest.raises(ShardUnreadable, match="not the shard it was"):
        reader.read(8, ["mp4"])


def test_members_come_by_ranged_reads_from_an_object_store(tmp_path):
    """On fsspec's in-memory store; a real S3 server stands in test_s3.py."""
    write_dataset(tmp_path, videos=3, shard_size=2, shape=TINY)
    store = fsspec.filesystem("memory")
    store.put(str(tmp_path), "/bucket", recursive=True)
    remote = load_index(read_manifest("memory://bucket/manifest.json"), "train")
    local = load_index(read_manifest(str(tmp_path)), "train")

    for sample in range(3):
        assert Reader(remote).read(sample, ["json", "m4v"]) == Reader(local).read(sample, ["json", "m4v"])


AWAY = EndpointConnectionError(endpoint_url="http://bucket")


@pytest.fixture
def refusals():
    """Errors that a store answers reads of shards with, the last one first; then it reads."""
    return []


@pytest.fixture
def unsteady(tmp_path, monkeypatch, refusals):
    """A reader of a data set in such a store."""
    write_dataset(tmp_path, videos=2, shape=TINY)
    fsspec.filesystem("memory").put(str(tmp_path), "/unsteady", recursive=True)
    read = MemoryFileSystem.cat_file

    def cat_file(store, path, **part):
        if refusals and path.endswith(".tar"):
            raise refusals.pop()
        return read(store, path, **part)

    monkeypatch.setattr(MemoryFileSystem, "cat_file", cat_file)
    monkeypatch.setattr("train.data.read.RETRY_AFTER_S", (0.0, 0.0, 0.0))
    yield Reader(load_index(read_manifest("memory://unsteady/manifest.json"), "train"))
    fsspec.filesystem("memory").rm("/unsteady", recursive=True)


@pytest.mark.parametrize("refusal", [OSError(errno.EIO, "slow down"), TimeoutError("timed out"), AWAY])
def test_what_a_store_refuses_for_the_moment_is_asked_for_again(unsteady, refusals, refusal):
    before = unsteady.read(0, ["txt"])

    refusals[:] = [refusal] * 3
    assert unsteady.read(0, ["txt"]) == before and not refusals

    refusals[:] = [refusal] * 4
    with pytest.raises(ShardUnreadable, match=r"\.tar: "):
        unsteady.read(0, ["txt"])
    assert not refusals


@pytest.mark.parametrize("refusal", [FileNotFoundError("gone"), PermissionError("not yours"), NoCredentialsError()])
def test_what_another_try_would_not_change_is_asked_for_once(unsteady, refusals, refusal):
    refusals[:] = [refusal] * 2

    with pytest.raises(ShardUnreadable, match=r"\.tar: "):
        unsteady.read(0, ["txt"])
    assert len(refusals) == 1


@pytest.mark.parametrize(
    ("column", "value"), [("offset", 0), ("offset", 2**50), ("size", -2), ("size", 2**50), ("shard", 99), ("shard", -1)]
)
def test_an_index_that_names_places_outside_its_shards_reads_nothing(manifest, column, value):
    """Offsets and sizes come mapped from a file that somebody else may have written."""
    index = load_index(manifest, "train")
    columns = index.columns
    if column == "shard":
        changed = dataclasses.replace(columns, shard=np.full_like(columns.shard, value))
    else:
        of = columns.offsets if column == "offset" else columns.sizes
        moved = {m: np.full_like(array, value) for m, array in of.items()}
        changed = dataclasses.replace(columns, **{"offsets" if column == "offset" else "sizes": moved})
    hostile = dataclasses.replace(index, columns=changed)

    with pytest.raises(ShardUnreadable, match="the index"):
        Reader(hostile).read(0, ["txt"])


@pytest.fixture
def reads(monkeypatch):
    """(start, stop) of each read of a file from now on."""
    seen, pread = [], os.pread
    monkeypatch.setattr(os, "pread", lambda file, n, at: seen.append((at, at + n)) or pread(file, n, at))
    return seen


def n_open() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_more_files_stay_open_than_allowed_and_none_after_the_end(manifest, monkeypatch):
    monkeypatch.setattr(read, "OPEN_FILES", 2)
    index = load_index(manifest, "train")
    before = n_open()
    reader = Reader(index)
    first_of = [int(np.flatnonzero(index.shard == shard)[0]) for shard in range(3)]
    for sample in (*first_of, *first_of[::-1], *first_of):
        assert reader.read(sample, ["txt"])["txt"]

    assert n_open() == before + 2
    reader.close()
    assert n_open() == before


def with_video_at(index, offset: int, size: int, shard_bytes: int):
    """The index, with all videos there and its shards as long as this."""
    columns = index.columns
    offsets = columns.offsets | {"mp4": np.full_like(columns.offsets["mp4"], offset)}
    sizes = columns.sizes | {"mp4": np.full_like(columns.sizes["mp4"], size)}
    return dataclasses.replace(
        index,
        columns=dataclasses.replace(columns, offsets=offsets, sizes=sizes),
        shards=[dataclasses.replace(shard, bytes_=shard_bytes) for shard in index.shards],
    )


def test_a_member_larger_than_any_clips_is_not_made_room_for(manifest):
    index = load_index(manifest, "train")

    assert Reader(with_video_at(index, 512, read.MAX_MEMBER_BYTES, 2**40)).read(0, ["txt"])
    with pytest.raises(ShardUnreadable, match="the index has mp4"):
        Reader(with_video_at(index, 512, read.MAX_MEMBER_BYTES + 1, 2**40)).read(0, ["txt"])


@pytest.mark.parametrize(("name", "is_it"), [("{}", True), ("x{}", False)])
def test_a_member_of_a_folder_is_known_by_its_own_name(manifest, name, is_it):
    index = load_index(manifest, "train")
    at = index.members(0)["txt"][0] - 512
    with Path(manifest.resolve(index.shards[0].url)).open("r+b") as shard:
        shard.seek(at)
        shard.write(f"some/folder/{name.format(index.key(0))}.txt".encode().ljust(100, b"\0"))

    if is_it:
        assert Reader(index).read(0, ["txt"])["txt"]
    else:
        with pytest.raises(ShardUnreadable, match="not the shard it was"):
            Reader(index).read(0, ["txt"])
