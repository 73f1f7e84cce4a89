"""Stores that tests of tables run on: a folder, and a bucket of a real server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from hdvila_testing.s3 import S3, s3_server
from pipeline.engine.store.store import Store


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """In a folder; in a bucket where a test asks for it, `parametrize("store", ["bucket"], indirect=True)`."""
    if getattr(request, "param", "disk") == "disk":
        return Store(str(tmp_path / "out"))
    return request.getfixturevalue("s3").store(f"segments-{tmp_path.name}")
