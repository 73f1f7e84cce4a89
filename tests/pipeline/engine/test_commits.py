"""Commits: one object for units that end together, and no worker of a lost attempt reaches what is committed."""

from pathlib import Path

import pytest

from pipeline.engine.attempt import Outcome, attempt_unit
from pipeline.engine.commits import number_of
from pipeline.engine.driver import run_stage
from pipeline.engine.executor import LocalExecutor
from pipeline.engine.files import Files
from pipeline.engine.lock import RunLock
from pipeline.engine.store import Store
from pipeline.engine.unit import Unit
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


def test_one_unit_is_taken_back_out_of_a_group(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    store.commit_all("toy", {name: attempt(tmp_path, name).facts for name in "abc"})

    store.uncommit("toy", "b")

    assert Store(store.url).committed("toy") == {"a", "c"}
    assert ids(Store(store.url)) == ["a", "c"]
    store.commit_all("toy", {"b": attempt(tmp_path, "b").facts})
    assert ids(Store(store.url)) == ["a", "b", "c"]


def test_groups_are_numbered_in_the_order_in_which_they_are_written_also_by_who_comes_later(tmp_path: Path) -> None:
    def numbers(store: Store) -> list[int]:
        return sorted(number_of(name) for name in store.names("commits/toy"))

    store = Store(str(tmp_path / "out"))
    for unit in "abc":
        store.commit_all("toy", {unit: {}})
    assert numbers(store) == [1, 2, 3]

    later = Store(store.url)
    later.uncommit("toy", "c")
    later.commit_all("toy", {"d": {}})
    again = Store(store.url)
    again.commit_all("toy", {"e": {}})

    assert numbers(again) == [1, 2, 4, 5], "no number is given twice by who knew it"


def test_a_number_costs_no_look_at_the_groups_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(str(tmp_path / "out"))
    store.commit_all("toy", {"a": {}})
    looked: list[str] = []
    names = Files.names
    monkeypatch.setattr(Files, "names", lambda files, folder: [looked.append(folder), names(files, folder)][1])

    store.commit_all("toy", {"b": {}})

    assert looked == [] and store.committed("toy") == {"a", "b"}


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


@pytest.mark.parametrize("facts", [{}, {"shard": "other"}])
def test_commits_of_earlier_versions_count_and_can_be_taken_back(tmp_path: Path, facts: dict[str, str]) -> None:
    store = Store(str(tmp_path / "out"))
    store.write_part("listings", "toy", "a", [listing("a")])
    store.write_json("commits/toy/a.json", {"rows": {"listings": 1}})
    store.commit_all("toy", {"b": attempt(tmp_path, "b").facts})

    assert ids(store) == ["a", "b"]
    store.commit("toy", "a", facts)
    assert store.commit_facts("toy", "a") == facts and ids(store) == ["a", "b"]
    store.uncommit("toy", "a")
    assert ids(store) == ["b"]
