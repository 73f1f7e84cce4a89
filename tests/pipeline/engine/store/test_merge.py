"""Merging: fewer files that say the same, whoever reads, kills or retries meanwhile."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.engine.store.delete_merged import sweep_orphans, sweep_segments
from pipeline.engine.store.merge import MergeSizes, install, plan_merge
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import SIZES, UNITS, fill, merge_all, said, same


class Killed(BaseException):
    """The process is gone."""


class Mortal(Store):
    """A store whose owner dies right before its n-th change of a file: as well as right after the one before it."""

    def lives(self, n_changes: int) -> Mortal:
        object.__setattr__(self, "_left", n_changes)
        object.__setattr__(self, "_depth", 0)
        return self

    def _count(self, change: Callable[[], Any]) -> Any:
        if self._depth:
            return change()
        object.__setattr__(self, "_left", self._left - 1)
        if self._left == 0:
            raise Killed
        object.__setattr__(self, "_depth", 1)
        try:
            return change()
        finally:
            object.__setattr__(self, "_depth", 0)

    def write(self, relative: str, data: bytes) -> None:
        self._count(lambda: super(Mortal, self).write(relative, data))

    def put(self, local: Path, relative: str) -> None:
        self._count(lambda: super(Mortal, self).put(local, relative))

    def create(self, relative: str, data: bytes) -> bool:
        return bool(self._count(lambda: super(Mortal, self).create(relative, data)))

    def replace(self, relative: str, data: bytes, *, seen: bytes) -> bool:
        return bool(self._count(lambda: super(Mortal, self).replace(relative, data, seen=seen)))

    def delete(self, relative: str) -> None:
        self._count(lambda: super(Mortal, self).delete(relative))


def files_of(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("store", ["disk", "bucket"], indirect=True)
def test_merged_tables_say_what_the_parts_said_in_fewer_files(store: Store) -> None:
    fill(store, UNITS)
    store.commit("making", "u99", {"version": 0, "rows": {}})  # a single commit, without parts
    before = said(store)
    n_before = len(store.fs.find(store.root))

    assert merge_all(store) >= 1

    again = Store(store.url, store.options)
    assert same(said(again), before) and again.committed("making") == {*UNITS, "u99"}
    assert not again.names("videos") and not again.names("commits/making") and not again.names("rejects/making")
    assert len(store.fs.find(store.root)) < n_before / 4
    (segment,) = read_head(again)[0].segments
    assert again.count_rows("clips") == sum(again.read_part(part, []).num_rows for part in again.parts("clips")) == 39
    assert segment.rows == {"videos": 26, "clips": 39, "rejects": 7} and segment.rejects == {"private": 7}


def test_small_segments_become_larger_ones_and_no_unit_is_written_often(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    for begin in range(0, 24, 3):
        fill(store, [f"u{i}" for i in range(begin, begin + 3)])
        merge_all(store)
    before = said(store)

    head, _ = read_head(store)
    assert [segment.level for segment in head.segments] == [3] and not head.retired
    assert before["videos"].num_rows == 48 and len(store.fs.find(store.root)) < 10


@pytest.mark.slow
@pytest.mark.parametrize("every", [2, pytest.param(1, marks=pytest.mark.long)])
def test_a_merge_that_is_killed_at_any_step_leaves_the_same_tables(tmp_path: Path, every: int) -> None:
    base = Store(str(tmp_path / "base"))
    fill(base, UNITS[:4])
    base.uncommit("making", "u1")
    merge_all(base, MergeSizes(3, 2, grace_s=3600))
    fill(base, UNITS[5:8])
    before = said(base)
    n_killed = 0
    while True:
        n_killed += every
        folder = tmp_path / f"{n_killed}"
        shutil.copytree(base.root, folder)
        try:
            merge_all(Mortal(str(folder)).lives(n_killed))
        except Killed:
            assert same(said(Store(str(folder))), before), f"step {n_killed}"
        else:
            break
        again = Store(str(folder))
        again.sweep(), again.sweep_parts(), sweep_orphans(again)
        merge_all(again)
        assert same(said(Store(str(folder))), before), f"step {n_killed}, then to the end"
        assert not [name for name in files_of(folder) if name.startswith(("commits/", "videos/", "clips/"))]
        named = {segment.id for segment in read_head(again)[0].segments}
        assert {name.split("/")[2] for name in files_of(folder) if name.count("/") == 3} == named
    assert n_killed > 10


def test_readers_beside_merges_see_all_rows_at_any_time(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS)
    over, errors, n_reads = threading.Event(), [], [0]

    def read() -> None:
        while not over.is_set():
            reader = Store(store.url)
            rows = reader.read_table("clips"), reader.read_rejects(), reader.committed("making")
            counts = rows[0].num_rows // 3, len(rows[2])
            n_reads[0] += 1
            if len(set(rows[0].column("clip_id").to_pylist())) != rows[0].num_rows or not 13 <= counts[0] <= counts[1]:
                errors.append(counts)

    thread = threading.Thread(target=read)
    thread.start()
    try:
        for begin in range(20, 50, 3):
            fill(store, [f"u{i}" for i in range(begin, begin + 3)])
            merge_all(store)
    finally:
        over.set()
        thread.join()
    assert not errors and n_reads[0] > 3
    assert store.read_table("clips").num_rows == 3 * 43


def test_a_merge_beside_a_run_knows_what_happened_meanwhile(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS)
    job = plan_merge(store, SIZES)
    assert job
    segment = write_segment(Store(store.url), job)
    store.uncommit("making", "u5", "u6")
    fill(store, ["u6"], version=1)
    before = said(store)

    assert install(store, job, segment)
    sweep_segments(store, 0)

    assert same(said(Store(store.url)), before) and before["facts"]["u6"][0] == 1


@pytest.mark.slow
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(5, 25))
def test_any_order_of_commits_retries_merges_and_kills_keeps_the_books(
    tmp_path_factory: pytest.TempPathFactory, seed: int, n_steps: int
) -> None:
    folder, chance = tmp_path_factory.mktemp("any"), random.Random(seed)
    wanted: dict[str, int] = {}
    store, version = Store(str(folder)), 0
    for _ in range(n_steps):
        match chance.choice(["commit", "commit", "uncommit", "merge", "kill", "purge-like"]):
            case "commit":
                version += 1
                units = sorted(set(chance.choices(UNITS, k=4)) - wanted.keys())
                fill(store, units, a_group=3, version=version)
                wanted |= dict.fromkeys(units, version)
            case "uncommit":
                units = chance.sample(sorted(wanted), min(2, len(wanted)))
                store.uncommit("making", *units)
                wanted = {unit: v for unit, v in wanted.items() if unit not in units}
            case "merge":
                merge_all(store, MergeSizes(2, 2, grace_s=chance.choice([0, 3600])))
            case "kill":
                mortal = Mortal(str(folder)).lives(chance.randrange(1, 12))
                try:
                    merge_all(mortal, MergeSizes(2, 2, grace_s=0))
                except Killed:
                    store = Store(str(folder))
                    store.sweep(), store.sweep_parts(), sweep_orphans(store)
            case _:
                store = Store(str(folder))
        found = {unit: its["version"] for unit, its in store.all_commit_facts("making")}
        assert found == wanted and store.committed("making") == wanted.keys()
        ids = store.read_table("videos", ["video_id", "title"]).to_pylist()
        titles = [(f"{u}-{i}", f"{u} {i} version {v}") for u, v in wanted.items() for i in range(2)]
        assert sorted((row["video_id"], row["title"]) for row in ids) == sorted(titles)
        assert store.read_rejects().num_rows == sum(int(unit[1:]) % 2 == 0 for unit in wanted)
    assert isinstance(store.read_table("clips"), pa.Table)
