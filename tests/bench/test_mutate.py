"""What the mutation bench draws, and when a change counts as noticed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cosmic_ray.ast import get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db

from bench.mutate import draw, drawn_files, rooms
from bench.nearest_tests import nearest_tests

REPO = Path(__file__).resolve().parents[2]
Ran = tuple[int, str]
ONE_PLUGIN = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_timeout"}
"""For a pytest that starts at once: the only plugin that the bench needs."""


def drawn(folder: Path, seed: int, files: list[str]) -> list[tuple[str, str, int]]:
    with use_db(str(folder / f"{len(list(folder.iterdir()))}.sqlite"), WorkDB.Mode.create) as session:
        draw(session, seed, files)
        changes = [change for item in session.pending_work_items for change in item.mutations]
        return sorted((str(change.module_path), change.operator_name, change.occurrence) for change in changes)


def test_a_file_is_changed_as_often_as_it_is_drawn_and_says_something_else(tmp_path: Path) -> None:
    files = [f"{REPO}/manifests/version.py", *[f"{REPO}/pipeline/outdir/tombstones.py"] * 5]

    changes = drawn(tmp_path, 3, files)

    assert sorted(path for path, _, _ in changes) == sorted(files)
    assert len(set(changes)) == len(changes)
    for path, operator, occurrence in changes:
        changed = mutate_code(Path(path).read_text(), get_operator(operator)(), occurrence)
        assert changed and changed != Path(path).read_text(), (path, operator)
        compile(changed, path, "exec")


def test_the_seed_decides_what_is_changed(tmp_path: Path) -> None:
    by_room = {room: rooms()[room] for room in ("pipeline/engine", "train/objectives")}
    files = [f"{REPO}/pipeline/outdir/tombstones.py"] * 4

    assert drawn_files(1, 10, by_room) == drawn_files(1, 10, by_room) != drawn_files(2, 10, by_room)
    assert drawn(tmp_path, 1, files) == drawn(tmp_path, 1, files) != drawn(tmp_path, 2, files)


def test_the_rooms_take_turns() -> None:
    files = drawn_files(1, 4, {room: rooms()[room] for room in ("manifests", "train")})

    assert [Path(file).parts[0] for file in files] == ["manifests", "train", "manifests", "train"]


def test_every_module_of_the_product_is_in_one_room() -> None:
    files = [file for room in rooms().values() for file in room]

    assert len(files) == len(set(files))
    assert {"train/check.py", "train/models/soho/neck.py", "manifests/audit.py", "miniyoutube/script.py"} <= set(files)
    assert all(get_ast_from_path(REPO / file) for file in drawn_files(1, 5, rooms()))


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
