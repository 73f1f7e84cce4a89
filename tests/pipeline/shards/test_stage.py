"""Shards: what goes where, joined byte for byte, growing by generations, the same after any kill."""

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.errors import UserError
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.engine.executor import LocalExecutor
from pipeline.engine.lock import RunLock
from pipeline.engine.run import run_stage
from pipeline.engine.store import Store
from pipeline.media.packs import END
from pipeline.shards.files import SUCCESS, read_rows
from pipeline.shards.manifest import remove_packs, sweep_shards
from pipeline.shards.plan import Placed, PlanClip, PlanVideo, draw_splits, plan_shards
from pipeline.shards.stage import ShardsStage, read_entries
from pipeline.testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select

# the plan

VIDEOS = st.lists(
    st.builds(
        PlanVideo,
        st.integers(0, 40).map(lambda i: f"video{i}"),
        st.sampled_from(["", "UCa", "UCb", "UCc", "UCd", "UCe"]),
        st.sampled_from(["g0", "g1", "g2", "g3"]),
        st.lists(
            st.builds(PlanClip, st.integers(0, 99), st.sampled_from([0, 512, 7000])),
            max_size=5,
            unique_by=lambda c: c.n,
        ).map(tuple),
    ),
    max_size=25,
    unique_by=lambda video: video.video_id,
)
SIZES = st.builds(
    ShardsConfig,
    max_bytes=st.integers(1, 50_000),
    max_samples=st.integers(0, 6),
    split=st.builds(
        SplitConfig, by=st.sampled_from(["channel", "video"]), val=st.floats(0, 0.4), test=st.floats(0, 0.4)
    ),
)


