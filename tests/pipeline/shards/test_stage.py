"""Shards: joined byte for byte, growing by generations, the same after any kill.

From a row of packs to a row of a shard: where its bytes lie, or why there are none.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hdvila_testing.rows import commit_rows
from hdvila_testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select
from manifests.errors import UserError
from manifests.lock import RunLock
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.engine.run.driver import run_stage
from pipeline.engine.store.store import Store
from pipeline.engine.work.executor import LocalExecutor
from pipeline.outdir.tombstones import Tombstones, write_tombstones
from pipeline.shards.clips import PlanClip, PlanVideo
from pipeline.shards.closed import committed_shards, read_entries
from pipeline.shards.files import FAILED, SUCCESS, read_rows
from pipeline.shards.manifest import remove_packs
from pipeline.shards.stage import ShardsStage, pieces_of_video


def _shards(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("shards/*/0*"))}


def test_the_same_data_in_another_place_gives_the_same_files(tmp_path: Path):
    for name in ("a", "b"):
        a_data_set(tmp_path / name, n_videos=5)
    assert _shards(tmp_path / "a") == _shards(tmp_path / "b")
    for file in ("manifest.json", "manifest.parquet", "wids.json", "sizes.json", "dataset_card.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_what_a_longer_crawl_adds_goes_into_new_shards_and_changes_none(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=4)
    before = _shards(tmp_path)
    parent = make_shards(store)
    commit_video(store, "late-000001", channel_id="UC-video-0", category_id=1)
    select(store)
    grown = make_shards(store)
    after = _shards(tmp_path)
    assert {name: after[name] for name in before} == before and len(after) == len(before) + 3
    new = [entry for entry in grown.shards if entry.generation == 1]
    assert len(new) == 1 and new[0].nsamples == 3
    assert new[0].split == next(
        e.split for e in parent.shards if "video-00000" in read_rows(store, e.url, ["video_id"])["video_id"].to_pylist()
    )
    assert grown.head["parent"] == parent.sha256 and grown.head["generation"] == 1


def test_a_clip_that_failed_once_can_come_as_a_sample_later(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=3)
    commit_video(store, "video-00002", channel_id="UC-video-2", category_id=10)
    select(store)
    grown = make_shards(store)
    new = [entry for entry in grown.shards if entry.generation == 1]
    assert [read_rows(store, e.url, ["key"])["key"].to_pylist() for e in new] == [["video-00002_00002"]]


def test_a_run_that_finds_nothing_new_changes_nothing(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=3)
    before = _files(tmp_path)
    make_shards(store)
    after = _files(tmp_path)
    new = [path for path in after if path not in before]
    assert [path.parent for path in new] == [tmp_path / "alike" / "closed" / "00000"], "for the next driver alone"
    assert {path: data for path, data in after.items() if path not in new} == before
    make_shards(store)
    assert _files(tmp_path) == after


def _files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_packs_can_go_once_the_manifest_holds_them_and_are_not_asked_for_again(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=3)
    assert remove_packs(store, make_shards(store)) == 3
    assert not list(tmp_path.glob("packs/*.tar"))
    before = _shards(tmp_path)
    make_shards(store)
    assert list(ShardsStage(ShardsConfig()).units(store)) == [] and _shards(tmp_path) == before


def test_without_a_selection_the_message_says_what_is_missing(tmp_path: Path):
    with pytest.raises(UserError, match=r"selection\.parquet"):
        list(ShardsStage(ShardsConfig()).units(Store(str(tmp_path))))


def test_after_a_removal_that_was_interrupted_nothing_is_planned_or_written(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=2)
    write_tombstones(store, Tombstones(frozenset({"video-00001"}), under_way=True))

    for ask in (lambda: list(ShardsStage(ShardsConfig()).units(store)), lambda: make_shards(store)):
        with pytest.raises(UserError, match="a removal was interrupted"):
            ask()


def test_shards_that_other_manifests_name_and_units_that_made_none_are_no_new_ones(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=3)
    store.commit("shards", "train-00042-0123", {})
    every = committed_shards(store)

    assert {entry.url for entry in every.values()} == {entry.url for entry in read_entries(store)}
    without = committed_shards(store, but={"shards/train/00000.tar"})
    assert {entry.url for entry in without.values()} == {e.url for e in every.values()} - {"shards/train/00000.tar"}


_RUN = """
import sys
from pipeline.engine.store.store import Store
from hdvila_testing.kills import Writes
from hdvila_testing.shards import NO_CARD, make_shards
from pipeline.config.shards import ShardsConfig

