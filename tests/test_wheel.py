"""What a wheel holds: whoever installs it from an index gets what a checkout has, under the right licences."""

import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPO

PACKAGES = ("manifests", "pipeline", "train", "miniyoutube", "hdvila_testing")


def backend(step: str, folder: Path) -> Path:
    """What a step of setuptools makes of the project in a folder."""
    code = f"import sys; from setuptools.build_meta import {step}; {step}(sys.argv[1])"
    command = [sys.executable, "-c", code, "made"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "made"


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without its tests: a build leaves folders behind."""
    copy = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(REPO / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(REPO / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(copy: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(next(backend("build_wheel", copy).glob("*.whl")))


def test_a_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    ours = [file for package in PACKAGES for file in (REPO / package).rglob("*") if file.is_file()]
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}

    assert packed == {str(file.relative_to(REPO)) for file in ours if "__pycache__" not in file.parts}
    assert {"manifests/py.typed", "pipeline/py.typed", "train/py.typed", "train/starts/demo.yaml"} <= packed


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
    assert "example." not in (REPO / "CITATION.cff").read_text()


LINK = re.compile(r"!?\[[^]]+]\(([^)]*)\)")


def test_the_description_on_an_index_leads_nowhere_until_there_is_a_repository_and_then_there(
    wheel: zipfile.ZipFile, copy: Path
) -> None:
    assert len(LINK.findall((REPO / "README.md").read_text())) > 5
    assert LINK.findall(str(metadata_of(wheel).get_payload())) == []

    project = (copy / "pyproject.toml").read_text()
    named = project.replace("[project.urls]", '[project.urls]\nRepository = "https://git.invalid/hdvila"\n#')
    (copy / "pyproject.toml").write_text(named)
    made = next(backend("prepare_metadata_for_build_wheel", copy).rglob("METADATA"))
    (copy / "pyproject.toml").write_text(project)
    links = LINK.findall(made.read_text())
    assert links and all(link.startswith("https://git.invalid/hdvila/") for link in links)
    assert all((REPO / re.split("/HEAD/|#", link)[1]).exists() for link in links)


def test_a_release_has_one_number_and_one_day(wheel: zipfile.ZipFile) -> None:
    number, day = re.findall(r"^## (\S+) \((.*)\)$", (REPO / "CHANGELOG.md").read_text(), re.MULTILINE)[0]
    cited = yaml.safe_load((REPO / "CITATION.cff").read_text())

    assert number == metadata_of(wheel)["Version"] == cited["version"]
    assert day == str(cited["date-released"])