@given(videos=VIDEOS, config=SIZES, seed=st.integers(0, 5), order=st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_each_sample_is_planned_once_and_the_order_of_videos_does_not_count(videos, config, seed, order):
    plan = plan_shards(videos, Placed(), config, seed=seed, generation=0)
    placed = Counter((v.video_id, c.n) for shard in plan for v in shard.videos for c in v.clips if c.is_sample)
    assert placed == Counter((v.video_id, c.n) for v in videos for c in v.clips if c.is_sample)
    order.shuffle(videos)
    assert plan_shards(videos, Placed(), config, seed=seed, generation=0) == plan


@given(videos=VIDEOS, config=SIZES)
@settings(max_examples=60, deadline=None)
def test_numbers_have_no_gap_no_shard_is_empty_and_none_exceeds_its_size_by_more_than_a_clip(videos, config):
    plan = plan_shards(videos, Placed(), config, seed=0, generation=0)
    for split in {shard.split for shard in plan}:
        assert [s.number for s in plan if s.split == split] == list(range(sum(s.split == split for s in plan)))
    for shard in plan:
        sizes = [c.bytes_ for v in shard.videos for c in v.clips if c.is_sample]
        assert sizes
        assert sum(sizes) < config.max_bytes + 2 * max(sizes) or (
            config.max_samples and len(sizes) <= config.max_samples + 1
        )


@given(videos=VIDEOS, seed=st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_channels_and_duplicates_stay_on_one_side(videos, seed):
    splits = draw_splits(videos, Placed(), SplitConfig(by="channel", val=0.3, test=0.3), seed=seed)
    for name in ("channel_id", "group"):
        for value in {getattr(v, name) for v in videos} - {""}:
            assert len({splits[v.video_id] for v in videos if getattr(v, name) == value}) == 1


def _video(i: int, **changes) -> PlanVideo:
    return replace(PlanVideo(f"v{i}", f"UC{i}", f"v{i}", (PlanClip(0, 512),)), **changes)


def test_a_channels_split_depends_on_the_seed_and_the_channel_not_on_what_else_was_found():
    config = SplitConfig(val=0.3)
    few, many = [_video(i) for i in range(30)], [_video(i) for i in range(200)]
    drawn = draw_splits(few, Placed(), config, seed=3)
    assert drawn == {i: s for i, s in draw_splits(many, Placed(), config, seed=3).items() if i in drawn}
    assert drawn != draw_splits(few, Placed(), config, seed=4)
    share = Counter(draw_splits(many, Placed(), config, seed=3).values())["val"] / 200
    assert 0.2 < share < 0.4


def test_a_new_video_goes_where_its_channel_is_and_a_duplicate_where_the_first_one_is():
    old = {"v1": "val", "v2": "train"}
    placed = Placed(old, {i: _video(int(i[1:]), clips=()) for i in old})
    of_channel, duplicate = _video(3, channel_id="UC1"), _video(4, group="v1")
    both = _video(5, channel_id="UC2", group="v1")
    config = SplitConfig(val=0.001)
    assert draw_splits([of_channel, duplicate], placed, config, seed=0) == {"v3": "val", "v4": "val"}
    assert draw_splits([both], placed, config, seed=0) == {"v5": "val"}


def test_a_small_data_set_still_has_something_held_out_and_something_to_train_on():
    for seed in range(20):
        splits = draw_splits([_video(i) for i in range(4)], Placed(), SplitConfig(val=0.01), seed=seed)
        assert Counter(splits.values()) == {"train": 3, "val": 1}
    assert set(draw_splits([_video(0)], Placed(), SplitConfig(val=0.01), seed=0).values()) == {"train"}


def test_any_few_shards_mix_the_categories():
    videos = [_video(i, clips=tuple(PlanClip(n, 1000) for n in range(3))) for i in range(150)]
    category = {f"v{i}": i // 10 for i in range(150)}  # ids that come in runs of one category
    plan = plan_shards(videos, Placed(), ShardsConfig(max_samples=30, split=SplitConfig(val=0)), seed=0, generation=0)
    assert len(plan) == 15
    assert min(len({category[v.video_id] for v in shard.videos}) for shard in plan) >= 6


# the stage


def _shards(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.glob("shards/*/0*"))}


def test_a_shard_holds_the_packs_bytes_and_its_rows_say_where(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=6, config=ShardsConfig(max_samples=5, card=NO_CARD))
    packs = store.read_table("packs").to_pylist()
    made = {row["key"]: row for row in packs if row["status"] == SUCCESS}
    found = set()
    for entry in read_entries(store):
        tar = (tmp_path / entry.url).read_bytes()
        for row in read_rows(store, entry.url).to_pylist():
            if row["status"] != SUCCESS:
                continue
            found.add(row["key"])
            pack = (tmp_path / made[row["key"]]["pack"]).read_bytes()
            start = made[row["key"]]["pack_offset"]
            for extension, (at, size) in json.loads(row["members"]).items():
                there, size_there = json.loads(made[row["key"]]["members"])[extension]
                assert tar[at : at + size] == pack[start + there :][:size_there]
        with tarfile.open(tmp_path / entry.url) as archive:
            assert len(archive.getnames()) == 5 * entry.nsamples
        assert tar.endswith(END)
    assert found == made.keys()


def test_a_clip_that_failed_is_a_row_with_its_reason_and_never_a_sample(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=6)
    rows = [row for entry in read_entries(store) for row in read_rows(store, entry.url).to_pylist()]
    failed = [row for row in rows if row["status"] != SUCCESS]
    assert {row["key"] for row in failed} == {"video-00002_00002", "video-00005_00002"}
    assert all(
        r["reason"] == "silent" and r["status"] == "failed_to_subsample" and r["members"] == "{}" for r in failed
    )
    stats = json.loads((tmp_path / "shards/train/00000_stats.json").read_text())
    assert stats["count"] == stats["successes"] + stats["failed_to_subsample"] == sum(stats["status_dict"].values())
    assert [stats[f"failed_to_{step}"] for step in ("download", "resize")] == [0, 0] and stats["start_time"] == 0
    assert (stats["bytes_downloaded"], stats["end_time"]) == (0, stats["duration"])


def test_the_same_data_in_another_place_gives_the_same_files(tmp_path: Path):
    for name in ("a", "b"):
        a_data_set(tmp_path / name, n_videos=5)
    assert _shards(tmp_path / "a") == _shards(tmp_path / "b")
    for file in ("manifest.json", "manifest.parquet", "wids.json", "sizes.json", "dataset_card.md", "croissant.json"):
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
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    make_shards(store)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_packs_can_go_once_the_manifest_holds_them_and_are_not_asked_for_again(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=3)
    assert remove_packs(store, make_shards(store)) == 3
    assert not list(tmp_path.glob("packs/*.tar"))
    before = _shards(tmp_path)
    make_shards(store)
    assert list(ShardsStage(ShardsConfig()).units(store)) == [] and _shards(tmp_path) == before


def test_packs_that_no_row_names_go_with_the_last_ones(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=2)
    manifest = make_shards(store)
    store.write("packs/video-00000-other.tar", b"of a worker that was given up")
    remove_packs(store, manifest, also_turned_away=False)
    assert [path.name for path in tmp_path.glob("packs/*.tar")] == ["video-00000-other.tar"], "more may come"
    remove_packs(store, manifest)
    assert not list(tmp_path.glob("packs/*.tar")) and store.count_rows("packs") == 6


def test_a_pack_that_only_a_quota_left_out_stays_for_a_larger_one(tmp_path: Path):
    store = Store(str(tmp_path))
    for name in ("kept", "over", "copy"):
        commit_video(store, name)
    select(store, {"kept": [0, 1, 2]}, reasons={"copy": "duplicate_video"})
    remove_packs(store, make_shards(store))
    assert [path.name for path in tmp_path.glob("packs/*.tar")] == ["over.tar"]
    select(store, {"kept": [0, 1, 2], "over": [0, 1]})
    assert make_shards(store).head["totals"]["samples"] == 5


def test_a_lost_or_damaged_pack_costs_its_video_and_not_the_shard(tmp_path: Path):
    store = Store(str(tmp_path))
    for i in range(4):
        commit_video(store, f"v{i}", n_clips=2)
    select(store)
    (tmp_path / "packs" / "v1.tar").unlink()
    (tmp_path / "packs" / "v2.tar").write_bytes((tmp_path / "packs" / "v2.tar").read_bytes()[:30_000])
    manifest = make_shards(store, ShardsConfig(split=SplitConfig(val=0), card=NO_CARD))
    rows = read_rows(store, "shards/train/00000.tar").to_pylist()
    assert {r["video_id"] for r in rows if r["status"] == SUCCESS} == {"v0", "v3"}
    assert {(r["video_id"], r["reason"]) for r in rows if r["status"] != SUCCESS} == {
        ("v1", "pack_lost"),
        ("v2", "pack_lost"),
    }
    rejects = store.read_rejects().to_pylist()
    assert {(r["video_id"], r["reason"]) for r in rejects} == {("v1", "pack_lost"), ("v2", "pack_lost")}
    assert make_shards(store, ShardsConfig(split=SplitConfig(val=0), card=NO_CARD)).sha256 == manifest.sha256


def test_a_pack_that_was_exchanged_for_another_is_not_copied_blindly(tmp_path: Path):
    store = Store(str(tmp_path))
    for name in ("v1", "v2"):
        commit_video(store, name, n_clips=2)
    select(store)
    (tmp_path / "packs" / "v1.tar").write_bytes((tmp_path / "packs" / "v2.tar").read_bytes())
    make_shards(store, ShardsConfig(split=SplitConfig(val=0), card=NO_CARD))
    keys = [r["key"] for r in read_rows(store, "shards/train/00000.tar").to_pylist() if r["status"] == SUCCESS]
    assert sorted(keys) == ["v2_00000", "v2_00001"]


def test_without_a_selection_the_message_says_what_is_missing(tmp_path: Path):
    with pytest.raises(UserError, match=r"selection\.parquet"):
        list(ShardsStage(ShardsConfig()).units(Store(str(tmp_path))))


# kills

_RUN = """
import os, signal, sys
from pathlib import Path
from pipeline.engine.store import Store
from pipeline.testing.shards import NO_CARD, make_shards
from pipeline.config.shards import ShardsConfig

fatal, count = int(sys.argv[2]), 0

def counted(method):
    def call(*args, **kwargs):
        global count
        count += 1
        if count == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*args, **kwargs)
    return call

for name in ("put", "write"):
    setattr(Store, name, counted(getattr(Store, name)))
make_shards(Store(sys.argv[1]), ShardsConfig(max_samples=4, card=NO_CARD))
print(count)
"""


def _run(folder: Path, fatal: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _RUN, str(folder), str(fatal)]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def _products(folder: Path) -> dict[str, bytes]:
    names = ("manifest.json", "manifest.parquet", "wids.json", "sizes.json", "dataset_card.md", "croissant.json")
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
@pytest.mark.parametrize("part", range(6))
def test_a_kill_between_any_two_writes_and_a_rerun_give_the_same_bytes(undisturbed, part, tmp_path: Path):
    products, n_writes = undisturbed
    assert n_writes > 12
    fatal = 1 + part * (n_writes - 1) // 5
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


def test_leftovers_under_a_shards_name_are_swept_and_other_files_are_not(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=3)
    for name in ("00007.tar", "00007.parquet", "notes.txt", "123.tar"):
        (tmp_path / "shards/train" / name).write_bytes(b"x")
    assert sweep_shards(store, make_shards(store)) == ["shards/train/00007.parquet", "shards/train/00007.tar"]
    assert {"notes.txt", "123.tar"} <= {p.name for p in (tmp_path / "shards/train").iterdir()}


def test_rows_have_the_promised_columns(tmp_path: Path):
    a_data_set(tmp_path, n_videos=2)
    table = pq.read_table(tmp_path / "shards/train/00000.parquet")
    wanted = "key url caption clips status error_message reason clip_id video_id channel_id category_id start_ms end_ms"
    assert table.column_names == [*wanted.split(), "duration_ms", "width", "height", "fps", "codec", "members"]
