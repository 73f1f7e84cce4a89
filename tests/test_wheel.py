"""What a wheel holds: whoever installs it from an index gets what a checkout has, under the right licences."""

import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message

import pytest

from tests.conftest import REPO

PACKAGES = ("manifests", "pipeline", "train", "miniyoutube", "hdvila_testing")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout, made in a copy: a build leaves folders behind."""
    copy = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(REPO / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO / name, copy)
    built = copy / "dist"
    command = [sys.executable, "-c", BUILD, str(built)]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return zipfile.ZipFile(next(built.glob("*.whl")))


def test_a_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    ours = [file for package in PACKAGES for file in (REPO / package).rglob("*") if file.is_file()]
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == {str(file.relative_to(REPO)) for file in ours if "__pycache__" not in file.parts}
    assert {"manifests/py.typed", "pipeline/py.typed", "train/py.typed"} <= packed


def metadata_of(wheel: zipfile.ZipFile) -> Message:
    return message_from_bytes(wheel.read(next(name for name in wheel.namelist() if name.endswith("/METADATA"))))


def test_a_wheel_carries_the_licences_of_the_code_and_of_the_model(wheel: zipfile.ZipFile) -> None:
    metadata = metadata_of(wheel)
    folder = next(name for name in wheel.namelist() if name.endswith("/METADATA")).rpartition("/")[0]
    texts = "".join(wheel.read(f"{folder}/licenses/{name}").decode() for name in metadata.get_all("License-File") or [])

    assert metadata["License-Expression"] == "Apache-2.0 AND CC-BY-SA-4.0 AND MIT"
    assert "Apache License" in texts and "CC BY-SA 4.0" in texts and "Permission is hereby granted" in texts


def test_a_wheel_invents_no_author_and_no_address(wheel: zipfile.ZipFile) -> None:
    metadata = metadata_of(wheel)

    named = [*(metadata.get_all("Author") or []), *(metadata.get_all("Project-URL") or [])]
    assert not any("example." in name for name in named)
