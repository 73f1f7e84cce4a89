"""Drawn files: drawn once, and what is said where they cannot be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.errors import UserError
from miniyoutube.media_cache import MediaCache, Rendition
from miniyoutube.script import Script

SOUND = Rendition(Script(6, 1, 2_000), "audio")


def test_the_cache_draws_once(tmp_path: Path) -> None:
    cache = MediaCache(tmp_path)
    assert not cache.is_drawn(SOUND)
    assert cache.draw_all([SOUND, SOUND]) == 1
    assert cache.draw_all([SOUND]) == 0
    assert MediaCache(tmp_path).is_drawn(SOUND)
    assert [path.suffix for path in tmp_path.iterdir()] == [".m4a"]


def test_a_cache_that_cannot_be_written_is_said_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="HDVILA_DEMO_CACHE"):
        MediaCache(tmp_path / "file" / "cache").path(SOUND)
