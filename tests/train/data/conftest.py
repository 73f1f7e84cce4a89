"""The small set of clips that loaders are tried on, drawn once a test file."""

import shutil

import pytest
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from hdvila_testing.drawn_set import write_dataset
from manifests.shards import read_manifest
from tests.train.data.loaders import SMALL, TINY, a_loader
from train.data.index import load_index


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    return load_index(read_manifest(str(write_dataset(root, videos=11, shard_size=4, shape=SMALL))), "train")


@pytest.fixture(scope="module")
def steps(index):
    return list(a_loader(index).steps(0, 6))


@pytest.fixture(scope="module")
def drawn_once(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    write_dataset(root, videos=5, clips=2, val_videos=1, shard_size=4, shape=TINY)
    return root


@pytest.fixture
def manifest(drawn_once, tmp_path):
    """Of a copy of its own of three shards, which a test may harm."""
    shutil.copytree(drawn_once, tmp_path, dirs_exist_ok=True)
    return read_manifest(str(tmp_path))


@pytest.fixture
def deaths_seen_at_once(monkeypatch):
    """torch looks every five seconds whether a worker that says nothing still lives; now five times a second."""
    monkeypatch.setattr(_MultiProcessingDataLoaderIter._try_get_data, "__defaults__", (0.2,))
