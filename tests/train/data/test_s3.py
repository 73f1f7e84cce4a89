"""A data set in a bucket: a real S3 server (moto's) on loopback, read by ranged GETs."""

from __future__ import annotations

import logging

import pytest

from hdvila_testing.drawn_set import Shape, a_tree, write_dataset
from manifests.settings import parse_config
from manifests.shards import read_manifest
from train.config import TrainConfig
from train.data.index import load_index
from train.data.read import Reader, ShardUnreadable
from train.distributed import process_from_environment
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics

pytest.importorskip("s3fs")
server = pytest.importorskip("moto.server")

SMALL = Shape(width=160, height=96, n_frames=20, first_frame=1, n_stills=3)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """(local folder, url of the same data set in a bucket, storage options)."""
    import s3fs

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    options = {"endpoint_url": f"http://{host}:{port}", "key": "test", "secret": "test"}
    local = tmp_path_factory.mktemp("local")
    write_dataset(local, videos=8, shard_size=4, shape=SMALL)
    store = s3fs.S3FileSystem(**options)
    store.mkdir("shards-of-tests")
    store.put(str(local) + "/", "shards-of-tests/set/", recursive=True)
    yield local, "s3://shards-of-tests/set/manifest.json", options
    running.stop()


def test_members_of_a_bucket_are_those_of_the_disk(bucket):
    local, url, options = bucket
    there = load_index(read_manifest(url, **options), "train", storage_options=options)
    here = load_index(read_manifest(str(local)), "train")

    reader = Reader(there, options)
    for sample in range(8):
        assert reader.read(sample, ["txt", "mjpg"]) == Reader(here).read(sample, ["txt", "mjpg"])


def test_a_shard_that_is_not_in_the_bucket_is_unreadable(bucket):
    import s3fs

    _, url, options = bucket
    index = load_index(read_manifest(url, **options), "train", storage_options=options)
    s3fs.S3FileSystem(**options).mv("shards-of-tests/set/shards/train/00001.tar", "shards-of-tests/away.tar")
    try:
        with pytest.raises(ShardUnreadable, match=r"00001\.tar"):
            Reader(index, options).read(7, ["txt"])
    finally:
        s3fs.S3FileSystem(**options).mv("shards-of-tests/away.tar", "shards-of-tests/set/shards/train/00001.tar")


@pytest.mark.parametrize(("order", "workers"), [("planned", 2), ("streaming", 0)])
def test_a_run_reads_a_bucket_and_gets_the_losses_of_the_disk(bucket, tmp_path, order, workers):
    local, url, options = bucket

    def losses(manifest, name, **data):
        tree = a_tree(manifest, tmp_path / name, data=data, loop={"steps": 3})
        tree["data"] |= {"manifest": str(manifest), "order": order}
        fit(parse_config(TrainConfig, tree, source="test"), process_from_environment("cpu"), StopRequest())
        return [r["loss"] for r in read_metrics(tmp_path / name) if r["kind"] == "step"]

    assert losses(url, "s3", storage_options=options, workers=workers) == losses(local, "disk")
