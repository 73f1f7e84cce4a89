"""What segments cover is deleted after its grace, and nothing that still counts."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.engine.store.delete_merged import sweep_orphans, sweep_segments
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.segments import IDS, IdsFile, Retired, change_head, read_head
from pipeline.engine.store.store import Store
from pipeline.engine.store.unit_parts import FOLDER
from tests.pipeline.engine.merges import UNITS, fill, merge_all, said, same

HOUR = MergeSizes(n_units=3, fan_in=2, grace_s=3600)


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time."""
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])

    def set_on(seconds: float) -> None:
        now[0] += seconds

    return set_on


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "out"))


def test_commits_go_with_their_merge_and_parts_after_the_grace(store: Store, at: Callable[[float], None]) -> None:
    fill(store, UNITS[:4])
    merge_all(store, HOUR)
    before = said(store)
    at(3599.0)
    assert sweep_segments(store, 3600) == 0 and store.names("commits/making") == []
    assert store.sweep_parts() == 0, "another run spares them too"
    at(1.0)
    assert sweep_segments(store, 3600) == 11, "two tables of four units, the rejects of two, and the list of these"
    assert sweep_segments(store, 3600) == 0
    assert [store.names(folder) for folder in ("commits/making", "videos", "clips", "rejects/making")] == [[]] * 4
    assert same(said(Store(store.url)), before)


def test_units_behind_one_that_cannot_be_merged_go_too_and_it_stays(store: Store, at: Callable[[float], None]) -> None:
    fill(store, UNITS[:8])
    (part,) = [part for part in store.parts("clips") if part.unit == "u1"]
    store.delete(part.path)
    store.commit("making", "u99", {"rows": {}})
    merge_all(Store(store.url), HOUR)
    assert list(store.loose(read_head(store)[0], "making")) == ["u1"]
    at(3600.0)
    sweep_segments(store, 3600)

    assert len(store.names("commits/making")) == 1 and "u1" in store.commits.of("making"), "its group alone"
    assert list(store.loose(read_head(store)[0], "making")) == ["u1"]
    assert {part.unit for part in store.loose_parts(read_head(store)[0], "videos")} == {"u1"}
    assert store.committed("making") == {*UNITS[:8], "u99"}


def test_what_was_retired_goes_after_its_grace_with_its_folder(store: Store, at: Callable[[float], None]) -> None:
    for name, stage in (("old", "making"), ("young", "making"), ("many", IDS), ("gone", "making")):
        if name != "gone":
            store.write(f"{FOLDER}/{stage}/{name}/a.parquet", b"1")
            store.write(f"{FOLDER}/{stage}/{name}/b.parquet", b"2")
    retired = tuple(
        Retired(id=name, stage=stage, at=1_000_000.0 + after)
        for name, stage, after in (("old", "making", 0), ("young", "making", 1), ("many", IDS, 0), ("gone", "x", 0))
    )
    change_head(store, lambda head: head.model_copy(update={"retired": retired}))
    at(3600.0)
    assert sweep_segments(store, 3600) == 4
    assert [it.id for it in read_head(store)[0].retired] == ["young"]
    assert store.folders(f"{FOLDER}/making") == ["young"] and store.folders(f"{FOLDER}/{IDS}") == []
    assert not Path(store.path(f"{FOLDER}/making/old")).exists()


def test_only_what_no_head_names_is_an_orphan(store: Store) -> None:
    fill(store, UNITS)
    merge_all(store)
    for name, stage in (("stray", "making"), ("stray", IDS), ("retired", "making"), ("known", IDS)):
        store.write(f"{FOLDER}/{stage}/{name}/a.parquet", b"1")
    change_head(
        store,
        lambda head: head.model_copy(
            update={
                "ids": (IdsFile(id="known", bytes=1),),
                "retired": (Retired(id="retired", stage="making", at=1e12),),
            }
        ),
    )
    before = store.read_table("clips")
    assert sweep_orphans(store) == 2 and sweep_orphans(store) == 0
    assert store.read_table("clips").equals(before)
    assert store.folders(f"{FOLDER}/{IDS}") == ["known"] and "retired" in store.folders(f"{FOLDER}/making")


def test_a_reader_that_listed_commits_before_a_merge_deleted_them_reads_all_the_same(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store, UNITS[:4])
    before, reader, read, first = said(store), Store(store.url), Store.read, threading.Lock()

    def read_late(files: Store, path: str) -> bytes:
        if (
            path.startswith("commits/making/") and files is reader and first.acquire(blocking=False)
        ):  # of some threads one
            merge_all(store, HOUR)
        return read(files, path)

    monkeypatch.setattr(Store, "read", read_late)
    assert same(said(reader), before) and store.names("commits/making") == []
