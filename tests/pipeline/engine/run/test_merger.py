"""Merging beside a run: one merge at a time, nobody waits, and at the end all that is due."""

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from manifests.lock import RunLock
from pipeline.engine.run import merger as merger_module
from pipeline.engine.run.merger import GROUPS_UNTOLD, Merged, Merger, merge_next, merging
from pipeline.engine.store.lookup import read_loose
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import SIZES, UNITS, fill


def test_a_merger_merges_while_it_is_ticked_and_at_the_end(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        with merging(store, lock, SIZES) as merger:
            fill(store, UNITS)
            merger.tick()
        assert isinstance(merger, Merger) and not store.names("commits/making")
    assert store.read_table("clips").num_rows == 39


@dataclass
class Beside:
    """A thread whose work is done when a test says so."""

    is_due: list[bool]
    """Whether a merge is due at each look; the last one again."""
    n_begun: int = 0
    is_done: bool = False
    fails: bool = False
    told: list[Any] = field(default_factory=list)

    def submit(self, work: Any, *given: Any, **more: Any) -> Any:
        self.n_begun += 1
        self.told.append(more)
        return self

    def done(self) -> bool:
        return self.is_done

    def result(self) -> Merged | None:
        if self.fails:
            raise OSError("disk full")
        is_due = self.is_due.pop(0) if self.is_due[1:] else self.is_due[0]
        return Merged("merged", {}) if is_due else None

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        self.told.append(("shutdown", wait, cancel_futures))


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(merger_module, "clock", SimpleNamespace(now=lambda: now[0]))
    return now


def a_merger(tmp_path: Path, beside: Beside, **sizes: int) -> Merger:
    lock = SimpleNamespace(check=lambda: None)
    return Merger(Store(str(tmp_path)), lock, MergeSizes(**sizes), beside)  # type: ignore[arg-type]


def test_units_that_the_loop_commits_while_a_merge_is_under_way_are_kept(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    stop = threading.Event()

    def merge() -> None:
        apart = replace(store)
        while not stop.is_set():
            merge_next(apart, lock, SIZES)

    with RunLock(store) as lock:
        merges = threading.Thread(target=merge)
        merges.start()
        for i in range(60):
            fill(store, [f"u{3 * i + k}" for k in range(3)])
            store.commits.let_go(read_head(store)[0].covered)
        stop.set()
        merges.join()
        while merge_next(store, lock, SIZES):
            pass

    fresh = Store(store.url)
    assert fresh.committed("making") == {f"u{3 * i + k}" for i in range(60) for k in range(3)}
    videos = fresh.read_table("videos").column("video_id").to_pylist()
    assert len(videos) == len(set(videos)) > 0 and len(fresh.names("commits/making")) < 60


def test_where_the_ids_of_new_units_are_is_told_once_many_groups_were_written(tmp_path: Path, now: list[float]) -> None:
    made = a_merger(tmp_path, Beside([False]))

    def told(n_groups: int) -> dict[str, int]:
        for _ in range(n_groups):
            fill(made.store, [f"u{made.store.commits.n_written}"])
        now[0] += 1
        made.tick()
        return read_loose(Store(str(tmp_path)), [1])[0]

    assert told(GROUPS_UNTOLD) == {}
    assert told(1) == {"making": GROUPS_UNTOLD + 1} == told(GROUPS_UNTOLD)
    assert told(1) == {"making": 2 * GROUPS_UNTOLD + 2}
    told(1)
    made.settle()
    assert told(0) == {"making": 2 * GROUPS_UNTOLD + 3}, "at the end of a run all are"


def test_where_nothing_is_ever_merged_no_ids_are_told(tmp_path: Path, now: list[float]) -> None:
    made = a_merger(tmp_path, Beside([False]), n_units=0)
    fill(made.store, [f"u{i}" for i in range(20)], a_group=1)
    made.tick()
    made.settle()
    assert read_loose(made.store, [1])[0] == {}


def test_a_unit_that_loses_a_part_during_the_run_is_left_out_of_its_merge(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, ["u1", "u2", "u3", "u4"])
    with RunLock(store) as lock, merging(store, lock, SIZES) as merger:
        parts = merger._apart.parts("clips")  # its folder was listed
        store.delete(next(part.path for part in parts if part.unit == "u4"))

    assert list(store.loose(read_head(store)[0], "making")) == ["u4"]
    assert read_head(store)[0].segments[0].n_units == 3
