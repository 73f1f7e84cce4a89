"""Merging beside a run: one merge at a time, nobody waits, and at the end all that is due."""

import threading
from dataclasses import replace
from pathlib import Path

from manifests.lock import RunLock
from pipeline.engine.run.merger import Merger, merge_next, merging
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


def test_a_unit_that_loses_a_part_during_the_run_is_left_out_of_its_merge(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, ["u1", "u2", "u3", "u4"])
    with RunLock(store) as lock, merging(store, lock, SIZES) as merger:
        parts = merger._apart.parts("clips")  # its folder was listed
        store.delete(next(part.path for part in parts if part.unit == "u4"))

    assert list(store.loose(read_head(store)[0], "making")) == ["u4"]
    assert read_head(store)[0].segments[0].n_units == 3
