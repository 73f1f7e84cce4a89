"""What the tests of cutting share: films, each drawn once by a process."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")