writes = Writes(int(sys.argv[2]))
make_shards(Store(sys.argv[1]), ShardsConfig(max_samples=4, card=NO_CARD))
print(writes.count)
"""


def _run(folder: Path, fatal: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _RUN, str(folder), str(fatal)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _products(folder: Path) -> dict[str, bytes]:
    names = ("manifest.json", "manifest.parquet", "wids.json", "sizes.json", "dataset_card.md")
    return {**_shards(folder), **{name: (folder / name).read_bytes() for name in names}}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[dict[str, bytes], int]:
    folder = tmp_path_factory.mktemp("undisturbed")
    _ready_to_shard(folder)
    done = _run(folder, 0)
    return _products(folder), int(done.stdout)


def _ready_to_shard(folder: Path) -> None:
    store = Store(str(folder))
    for i in range(4):
        commit_video(store, f"v{i}", n_clips=2)
    select(store)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_a_kill_between_any_two_writes_and_a_rerun_give_the_same_bytes(undisturbed, part, tmp_path: Path):
    products, n_writes = undisturbed
    assert n_writes > 12
    fatal = 1 + part * (n_writes - 1) // 2
    _ready_to_shard(tmp_path)
    assert _run(tmp_path, fatal).returncode == -signal.SIGKILL
    assert _run(tmp_path, 0).returncode == 0
    assert _products(tmp_path) == products


def test_a_selection_that_changed_after_a_kill_leaves_the_shards_that_were_made(tmp_path: Path):
    store = Store(str(tmp_path))
    for i in range(6):
        commit_video(store, f"v{i}", n_clips=2)
    select(store, {f"v{i}": [0, 1] for i in range(4)})
    config = ShardsConfig(max_samples=4, split=SplitConfig(val=0), card=NO_CARD)
    stage = ShardsStage(config)
    first = next(iter(stage.units(store)))
    with RunLock(store) as lock:
        run_stage(_OnlyFirst(stage, first.name), store, LocalExecutor(tmp_path / "scratch"), lock)
    made = (tmp_path / "shards/train/00000.tar").read_bytes()
    select(store)
    manifest = make_shards(store, config)
    assert (tmp_path / "shards/train/00000.tar").read_bytes() == made
    assert {(e.url[-9:-4], e.generation) for e in manifest.shards} == {("00000", 0), ("00001", 1), ("00002", 1)}
    keys = [k for e in manifest.shards for k in read_rows(store, e.url, ["key"])["key"].to_pylist()]
    assert sorted(keys) == sorted(f"v{i}_{n:05d}" for i in range(6) for n in range(2))


class _OnlyFirst:
    """A stage cut short: what a killed run had made."""

    def __init__(self, stage: ShardsStage, unit: str) -> None:
        self._stage, self._unit = stage, unit
        self.name, self.resources = stage.name, stage.resources

    def units(self, store: Store):
        return (unit for unit in self._stage.units(store) if unit.name == self._unit)

    def process(self, unit, context):
        return self._stage.process(unit, context)


def test_of_a_part_that_holds_several_videos_the_planned_clips_of_one_are_taken(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("video000000", "video000001"):
        commit_video(store, name, n_clips=3, failed={1: "silent"})
    rows = sorted(store.read_table("packs").to_pylist(), key=lambda row: (row["n"], row["video_id"]))
    commit_rows(store, "media", "both", {"packs": rows})
    part = next(part for part in store.parts("packs") if store.read_part(part, ["n"]).num_rows == 6)
    video = PlanVideo("video000001", "", "video000001", (PlanClip(2, 512), PlanClip(1, 0)))

    pieces = pieces_of_video(store, video, part, "https://x")

    assert [(p.row["key"], p.row["status"], p.row["url"]) for p in pieces] == [
        ("video000001_00001", FAILED, "https://x"),
        ("video000001_00002", SUCCESS, "https://x"),
    ]
