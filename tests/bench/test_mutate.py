"""What the mutation bench draws, and when a change counts as noticed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.nearest_tests import nearest_tests

REPO = Path(__file__).resolve().parents[2]
Ran = tuple[int, str]
ONE_PLUGIN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_timeout"}
"""For a pytest that starts at once: the only plugin that the bench needs."""


def test_a_modules_own_tests_come_first() -> None:
    first, *others = nearest_tests("manifests/lock.py")

    assert first == ["tests/manifests/test_lock.py"]
    assert nearest_tests("pipeline/media/checks/__init__.py")[0][0] == "tests/pipeline/media/test_checks.py"
    captions, *_ = nearest_tests("pipeline/text/captions/vtt.py")
    assert "tests/pipeline/text/captions/test_pitfalls.py" in captions, "a whole folder where that is what tests it"
    assert "tests/train/objectives/test_base.py" in nearest_tests("train/objectives/mvm.py")[1], "of all in a registry"
    assert all("e2e" not in name for group in others for name in group)


@pytest.fixture
def after(tmp_path: Path) -> Callable[[str], Ran]:
    """Runs the nearest tests of a small repository after a change of its module: (exit code, the last line)."""
    for name in ("bench/nearest_tests.py", "tests/test_structure.py", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).with_name("__init__.py").touch()
        shutil.copyfile(REPO / name, tmp_path / name)
    module, tests = tmp_path / "manifests" / "double.py", tmp_path / "tests" / "manifests" / "test_double.py"
    for file in (module, tests):
        file.parent.mkdir()
        file.with_name("__init__.py").touch()
    module.write_text("LIMIT = 10\n\n\ndef double(n):\n    return n * 2\n")
    tests.write_text(
        "from manifests.double import double\n\n\n"
        "def test_three():\n    assert double(3) == 6\n\n\n"
        "def test_that_fails_as_it_is():\n    assert double(1) == 0\n"
    )
    git = ["git", "-c", "user.name=x", "-c", "user.email=x"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "as it is"]):
        subprocess.run([*git, *command], cwd=tmp_path, check=True)

    def run(old: str, new: str) -> Ran:
        module.write_text(module.read_text().replace(old, new))
        done = subprocess.run(
            [sys.executable, "-m", "bench.nearest_tests"], cwd=tmp_path, capture_output=True, text=True, check=False,
            env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", **ONE_PLUGIN},
        )  # fmt: skip
        assert new in module.read_text(), done.stderr
        return done.returncode, done.stdout.strip()

    return run


def test_a_change_is_noticed_by_a_test_that_passes_without_it(after: Callable[..., Ran]) -> None:
    assert after("n * 2", "n * 3") == (1, "by tests/manifests/test_double.py::test_three")


def test_a_change_that_only_fails_what_failed_before_is_not_noticed(after: Callable[..., Ran]) -> None:
    assert after("LIMIT = 10", "LIMIT = 20") == (0, "no test noticed")
