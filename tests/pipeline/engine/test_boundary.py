"""What one item costs: itself, unless its disk or this program is to blame."""

from pathlib import Path

import pytest

from pipeline.engine.driver import RunStopped, run_stage
from pipeline.engine.executor import LocalExecutor
from pipeline.engine.lock import RunLock
from pipeline.engine.store import Store
from tests.pipeline.engine.toys import Itemwise


def itemwise(tmp_path: Path, *actions: tuple[str, str]) -> Store:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        run_stage(Itemwise(actions), store, LocalExecutor(tmp_path / "scratch"), lock)
    return store


def test_an_item_costs_itself_alone_whatever_it_does(tmp_path: Path) -> None:
    store = itemwise(tmp_path, ("a", ""), ("b", "bug"), ("c", "reject"), ("d", "surrogate"), ("e", ""))

    assert store.read_table("listings").column("video_id").to_pylist() == ["a", "e"]
    rejects = {row["video_id"]: row["reason"] for row in store.read_rejects().to_pylist()}
    assert rejects == {"b": "internal_error", "c": "private", "d": "internal_error"}


def test_an_input_that_its_disk_does_not_give_is_tried_later(tmp_path: Path) -> None:
    store = itemwise(tmp_path, ("a", "read /proc/self/mem"), ("b", ""), ("c", "read /nowhere"))

    rejects = {row["video_id"]: (row["reason"], row["class"]) for row in store.read_rejects().to_pylist()}
    assert rejects == dict.fromkeys("ac", ("unreadable_input", "later"))


def test_three_inputs_in_a_row_are_the_disks_fault(tmp_path: Path) -> None:
    sick, fine = "read /proc/self/mem", f"read {__file__}"
    itemwise(tmp_path / "mixed", ("a", sick), ("b", sick), ("c", fine), ("d", sick), ("e", sick))

    with pytest.raises(RunStopped, match="3 input files in a row"):
        itemwise(tmp_path / "all", ("a", sick), ("b", sick), ("c", sick), ("d", fine))

    assert Store(str(tmp_path / "all" / "out")).committed("itemwise") == set()
