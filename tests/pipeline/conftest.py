"""Drawn media shared by the mini-YouTube's tests, and the real yt-dlp pointed at it."""

import os
from pathlib import Path

import pytest

from miniyoutube.media_cache import MediaCache


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory: pytest.TempPathFactory) -> MediaCache:
    """Drawn files beside this session's temporary folders, so that a second session finds them."""
    given = os.environ.get("HDVILA_DEMO_CACHE")
    return MediaCache(Path(given) if given else tmp_path_factory.getbasetemp().parent / "hdvila-demo-cache")
