"""`verify`: silent on a good data set, and each kind of damage is named with its place."""

import json
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hdvila_testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select
from manifests.errors import UserError
from manifests.parquet import open_parquet
from manifests.run_status import STATUS_NAME, RunStatus
from manifests.shards import read_manifest
from pipeline.config.shards import ShardsConfig
from pipeline.dataset.verify import verify
from pipeline.engine.store.delete_merged import sweep_segments
from pipeline.engine.store.merge import MergeSizes, install, plan_merge
from pipeline.engine.store.segment_files import write_segment
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones, write_tombstones
from pipeline.shards.manifest import given_head, publish
from tests.pipeline.dataset.damage import ROWS, STATS, TAR, faults


def test_a_good_data_set_has_no_fault(made: Path):
    assert faults(made) == []


def test_beside_merges_it_finds_no_fault_whatever_they_move_meanwhile(tmp_path: Path):
    url, merged = str(tmp_path), threading.Event()
    a_data_set(url, n_videos=16, n_clips=2, config=ShardsConfig(max_samples=8, card=NO_CARD))
    n_loose = len(Store(url).names("packs"))

    def merge() -> None:
        while merge_next(Store(url)):
            time.sleep(0.05)
        merged.set()

    thread = threading.Thread(target=merge)
    thread.start()
    n_times = 0
    while not merged.is_set() or not n_times:
        assert faults(tmp_path, decode=0) == []
        n_times += 1
    thread.join()
    assert faults(tmp_path, decode=0) == []
    assert n_times > 1 and len(Store(url).names("packs")) < n_loose, "parts became segments meanwhile"


def test_a_data_set_that_a_run_makes_grow_meanwhile_has_no_fault(tmp_path: Path):
    """A run closes shards, writes indexes over them and then the manifest; `verify` begins with the one before."""
    config = ShardsConfig(max_samples=4, card=NO_CARD)
    store = a_data_set(tmp_path, n_videos=4, n_clips=2, config=config)
    names = ("manifest.json", "manifest.parquet")
    young = {name: store.read(name) for name in names}
    for i in range(4, 8):
        commit_video(store, f"video-{i:05d}", n_clips=2, channel_id=f"UC-{i}")
    select(store)
    make_shards(store, config)
    grown = {name: store.read(name) for name in names}

    def publish_all(files: dict[str, bytes]) -> None:
        for name, data in files.items():
            store.write(name, data)

    publish_all(young)
    assert any("differs from the manifest" in fault for fault in faults(tmp_path, decode=0)), "no run is at work"

    now = time.time()
    status = RunStatus(state="running", host="here", pid=1, started_at=now, updated_at=now)
    store.write(STATUS_NAME, status.model_dump_json().encode())
    timer = threading.Timer(1.5, publish_all, (grown,))
    timer.start()
    assert faults(tmp_path, decode=0) == []
    timer.join()


def merge_next(store: Store) -> bool:
    """One merge, of two units or two segments, and what it covers is deleted at once; False where none is due."""
    job = plan_merge(store, MergeSizes(2, 2, grace_s=0))
    if job is None:
        return False
    install(store, job, write_segment(store, job))
    sweep_segments(store, 0)
    return True


