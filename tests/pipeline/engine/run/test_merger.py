"""Merging beside a run: one merge at a time, nobody waits, and at the end all that is due."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.engine.run import merger as merger_module
from pipeline.engine.run.lock import RunLock
from pipeline.engine.run.merger import GROUPS_UNTOLD, Merger, merging
from pipeline.engine.store.lookup import read_loose
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import SIZES, UNITS, fill


def test_a_merger_merges_while_it_is_ticked_and_at_the_end(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    with RunLock(store) as lock:
        with merging(store, lock, SIZES) as merger:
            fill(store, UNITS)
            merger.tick()
        assert isinstance(merger, Merger) and not store.names("commits/extract")
    assert store.read_table("clips").num_rows == 39


class Beside:
    """A merge that is written, or not yet."""

    def __init__(self) -> None:
        self.submitted, self.is_done, self.fails = [], False, False  # type: ignore[var-annotated]

    def submit(self, *given: Any) -> Any:
        self.submitted.append(given[0].__name__)
        return self

    def done(self) -> bool:
        return self.is_done

    def result(self) -> Any:
        if self.fails:
            raise OSError("disk full")
        return "made"

    def shutdown(self, *, wait: bool, cancel_futures: bool) -> None:
        self.submitted.append(("shutdown", wait, cancel_futures))


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> tuple[Beside, list[float], list[bool]]:
    """What merges, the time, and whether one is due at each look (the last one again)."""
    pool, now, is_due = Beside(), [1000.0], [True]

    def plan(*_: Any) -> str | None:
        return "job" if (is_due.pop(0) if is_due[1:] else is_due[0]) else None

    monkeypatch.setattr(merger_module, "plan_merge", plan)
    monkeypatch.setattr(merger_module, "plan_ids", lambda head: None)
    monkeypatch.setattr(merger_module, "sweep_segments", lambda *_: None)
    monkeypatch.setattr(merger_module, "_segment_installed", lambda *_: "merged")
    monkeypatch.setattr(merger_module, "clock", SimpleNamespace(now=lambda: now[0]))
    return pool, now, is_due


def a_merger(tmp_path: Path, pool: Beside, **sizes: int) -> Any:
    checks: list[int] = []
    lock = SimpleNamespace(check=lambda: checks.append(1), checks=checks)
    return Merger(Store(str(tmp_path)), lock, MergeSizes(**sizes), pool)  # type: ignore[arg-type]


def test_a_merge_goes_on_beside_the_run_and_the_next_is_looked_for_at_once_or_after_ten_seconds(
    tmp_path: Path, beside: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pool, now, is_due = beside
    made = a_merger(tmp_path, pool)
    made.tick()
    made.tick()
    assert pool.submitted == ["write_segment"], "one at a time, and nobody waits"
    pool.is_done = True
    with caplog.at_level("INFO", "hdvila"):
        made.tick()
    assert "merged" in caplog.text and pool.submitted == ["write_segment"] * 2, "the next may be due at once"
    assert len(made.lock.checks) == 3, "before it is planned and before it is installed"
    is_due[0] = False
    made.tick()
    looked = len(made.lock.checks)
    now[0] += 9.9
    made.tick()
    assert len(made.lock.checks) == looked
    now[0] += 0.1
    made.tick()
    assert len(made.lock.checks) == looked + 1
    pool.fails, is_due[0] = True, True
    now[0] += 10
    made.tick()
    with caplog.at_level("WARNING", "hdvila"):
        made.tick()
    assert "a merge failed (disk full); it is done again later" in caplog.text
    assert a_merger(tmp_path, Beside(), n_units=0).tick() is None


def test_at_the_end_all_that_is_due_is_merged_and_what_is_being_written_is_waited_for(
    tmp_path: Path, beside: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool, _, is_due = beside
    is_due[:] = [True, True, False]
    made = a_merger(tmp_path, pool)
    made.tick()
    made.settle()
    assert pool.submitted == ["write_segment"] * 2
    idle = Beside()
    a_merger(tmp_path, idle, n_units=0).settle()
    assert idle.submitted == []

    monkeypatch.setattr(merger_module, "ThreadPoolExecutor", lambda *_, **__: pool)
    pool.submitted.clear()
    with merging(made.store, made.lock, MergeSizes()):
        pass
    with pytest.raises(RuntimeError), merging(made.store, made.lock, MergeSizes()):
        is_due[0] = True
        raise RuntimeError
    assert pool.submitted == [("shutdown", True, True)] * 2, "after an error nothing more is begun"


def test_a_merge_that_fails_at_the_end_is_not_begun_again_and_again(tmp_path: Path, beside: Any) -> None:
    pool, _, is_due = beside
    made = a_merger(tmp_path, pool)
    made.tick()
    pool.fails, is_due[:] = True, [True, False]
    with pytest.raises(OSError, match="disk full"):
        made.settle()
    assert pool.submitted == ["write_segment"]


def test_where_the_ids_of_new_units_are_is_told_once_many_groups_were_written(tmp_path: Path, beside: Any) -> None:
    pool, now, is_due = beside
    is_due[:] = [False]
    made = a_merger(tmp_path, pool)

    def told(n_groups: int) -> dict[str, int]:
        for _ in range(n_groups):
            fill(made.store, [f"u{made.store.commits.n_written}"])
        now[0] += 1
        made.tick()
        return read_loose(Store(str(tmp_path)), [1])[0]

    assert told(GROUPS_UNTOLD) == {}
    assert told(1) == {"extract": GROUPS_UNTOLD + 1} == told(GROUPS_UNTOLD)
    assert told(1) == {"extract": 2 * GROUPS_UNTOLD + 2}
    told(1)
    made.settle()
    assert told(0) == {"extract": 2 * GROUPS_UNTOLD + 3}, "at the end of a run all are"


def test_where_nothing_is_ever_merged_no_ids_are_told(tmp_path: Path, beside: Any) -> None:
    made = a_merger(tmp_path, beside[0], n_units=0)
    fill(made.store, [f"u{i}" for i in range(20)], a_group=1)
    made.tick()
    made.settle()
    assert read_loose(made.store, [1])[0] == {}
