"""A publish makes index files of new shards alone, and the set is the one that a publish from nothing makes."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from contextlib import suppress
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hdvila_testing.shards import NO_CARD, ShardsConfig, a_data_set, commit_video, make_shards, select
from manifests.lock import LOCK
from manifests.sample_index import entries_in
from manifests.shards import read_manifest, read_published
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards import sample_index
from pipeline.shards.manifest import MANIFEST_NAME
from train.data.index import load_index

BY_VIDEO = ShardsConfig(card=NO_CARD, split={"by": "video", "val": 0, "test": 0})


def grow(store: Store, *names: str) -> None:
    """One more generation, of these videos."""
    for name in names:
        commit_video(store, name, n_clips=2)
    select(store)
    make_shards(store, BY_VIDEO)


@pytest.fixture
def grown(tmp_path: Path) -> Store:
    """A data set of three generations."""
    store = Store(str(tmp_path / "grown"))
    for generation in range(3):
        grow(store, *(f"video-{generation}-{i}" for i in range(2)))
    return store


def published(folder: Path) -> dict[str, bytes | str]:
    """What a publish has written, but for the lineage of manifests."""
    names = ["manifest.parquet", "wids.json", "sizes.json", "dataset_card.md"]
    head = json.loads((folder / MANIFEST_NAME).read_bytes())
    found: dict[str, bytes | str] = {name: (folder / name).read_bytes() for name in names}
    found |= {f"index/{path.name}": path.read_bytes() for path in sorted((folder / "index").iterdir())}
    return found | {MANIFEST_NAME: json.dumps({key: head[key] for key in sorted(head) if key != "parent"})}


def from_nothing(store: Store, tmp_path: Path) -> dict[str, bytes | str]:
    """The same of a copy that was published without anything to go on from."""
    copy = Path(shutil.copytree(store.root, tmp_path / "from nothing"))
    shutil.rmtree(copy / "index")
    (copy / MANIFEST_NAME).unlink()
    make_shards(Store(str(copy)), BY_VIDEO)
    found = published(copy)
    shutil.rmtree(copy)
    return found


def test_each_publish_reads_new_shards_alone_and_ends_as_one_from_nothing(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "set"))
    for generation in range(3):
        with mock.patch.object(sample_index, "read_rows", side_effect=sample_index.read_rows) as reads:
            grow(store, f"video-{generation}")
        new = [shard.url for shard in read_manifest(store.url).shards if shard.generation == generation]
        assert [call.args[1] for call in reads.call_args_list] == new != []
        assert published(Path(store.root)) == from_nothing(store, tmp_path)
    assert len(read_manifest(store.url).head["index"]["train"]) == 3


class Killed(BaseException):
    """Stands for a process that is gone."""


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 20), min_size=1, max_size=3))
def test_killed_at_any_write_it_ends_as_one_from_nothing(tmp_path_factory, kills: list[int]) -> None:
    folder = tmp_path_factory.mktemp("killed")
    store = Store(str(folder / "set"))
    grow(store, "first")
    for number, left in enumerate(kills):
        count = iter(range(left, -2, -1))

        def dies(real, count=count):
            def call(self, *args, **kwargs):
                if next(count, 0) < 0:
                    raise Killed
                return real(self, *args, **kwargs)

            return call

        commit_video(store, f"next-{number}", n_clips=1)
        select(store)
        dying = {name: dies(getattr(Store, name)) for name in ("write", "put", "delete")}
        with mock.patch.multiple(Store, **dying), suppress(Killed):
            make_shards(store, BY_VIDEO)
        store.delete(LOCK)  # this process lives on
    grow(store, "last")

    assert published(folder / "set") == from_nothing(store, folder)
    assert list(verify(store, decode=0)) == []


def test_every_manifest_that_was_published_keeps_its_index(grown: Store) -> None:
    manifest = read_manifest(grown.url)
    n_samples = [len(load_index(manifest, "train"))]
    while manifest.head["parent"]:
        manifest = read_published(grown.url, manifest.head["parent"])
        for url, entry in entries_in(manifest.head).items():
            assert hashlib.sha256(grown.read(url)).hexdigest() == entry["sha256"]
        n_samples.append(len(load_index(manifest, "train")))
    assert n_samples == [12, 8, 4]


def test_a_removal_makes_the_files_of_the_shards_that_it_rewrites(grown: Store, tmp_path: Path) -> None:
    before = read_manifest(grown.url).head["index"]["train"]

    remove(grown, Tombstones(videos=frozenset({"video-1-0"})))

    after = read_manifest(grown.url).head["index"]["train"]
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True]
    assert list(verify(grown, decode=0)) == []
    index = load_index(read_manifest(grown.url), "train")
    assert len(index) == 10 and not any(key.startswith("video-1-0") for key in index.keys.to_pylist())


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_file_that_is_not_there_as_it_was_written_is_made_again_and_named(grown, tmp_path, damage, caplog) -> None:
    wanted = published(Path(grown.root))
    path = Path(grown.root) / read_manifest(grown.url).head["index"]["train"][1]["url"]
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:-8])

    with caplog.at_level(logging.WARNING, logger="hdvila"):
        make_shards(grown, BY_VIDEO)

    assert published(Path(grown.root)) == wanted
    assert f"{path.name}: " in caplog.text and "made again from its shards' rows" in caplog.text


def test_merged_and_resharded_sets_have_one_file_a_split(grown: Store, tmp_path: Path) -> None:
    other = a_data_set(tmp_path / "other", n_videos=3, config=BY_VIDEO, prefix="other")
    merge([grown, other], Store(str(tmp_path / "merged")))
    reshard(grown, Store(str(tmp_path / "resharded")), BY_VIDEO)

    for name in ("merged", "resharded"):
        assert len(read_manifest(str(tmp_path / name)).head["index"]["train"]) == 1
        assert list(verify(Store(str(tmp_path / name)), decode=0)) == []