def test_no_manifest_is_an_error_and_a_broken_one_a_fault(copy: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        faults(tmp_path / "nothing")
    (copy / "manifest.parquet").write_bytes(b"other")
    assert "checksum differs" in faults(copy)[0]


def test_one_flipped_bit_in_the_rows_of_a_shard_or_in_the_manifest_s_table_is_found(copy: Path):
    for name in (ROWS, "manifest.parquet"):
        data = (copy / name).read_bytes()
        footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
        for at in (100, footer + 100):
            harmed = bytearray(data)
            harmed[at] ^= 1
            (copy / name).write_bytes(harmed)
            assert any(name in fault for fault in faults(copy, decode=0)), f"{name}, byte {at}"
        (copy / name).write_bytes(data)
    assert faults(copy, decode=0) == []


def test_every_parquet_of_a_data_set_and_of_its_tables_carries_checksums(made: Path):
    files = sorted(made.rglob("*.parquet"))
    assert {"shards", "packs", "videos"} <= {file.relative_to(made).parts[0] for file in files}
    for file in files:
        assert open_parquet(file.read_bytes()).read().num_rows, "those of strangers are refused here"


def test_one_flipped_bit_in_a_tar_is_found_by_its_checksums(copy: Path):
    data = bytearray((copy / TAR).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / TAR).write_bytes(data)
    found = faults(copy, decode=0)
    assert any(f.startswith(f"{TAR}: sha256 is ") for f in found) and any("md5 is" in f for f in found)


INDEXES = ["wids.json", "sizes.json", "shards/train/wids.json", "dataset_card.md"]


@pytest.mark.parametrize("name", [TAR, ROWS, STATS, *INDEXES])
def test_a_missing_file_is_named(copy: Path, name: str):
    (copy / name).unlink()
    assert [fault.partition(";")[0] for fault in faults(copy)] == [f"{name}: is missing"]


def test_a_truncated_tar_is_named_and_the_samples_that_it_lost(copy: Path):
    (copy / TAR).write_bytes((copy / TAR).read_bytes()[:150_000])
    assert any(f"{TAR}: size is 150000" in f for f in faults(copy))
    assert any("has a row but is not in the tar" in f or "is not a complete tar" in f for f in faults(copy))


def test_indexes_and_stats_that_disagree_are_named(copy: Path):
    (copy / "wids.json").write_text("{}")
    stats = json.loads((copy / STATS).read_text())
    (copy / STATS).write_text(json.dumps({**stats, "count": 99}))
    found = faults(copy)
    assert "wids.json: differs from the manifest" in found[0] and "(99, " in found[1] and len(found) == 2


def test_a_trainers_index_that_is_gone_or_another_is_named(copy: Path):
    url = read_manifest(str(copy)).head["index"]["train"][0]["url"]
    index = copy / url
    data = index.read_bytes()
    index.write_bytes(data[:-8] + bytes(8))
    assert [f.partition(";")[0] for f in faults(copy)] == [f"{url}: differs from the manifest"]
    index.unlink()
    assert [f.partition(";")[0] for f in faults(copy)] == [f"{url}: is missing"]


def test_a_key_in_two_shards_and_a_video_in_two_splits_are_named(copy: Path):
    for name in (TAR, ROWS, STATS):
        target = copy / name.replace("train", "val")
        target.parent.mkdir(exist_ok=True)
        shutil.copy(copy / name, target)
    manifest = read_manifest(str(copy))
    entry = manifest.shards[0]
    second = type(entry).of_row({**entry.row(), "url": TAR.replace("train", "val"), "split": "val"})
    publish(Store(str(copy)), [entry, second], given_head(manifest.head)[0], NO_CARD)
    found = faults(copy, decode=0)
    assert any("key is also in shards/train/00000.tar" in f for f in found)
    assert any("its video video-0000" in f and "is also in split train" in f for f in found)


def test_a_channel_in_two_splits_is_a_fault_where_splits_were_drawn_by_channel(copy: Path):
    store = Store(str(copy))
    commit_video(store, "late-00001", channel_id="UC-video-0")
    select(store)
    for config, expected in (({}, False), ({"shards.split.by": "channel"}, True)):
        manifest = make_shards(store)
        moved = [replace(e, split="val") if e.generation else e for e in manifest.shards]
        publish(store, moved, {**given_head(manifest.head)[0], "config": config}, NO_CARD)
        found = faults(copy, decode=0)
        assert any("its channel UC-video-0 is also in split train" in f for f in found) == expected


def test_a_tar_that_no_manifest_names_is_a_fault(copy: Path):
    shutil.copy(copy / TAR, copy / "shards/train/00007.tar")
    (found,) = faults(copy, decode=0)
    assert "00007.tar: not listed in the manifest" in found


def test_several_processes_find_the_same_faults_in_the_same_order(tmp_path: Path):
    a_data_set(tmp_path, n_videos=4, n_clips=2, config=ShardsConfig(max_samples=2, card=NO_CARD))
    (tmp_path / "shards/train/00001.tar").write_bytes(b"x" * 700)
    store = Store(str(tmp_path))
    assert list(verify(store, workers=2)) == list(verify(store)) != []


def test_what_was_removed_and_is_still_there_is_named(copy: Path):
    write_tombstones(Store(str(copy)), Tombstones(frozenset({"video-00001"}), under_way=True))
    found = faults(copy, decode=0)
    assert "interrupted" in found[0] and any("video-00001_00000: was removed" in f for f in found)


def test_the_command_ends_with_1_on_faults_and_0_without(copy: Path):
    import typer

    from pipeline.commands.verify import verify as command

    app = typer.Typer()
    app.command()(command)
    good = CliRunner().invoke(app, [str(copy), "--decode-all"])
    assert good.exit_code == 0 and "no fault found" in good.output
    (copy / STATS).unlink()
    bad = CliRunner().invoke(app, [str(copy)])
    assert bad.exit_code == 1 and f"{STATS}: is missing" in bad.output and "1 faults" in bad.output


def test_two_data_sets_worth_of_videos_still_have_no_fault(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=4, videos_a_channel=2, members=("mp4", "txt", "json"))
    commit_video(store, "late-00001", members=("mp4", "txt", "json"))
    select(store)
    make_shards(store)
    assert faults(tmp_path) == []
