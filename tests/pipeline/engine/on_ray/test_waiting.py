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
