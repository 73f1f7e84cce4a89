"""Units that are fetched first: that takes no CPU slot, what waits on a disk is bounded, and there is one commit."""

import json
from pathlib import Path
from typing import Any

from manifests.lock import RunLock
from pipeline.engine.on_ray.waiting import Waiting
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from tests.pipeline.engine.toys import Fetched


def a_stage(tmp_path: Path, n_units: int, **changes: Any) -> Fetched:
    (tmp_path / "marks").mkdir()
    return Fetched(n_units, tmp_path / "marks", **changes)


def marks(stage: Fetched, what: str) -> list[dict[str, Any]]:
    found = [json.loads(file.read_bytes()) for file in stage.marks.glob(f"{what}.*.json")]
    return sorted(found, key=lambda mark: float(mark["began"]))


def most_at_a_time(marks: list[dict[str, Any]]) -> int:
    return max(sum(o["began"] <= one["began"] < o["ended"] for o in marks) for one in marks)


def test_in_this_process_a_unit_is_fetched_and_made_in_one(tmp_path: Path) -> None:
    store, stage = Store(str(tmp_path / "out")), a_stage(tmp_path, 2, fetch_s=0.0)
    with RunLock(store) as lock:
        run_stage(stage, store, LocalExecutor(tmp_path / "scratch"), lock)

    assert store.committed("fetched") == {"u0", "u1"}
    assert [len(marks(stage, what)) for what in ("fetch", "make")] == [2, 2]


def test_the_machine_with_the_least_to_do_for_its_slots_fetches_next() -> None:
    waiting = Waiting(most_bytes=100, most_fetches=4)
    slots = {"a": 1.0, "b": 4.0, "head": 0.0}

    assert waiting.node_for_next(slots) == "a"
    waiting.begin(0, "a")
    assert waiting.node_for_next(slots) == "b"
    for number in (1, 2, 3):
        waiting.begin(number, "b")
    assert waiting.node_for_next(slots) == "", "four fetch already"
    waiting.fetched(0, 60)
    assert waiting.n_fetching == 3
    assert waiting.node_for_next({"a": 1.0}) == "", "another of 60 bytes would be too much there"
    waiting.end(0)
    assert waiting.node_for_next({"a": 1.0}) == "a"


def test_one_that_is_larger_than_all_room_is_fetched_alone() -> None:
    waiting = Waiting(most_bytes=10)
    waiting.begin(0, "a")
    waiting.fetched(0, 50)
    assert waiting.node_for_next({"a": 4.0}) == ""
    waiting.end(0)

    assert waiting.node_for_next({"a": 4.0}) == "a"


def test_the_slots_bound_fetches_where_no_number_is_set() -> None:
    waiting = Waiting(most_bytes=100)
    for number in range(4):
        assert waiting.node_for_next({"a": 2.0}) == "a"
        waiting.begin(number, "a")

    assert waiting.node_for_next({"a": 2.0}) == "", "two fetches for each slot"


def test_what_is_expected_of_those_that_fetch_counts_as_if_it_lay_there() -> None:
    waiting = Waiting(most_bytes=100, most_fetches=9)
    for number, n_bytes in enumerate((20, 40)):
        waiting.begin(number, "a")
        waiting.fetched(number, n_bytes)
    assert (waiting.n_fetching, waiting.n_held) == (0, 2)

    assert waiting.node_for_next({"a": 4.0}) == "a", "30 more, their mean, fit"
    waiting.begin(2, "a")
    assert waiting.node_for_next({"a": 4.0}) == "", "60 and twice 30 do not"
    waiting.end(0)
    waiting.end(2)
    assert (waiting.n_held, waiting.n_fetching) == (1, 0)
    assert waiting.node_for_next({"a": 4.0}) == "a"


def test_after_the_end_of_all_nothing_fetches_or_waits() -> None:
    waiting = Waiting(most_bytes=100, most_fetches=2)
    waiting.begin(0, "a")
    waiting.fetched(0, 90)
    waiting.begin(1, "a")

    waiting.clear()

    assert (waiting.n_fetching, waiting.n_held) == (0, 0)
    assert waiting.node_for_next({"a": 1.0, "b": 4.0}) == "a", "nothing is left to do on either"


def test_what_is_held_and_what_is_fetched_both_keep_a_machine_busy() -> None:
    roomy, waiting = Waiting(most_bytes=1000, most_fetches=9), Waiting(most_bytes=100, most_fetches=9)
    for of_both in (roomy, waiting):
        for number, node in enumerate(("a", "a", "b")):
            of_both.begin(number, node)
        of_both.fetched(0, 60)

    assert roomy.node_for_next({"a": 2.0, "b": 2.0}) == "b", "one against two"
    assert waiting.node_for_next({"a": 2.0}) == "", "60, and as much again that is on its way, leave no room"
