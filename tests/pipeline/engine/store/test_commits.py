"""Commits: one object for units that end together, and no worker of a lost attempt reaches what is committed."""

from pathlib import Path

import pytest

from manifests.errors import DamagedFile
from manifests.files import Files
from manifests.lock import RunLock
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.commits import Commits, hash_of_group
from pipeline.engine.store.store import Store
from pipeline.engine.work.attempt import Outcome, attempt_unit
from pipeline.engine.work.executor import LocalExecutor
from pipeline.engine.work.unit import Unit
from tests.pipeline.engine.toys import ToyStage, listing

NAMES = [f"u{i:03d}" for i in range(60)]


def stage(folder: Path, names: list[str]) -> ToyStage:
    (folder / "marks").mkdir(exist_ok=True)
    return ToyStage(tuple((name, "") for name in names), folder / "marks")


def attempt(folder: Path, unit: str, action: str = "") -> Outcome:
    made = stage(folder, [unit])
    return attempt_unit(made, Unit(unit, action, (unit,)), Store(str(folder / "out")), folder / "scratch", 1)


def ids(store: Store) -> list[str]:
    return store.read_table("listings").column("video_id").to_pylist()


def test_units_that_end_together_are_committed_together(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        result = run_stage(stage(tmp_path, NAMES), store, LocalExecutor(tmp_path / "scratch"), lock)

    assert store.committed("toy") == set(NAMES) and result.n_missing == 0
    assert len(store.names("commits/toy")) < len(NAMES) / 3
    assert ids(Store(store.url)) == NAMES


def test_a_worker_that_was_given_up_overwrites_nothing_and_is_swept(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    store.commit_all("toy", {"a": attempt(tmp_path, "a").facts})
    (part,) = store.parts("listings")
    before = store.read(part.path)

    late = attempt(tmp_path, "a").facts
    store.write_part("listings", "toy", "a", [listing("late")], token="late")

    assert store.read(part.path) == before and late["parts"]["listings"] != part.path
    assert ids(Store(store.url)) == ["a"]
    assert store.sweep_parts() == 2 and store.names("listings") == [part.path.rpartition("/")[2]]


def test_the_later_of_two_groups_is_right_where_a_kill_left_both(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    store.commit_all("toy", {"a": {"try": 1}, "b": {"try": 1}})
    (first,) = store.names("commits/toy")
    before = store.read(f"commits/toy/{first}")
    store.commit("toy", "a", {"try": 2})
    store.write(f"commits/toy/{first}", before)  # as if the driver had died before it deleted this one

    again = Store(store.url)
    assert again.commit_facts("toy", "a") == {"try": 2}
    again.uncommit("toy", "a")
    assert Store(store.url).committed("toy") == {"b"}


@pytest.fixture
def commits(tmp_path: Path) -> Commits:
    return Commits(Files(str(tmp_path)))


def test_a_listing_whose_groups_are_replaced_meanwhile_is_made_again(
    commits: Commits, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits.write("toy", {"a": {}})
    read_file = Files.read
    for n_gone, found in ((3, {"a"}), (4, None)):
        fresh, left = Commits(commits.files), [n_gone]

        def read(files: Files, path: str, left: list[int] = left) -> bytes:
            left[0] -= 1
            if left[0] >= 0:
                raise FileNotFoundError(path)
            return read_file(files, path)

        monkeypatch.setattr(Files, "read", read)
        if found is None:
            with pytest.raises(FileNotFoundError):
                fresh.of("toy")
        else:
            assert fresh.of("toy").keys() == found
        monkeypatch.setattr(Files, "read", read_file)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"units": [1]}', '{"units": {"u": 1}}', "{}", "["])
def test_a_strangers_group_that_holds_no_commits_is_named_with_its_cure(tmp_path: Path, text: str) -> None:
    store = Store(str(tmp_path))
    path = f"commits/toy/group.0000000001.{hash_of_group(text.encode())}.json"
    store.write(path, text.encode())

    with pytest.raises(DamagedFile, match=rf"{path}: holds no commits of units; restore it, or delete it"):
        store.committed("toy")
