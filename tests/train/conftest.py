"""Drawn data sets, made once a session."""

from __future__ import annotations

import pytest

from hdvila_testing.drawn_set import Shape, write_dataset

SMALL = Shape(width=160, height=96, n_frames=20, first_frame=1, n_stills=3)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """The manifest of 13 train and 5 val clips, small and quick to read. Not to be written to."""
    root = tmp_path_factory.mktemp("drawn")
    return write_dataset(root, videos=13, val_videos=5, shard_size=4, shape=SMALL)
