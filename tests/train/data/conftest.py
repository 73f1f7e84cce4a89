"""The small set of clips that loaders are tried on, drawn once a test file."""

import pytest

from hdvila_testing.drawn_set import write_dataset
from manifests.shards import read_manifest
from tests.train.data.loaders import SMALL, a_loader
from train.data.index import load_index


@pytest.fixture(scope="module")
def index(tmp_path_factory):
    root = tmp_path_factory.mktemp("drawn")
    return load_index(read_manifest(str(write_dataset(root, videos=11, shard_size=4, shape=SMALL))), "train")


@pytest.fixture(scope="module")
def steps(index):
    return list(a_loader(index).steps(0, 6))
