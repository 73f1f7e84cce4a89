"""Fixtures that every test may use; a missing part is a skip, or a failure where HDVILA_REQUIRE names it."""

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.foreign_package import installed
from tests.made_once import made_once

if TYPE_CHECKING:
    from miniyoutube.media_cache import MediaCache

settings.register_profile("hdvila", deadline=None, max_examples=50)  # no test is judged by time
settings.load_profile("hdvila")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # in small models torch's other threads only spin: five times the CPU
os.environ.setdefault("RAY_worker_niceness", "0")  # Ray's 15 starves workers beside other tests, past their limits

os.fsync = lambda file: None  # no test cuts the power, and thousands of small files would wait for the disk

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def caches_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches of tables are the session's; drawn media stay, since they take long to draw."""
    from miniyoutube.media_cache import cache_root  # heavy

    with pytest.MonkeyPatch.context() as changed:
        changed.setenv("HDVILA_DEMO_CACHE", str(cache_root()))
        changed.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that runs in this process sets up logging, after which no other test would see what is logged."""
    log = logging.getLogger("hdvila")
    before = log.handlers, log.level, log.propagate
    yield
    log.handlers, log.level, log.propagate = before


def need(present: bool, what: str, part: str = "programs") -> None:
    """Skips the test where a part is missing; a failure where HDVILA_REQUIRE names it, as in .ci/run.

    Parts are `samples`, `golden`, `kernel` (namespaces, cores) and `programs` (what root installs). HDVILA_REQUIRE is
    a list of them with commas, or `all`. A test that may need programs is marked `programs`.
    """
    if present:
        return
    required = os.environ.get("HDVILA_REQUIRE", "").split(",")
    if part in required or "all" in required:
        pytest.fail(f"{what}: missing, and HDVILA_REQUIRE names {part}")
    pytest.skip(f"{what}: not on this machine")


def samples_folder() -> Path:
    """Where the samples should be."""
    return Path(os.environ.get("HDVILA_SAMPLES", REPO.parent / "shared" / "samples"))


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of real captions and videos (HDVILA_SAMPLES, by default ../shared/samples beside the checkout)."""
    folder = samples_folder()
    need(folder.is_dir(), f"sample files in {folder} (HDVILA_SAMPLES)", "samples")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference outputs (HDVILA_GOLDEN, by default ../shared/golden beside the checkout)."""
    folder = Path(os.environ.get("HDVILA_GOLDEN", REPO.parent / "shared" / "golden"))
    need(folder.is_dir(), f"reference outputs in {folder} (HDVILA_GOLDEN)", "golden")
    return folder


@pytest.fixture(scope="session")
def greenery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip installed the package that docs/extending.md shows."""
    return made_once(tmp_path_factory, "greenery", installed) / "site"


@pytest.fixture(scope="session")
def demo_cache(tmp_path_factory: pytest.TempPathFactory) -> "MediaCache":
    """Drawn files beside this session's temporary folders, so that a second session finds them."""
    from miniyoutube.media_cache import MediaCache

    given = os.environ.get("HDVILA_DEMO_CACHE")
    return MediaCache(Path(given) if given else tmp_path_factory.getbasetemp().parent / "hdvila-demo-cache")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium that can render a page."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    need(found is not None, "chromium")
    return str(found)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A browser is a program of the machine; tests marked gpu run only where there is one: never a missing part."""
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker("programs")
    if any(item.get_closest_marker("gpu") for item in items) and not _has_gpu():
        skip = pytest.mark.skip(reason="no CUDA device")
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(skip)


def _has_gpu() -> bool:
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()
