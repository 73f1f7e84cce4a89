"""The manifest: true to the shards, the same for the same data, a chain of parents, without secrets."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hdvila_testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select
from manifests.errors import DamagedFile, UserError
from manifests.shards import ShardEntry, published_names, read_manifest, read_shard_rows
from pipeline.engine.store.store import Store
from pipeline.shards.closed import read_entries
from pipeline.shards.manifest import (
    forget_published,
    given_head,
    remove_packs,
    remove_packs_of,
    split_indexes,
    sweep_shards,
    write_manifest,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(folder, n_videos=5)
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "moved"))


def test_totals_are_those_of_the_shards(made: Path):
    manifest = read_manifest(str(made))
    rows = [row for entry in manifest.shards for row in read_shard_rows(manifest, entry).to_pylist()]
    samples = [row for row in rows if row["status"] == "success"]
    totals = manifest.head["totals"]
    assert totals["samples"] == len(samples) and totals["shards"] == len(manifest.shards)
    assert totals["hours"] == pytest.approx(sum(r["duration_ms"] for r in samples) / 3_600_000, abs=1e-6)
    assert sum(totals["categories"].values()) == len(samples)
    assert set(manifest.head["splits"]) == {"train", "val"}


def test_each_entry_has_its_shards_checksums(made: Path):
    for entry in read_manifest(str(made)).shards:
        data = (made / entry.url).read_bytes()
        assert entry.sha256 == hashlib.sha256(data).hexdigest() and entry.bytes_ == len(data)
        assert entry.md5 == hashlib.md5(data).hexdigest()


def test_a_data_set_can_be_moved(copy: Path):
    manifest = read_manifest(str(copy))
    assert all(Path(manifest.resolve(entry.url)).is_file() for entry in manifest.shards)


def test_indexes_say_the_same_as_the_manifest(made: Path):
    manifest = read_manifest(str(made))
    wids, sizes = (json.loads((made / name).read_text()) for name in ("wids.json", "sizes.json"))
    assert wids["__kind__"] == "wids-shard-index-v1" and wids["wids_version"] == 1
    assert [(s["url"], s["nsamples"], s["md5sum"], s["filesize"]) for s in wids["shardlist"]] == [
        (e.url, e.nsamples, e.md5, e.bytes_) for e in manifest.shards
    ]
    assert sizes == {e.url: e.nsamples for e in manifest.shards}


def test_written_again_later_it_stays_byte_for_byte_and_keeps_its_time(copy: Path):
    before = (copy / "manifest.json").read_bytes()
    store = Store(str(copy))
    again = write_manifest(store, name="tiny", config={}, card=NO_CARD, created_at="2030-01-01T00:00:00+00:00")
    assert (copy / "manifest.json").read_bytes() == before
    assert again.sha256 == hashlib.sha256(before).hexdigest()


def test_a_changed_fact_makes_a_child_that_names_its_parent(copy: Path):
    before = hashlib.sha256((copy / "manifest.json").read_bytes()).hexdigest()
    child = write_manifest(Store(str(copy)), name="tiny", config={}, card=NO_CARD, facts={"balance": {"asked": 1}})
    assert child.head["parent"] == before and child.head["balance"] == {"asked": 1}


def test_killed_between_the_two_manifest_files_a_rerun_heals_it(copy: Path):
    store = Store(str(copy))
    old = (copy / "manifest.json").read_bytes()
    commit_video(store, "late-000001")
    select(store)
    whole = make_shards(store)
    (copy / "manifest.json").write_bytes(old)  # the table is the new one, manifest.json the old one
    with pytest.raises(UserError, match="checksum"):
        read_manifest(str(copy))
    assert [e.url for e in read_entries(store)] == [e.url for e in whole.shards]
    assert make_shards(store).sha256 == whole.sha256


def test_shards_that_no_unit_committed_are_not_in_the_manifest(copy: Path):
    for suffix in (".tar", ".parquet", "_stats.json"):
        shutil.copy(copy / f"shards/train/00000{suffix}", copy / f"shards/train/00009{suffix}")
    make_shards(Store(str(copy)))
    assert "shards/train/00009.tar" not in {e.url for e in read_manifest(str(copy)).shards}


def test_versions_and_members_are_named(made: Path):
    head = read_manifest(str(made)).head
    assert head["members"] == ["mp4", "txt", "json", "m4v", "mjpg"]
    assert {"python", "machine", "av", "libavcodec", "pyarrow"} <= head["versions"].keys()


def test_what_was_given_is_found_again_in_the_manifest(made: Path):
    head, card = given_head(read_manifest(str(made)).head)
    assert card == NO_CARD and head["name"] == "tiny" and head["config"] == {}
    assert "totals" not in head and "parent" not in head


def test_the_table_has_the_promised_columns(made: Path):
    names = pq.read_table(made / "manifest.parquet").column_names
    assert names == ["url", "split", "generation", "sha256", "md5", "bytes", "nsamples", "hours", "categories"]


def test_packs_that_no_row_names_go_with_the_last_ones(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=2)
    manifest = make_shards(store)
    store.write("packs/video-00000-other.tar", b"of a worker that was given up")
    remove_packs_of(store, manifest.shards)
    assert [path.name for path in tmp_path.glob("packs/*.tar")] == ["video-00000-other.tar"], "more may come"
    remove_packs(store, manifest)
    assert not list(tmp_path.glob("packs/*.tar")) and store.count_rows("packs") == 6


def test_only_the_packs_of_the_videos_in_these_shards_go_while_more_are_to_come(tmp_path: Path):
    store = Store(str(tmp_path))
    for name in ("first", "second"):
        commit_video(store, name)
        select(store)
        manifest = make_shards(store)
    commit_video(store, "waits")

    assert remove_packs_of(store, [shard for shard in manifest.shards if shard.generation == 1]) == 1
    assert sorted(path.name for path in tmp_path.glob("packs/*.tar")) == ["first.tar", "waits.tar"]


def test_a_pack_that_only_a_quota_left_out_stays_for_a_larger_one(tmp_path: Path):
    store = Store(str(tmp_path))
    for name in ("kept", "over", "copy"):
        commit_video(store, name)
    select(store, {"kept": [0, 1, 2]}, reasons={"copy": "duplicate_video"})
    remove_packs(store, make_shards(store))
    assert [path.name for path in tmp_path.glob("packs/*.tar")] == ["over.tar"]
    select(store, {"kept": [0, 1, 2], "over": [0, 1]})
    assert make_shards(store).head["totals"]["samples"] == 5


def test_leftovers_under_a_shards_name_are_swept_and_other_files_are_not(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=3)
    for name in ("00007.tar", "00007.parquet", "notes.txt", "123.tar"):
        (tmp_path / "shards/train" / name).write_bytes(b"x")
    assert sweep_shards(store, make_shards(store)) == ["shards/train/00007.parquet", "shards/train/00007.tar"]
    there = {p.name for p in (tmp_path / "shards/train").iterdir()}
    assert {"notes.txt", "123.tar", "00000.tar"} <= there and not {"00007.tar", "00007.parquet"} & there


def test_manifests_before_the_one_in_force_can_be_forgotten(copy: Path) -> None:
    store = Store(str(copy))
    write_manifest(store, name="tiny", config={}, card=NO_CARD, facts={"balance": {"asked": 1}})
    in_force = published_names(*((copy / name).read_bytes() for name in ("manifest.json", "manifest.parquet")))
    assert len(list((copy / "manifests").iterdir())) == 3, "two heads over one table"

    forget_published(store)

    assert {f"manifests/{path.name}" for path in (copy / "manifests").iterdir()} == set(in_force)


def test_each_split_has_indexes_of_its_own_that_name_its_shards_alone() -> None:
    entries = [
        ShardEntry(f"shards/{split}/{n:05d}.tar", split, 0, "0" * 64, "0" * 32, 10, n + 1, 0.1, {1: n + 1})
        for split, n in (("train", 0), ("train", 1), ("val", 0))
    ]

    found = {name: json.loads(data) for name, data in split_indexes(entries, name="x").items()}

    assert found["shards/train/sizes.json"] == {"00000.tar": 1, "00001.tar": 2}
    assert found["shards/val/sizes.json"] == {"00000.tar": 1}
    assert found["shards/train/wids.json"]["name"] == "x-train" and len(found) == 4
    assert [s["url"] for s in found["shards/train/wids.json"]["shardlist"]] == ["00000.tar", "00001.tar"]


def test_a_card_that_is_none_is_one_message() -> None:
    with pytest.raises(DamagedFile, match=r"manifest\.json: card\.title"):
        given_head({"card": {"title": []}})
