"""What make and .ci do on a machine that is not as ours: run with stand-ins for the programs that they start."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPO


def by_hand(command: list[str], folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """What a command says that nobody's make has started."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | more
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ("exit 1", "needs Python 3.11, 3.12 or 3.13"),
        ('case "$2" in *ensurepip*) exit 1; esac', "apt install python3-venv"),
    ],
    ids=["too old", "as Debian has it"],
)
def test_a_python_that_will_not_do_is_refused_with_one_sentence(python: str, says: str, tmp_path: Path) -> None:
    fake, venv = tmp_path / "python", tmp_path / "venv"
    fake.write_text(f"#!/bin/sh\n{python}\n")
    fake.chmod(0o700)
    command = ["make", "demo", f"PYTHON={fake}", f"VENV={venv}"]
    done = by_hand(command, REPO)

    assert done.returncode == 2 and not venv.exists()
    assert len(done.stdout.splitlines()) == 1 and says in done.stdout


def test_clean_removes_what_make_itself_made_and_no_run_of_the_users(tmp_path: Path) -> None:
    shutil.copy(REPO / "Makefile", tmp_path)
    made = ["out/demo", "out/site", "out/gpu", "out/matrix", ".pytest_cache", ".mypy_cache", ".ruff_cache"]
    users = ["out/crawl", "out/mine", "out/demo-of-mine", "out/train", ".venv", "demo"]
    for folder in (*made, *users):
        (tmp_path / folder / "shards").mkdir(parents=True)

    done = by_hand(["make", "clean"], tmp_path)

    assert done.returncode == 0, done.stderr
    assert [folder for folder in made if (tmp_path / folder).exists()] == []
    assert [folder for folder in users if not (tmp_path / folder / "shards").is_dir()] == []


MAKE = """#!/bin/bash
echo "make $* require=$HDVILA_REQUIRE ffmpeg=$(basename "$(command -v ffmpeg)") sed=$(basename "$(command -v sed)")"
case "$*" in
lint) exit 2 ;;
*test) echo "== 1 failed, 2000 passed, 3 skipped in 500.00s (0:08:20) =="; exit 1 ;;
esac
"""
"""Lint and tests are red; what it is asked, and which programs it would find."""
PYTEST = "#!/bin/sh\necho pytest $*\necho '== 12 passed in 9.00s =='\n"


def test_no_red_part_of_the_check_hides_another_and_its_end_says_which_was_red(tmp_path: Path) -> None:
    shutil.copytree(REPO / ".ci", tmp_path / ".ci")
    programs = {"make": MAKE, "apt-get": "#!/bin/sh\nexit 100\n", "ffmpeg": "#!/bin/sh\n"}
    for name, text in {**{f"bin/{name}": text for name, text in programs.items()}, ".venv/bin/python": PYTEST}.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o700)

    done = by_hand([".ci/run"], tmp_path, PATH=f"{tmp_path}/bin:{os.environ['PATH']}", HDVILA_REQUIRE="")

    asked = re.findall(r"^make (.*)$", done.stdout, re.M)
    without = "ffmpeg= sed=sed"
    assert asked == [
        f"install require= {without}",
        f"lint require= {without}",
        f"docs require= {without}",
        f"--assume-old=lint test require=samples,golden,kernel {without}",
    ]
    assert "pytest -m pytest -m programs and not long and not gpu" in done.stdout
    table = done.stdout.partition("minutes by part:\n")[2].splitlines()
    red = [line.rpartition(" failed (")[2].rstrip(")") if "failed" in line else "" for line in table[:6]]
    assert red == ["", "2", "", "1", "100", ""]
    assert table[6:] == ["== 12 passed in 9.00s ==", "== 1 failed, 2000 passed, 3 skipped in 500.00s (0:08:20) =="]
    assert done.returncode == 1
