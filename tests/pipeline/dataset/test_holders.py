"""What is here of videos that are to be removed: no row is missed, and few shards are read for it."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest import mock

import pytest

from hdvila_testing.shards import NO_CARD, commit_video, make_shards, select
from manifests.errors import DamagedFile
from manifests.origin import origin_of
from manifests.shards import read_manifest
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset import holders
from pipeline.dataset.holders import channels_among, find_holders
from pipeline.engine.store.store import Store
from pipeline.outdir.remade import forget_alike
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.closed import ClosedShards

CONFIG = ShardsConfig(split=SplitConfig(val=0), card=NO_CARD)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A set of three generations, each with two videos of a channel."""
    store = Store(str(tmp_path_factory.mktemp("set")))
    for generation in range(3):
        for number in range(2):
            name = f"video-{generation}-{number}"
            commit_video(store, name, n_clips=2, channel_id=f"channel-{generation}")
        select(store)
        make_shards(store, CONFIG)
    forget_alike(store)
    return Path(store.root)


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Store:
    return Store(str(shutil.copytree(made, tmp_path / "copy")))


def looked(store: Store, **ids: str) -> tuple[holders.Holders, list[str]]:
    """What is found of one id, and the shards whose rows were read for it."""
    given_ids = Tombstones(**{kind: frozenset({name}) for kind, name in ids.items()})
    with mock.patch.object(holders, "read_rows", side_effect=holders.read_rows) as reads:
        return find_holders(store, given_ids, given_ids), [call.args[1] for call in reads.call_args_list]


def test_only_shards_of_generations_that_hold_it_are_read(store: Store) -> None:
    urls = [shard.url for shard in read_manifest(store.url).shards]
    assert looked(store, channels="channel-1")[1] == urls, "nothing is written down yet"
    list(ClosedShards().new(store))

    found, read = looked(store, channels="channel-1")

    assert read == [urls[1]] and found.shards == {urls[1]}
    assert found.videos == found.gone == {"video-1-0", "video-1-1"} and found.unknown == ()
    assert sorted(found.keys) == [f"video-1-{i}_0000{n}" for i in range(2) for n in range(2)]
    assert looked(store, videos="video-2-0")[1] == [urls[2]]
    assert looked(store, videos="nobody")[0].unknown == ("nobody",)
    assert looked(store, channels="nobody")[1] == []


def test_of_a_set_without_tables_every_shard_is_read_and_an_address_is_found(store: Store) -> None:
    (url,) = {row["url"] for row in store.read_table("videos").to_pylist() if row["video_id"] == "video-1-0"}
    list(ClosedShards().new(store))
    url = origin_of(url)
    assert len(looked(store, urls=url)[1]) == 1
    for folder in ("commits", "videos", "segments"):
        shutil.rmtree(Path(store.root) / folder, ignore_errors=True)

    found, read = looked(Store(store.url), urls=url)

    assert len(read) == 3 and found.videos == {"video-1-0"} and found.named == {url}


def test_a_shard_that_an_interrupted_removal_has_rewritten_is_found_by_its_size(store: Store) -> None:
    shard = read_manifest(store.url).shards[0]
    list(ClosedShards().new(store))
    with (Path(store.root) / shard.url).open("ab") as file:
        file.write(bytes(512))

    assert looked(store, channels="nobody")[0].shards == {shard.url}
    store.delete(shard.url)
    with pytest.raises(DamagedFile, match=f"{shard.url}: no such file; restore it"):
        looked(store, channels="nobody")


def test_words_that_are_channels_here_are_told(store: Store) -> None:
    assert channels_among(store, {"channel-0", "video-0-0", "other"}) == {"channel-0"}
    with mock.patch.object(holders, "find_holders", side_effect=AssertionError("nothing has to be read")):
        assert channels_among(store, set()) == set()
