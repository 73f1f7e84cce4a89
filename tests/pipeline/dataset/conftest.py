"""A small data set of one shard, and copies of it to damage."""

import shutil
from pathlib import Path

import pytest

from hdvila_testing.shards import NO_CARD, a_data_set
from pipeline.config.shards import ShardsConfig, SplitConfig


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(folder, n_videos=3, n_clips=2, config=ShardsConfig(split=SplitConfig(val=0), card=NO_CARD))
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))
