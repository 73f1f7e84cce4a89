"""`verify`: silent on a good data set, and each kind of damage is named with its place."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from manifests.errors import UserError
from manifests.schema import SHARD_ROWS
from manifests.shards import read_manifest
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.verify import verify
from pipeline.engine.store import Store
from pipeline.media.packs import Sample, index_pack, read_members, write_pack
from pipeline.outdir.tombstones import Tombstones, write_tombstones
from pipeline.shards.files import entry_of, stats_bytes
from pipeline.shards.manifest import given_head, publish
from pipeline.testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select

TAR, ROWS, STATS = "shards/train/00000.tar", "shards/train/00000.parquet", "shards/train/00000_stats.json"


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(folder, n_videos=3, n_clips=2, config=ShardsConfig(split=SplitConfig(val=0), card=NO_CARD))
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def faults(folder: Path, decode: int = -1) -> list[str]:
    return [str(fault) for fault in verify(Store(str(folder)), decode=decode)]


def test_a_good_data_set_has_no_fault(made: Path):
    assert faults(made) == []


def test_no_manifest_is_an_error_and_a_broken_one_a_fault(copy: Path, tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        faults(tmp_path / "nothing")
    (copy / "manifest.parquet").write_bytes(b"other")
    assert "checksum differs" in faults(copy)[0]


def test_one_flipped_bit_in_a_tar_is_found_by_its_checksums(copy: Path):
    data = bytearray((copy / TAR).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / TAR).write_bytes(data)
    found = faults(copy, decode=0)
    assert any(f.startswith(f"{TAR}: sha256 is ") for f in found) and any("md5 is" in f for f in found)


INDEXES = ["wids.json", "sizes.json", "shards/train/wids.json", "dataset_card.md", "croissant.json"]


@pytest.mark.parametrize("name", [TAR, ROWS, STATS, *INDEXES])
def test_a_missing_file_is_named(copy: Path, name: str):
    (copy / name).unlink()
    assert faults(copy) == [f"{name}: is missing"]


def test_a_truncated_tar_is_named_and_the_samples_that_it_lost(copy: Path):
    (copy / TAR).write_bytes((copy / TAR).read_bytes()[:150_000])
    assert any(f"{TAR}: size is 150000" in f for f in faults(copy))
    assert any("has a row but is not in the tar" in f or "is not a complete tar" in f for f in faults(copy))


def test_indexes_and_stats_that_disagree_are_named(copy: Path):
    (copy / "wids.json").write_text("{}")
    stats = json.loads((copy / STATS).read_text())
    (copy / STATS).write_text(json.dumps({**stats, "count": 99}))
    found = faults(copy)
    assert found[0] == "wids.json: differs from the manifest" and "(99, " in found[1] and len(found) == 2


def test_a_trainers_index_that_is_gone_or_another_is_named(copy: Path):
    index = copy / "index" / "train.arrow"
    data = index.read_bytes()
    index.write_bytes(data[:-8] + bytes(8))
    assert faults(copy) == ["index/train.arrow: differs from the manifest"]
    index.unlink()
    assert [f.partition(";")[0] for f in faults(copy)] == ["index/train.arrow: is missing"]


def _rewrite(folder: Path, change: Callable[[list[Sample]], list[Sample]], **columns: str) -> None:
    """Exchanges samples of the shard and makes rows, stats and manifest agree with the new tar."""
    tar = folder / TAR
    with tar.open("rb") as file:
        samples = [Sample(p.key, read_members(file, p)) for p in index_pack(file)]
    rows = {r["key"]: r for r in pq.read_table(folder / ROWS).to_pylist()}
    new = []
    for place in write_pack(tar, change(samples)):
        at = {e: [place.offset + o, s] for e, (o, s) in place.members.items()}
        old = rows.get(place.key) or next(iter(rows.values()))
        new.append({**old, "key": place.key, "members": json.dumps(at), **columns})
    new += [r for r in rows.values() if r["status"] != "success"]
    table = pa.Table.from_pylist(new, schema=SHARD_ROWS)
    pq.write_table(table, folder / ROWS)
    import hashlib

    data = tar.read_bytes()
    sums = hashlib.sha256(data).hexdigest(), hashlib.md5(data).hexdigest()
    entry = entry_of(table, TAR, "train", 0, *sums, len(data))
    (folder / STATS).write_bytes(stats_bytes(entry, table))
    publish(Store(str(folder)), [entry], given_head(read_manifest(str(folder)).head)[0], NO_CARD)


def _with_json(**changes) -> Callable[[list[Sample]], list[Sample]]:
    def change(samples: list[Sample]) -> list[Sample]:
        facts = {**json.loads(samples[0].members["json"]), **changes}
        facts = {k: v for k, v in facts.items() if v is not ...}
        return [Sample(samples[0].key, {**samples[0].members, "json": json.dumps(facts).encode()}), *samples[1:]]

    return change


def _with_member(**members: bytes) -> Callable[[list[Sample]], list[Sample]]:
    return lambda samples: [Sample(samples[0].key, {**samples[0].members, **members}), *samples[1:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_with_json(n_frames=None), "json: n_frames: "),
        (_with_json(n_frames="8"), "json: n_frames: "),
        (_with_json(title=...), "json: has no title"),
        (_with_json(words="[1,"), "json: a list in it cannot be read"),
        (_with_json(stills='[{"time_ms": 1}]'), "json: a list in it cannot be read"),
        (_with_json(scene_cuts="5"), "json: a list in it cannot be read"),
        (_with_json(text="other"), "txt, the json's text and the row's caption are not the same"),
        (_with_json(clip_id="video-00000.77"), "key does not belong to clip video-00000.77"),
        (_with_json(start_ms=1), "start_ms is 1 in the json"),
        (_with_json(first_frame=-1), "out of range"),
        (_with_json(n_frames=50), "mp4: 12 frames decode, the json counts 54"),
        (_with_json(proxy_width=64), "m4v: pictures are"),
        (_with_json(stills_width=64), "mjpg: still 0 is 320x180"),
        (_with_member(mp4=b"no film"), "mp4: cannot be decoded"),
        (_with_member(m4v=b"no film"), "m4v: cannot be decoded"),
        (_with_member(mjpg=b"no picture"), "mjpg: still 0 is not a JPEG"),
        (_with_member(txt=b"other words"), "txt, the json's text"),
    ],
)
def test_what_is_wrong_inside_a_sample_is_named_with_its_key(copy: Path, change, words: str):
    _rewrite(copy, change)
    found = faults(copy)
    assert any(words in fault and f"{TAR}: video-" in fault for fault in found), found


def test_a_sample_that_lacks_a_member_of_the_others_is_named(copy: Path):
    def without_proxy(samples: list[Sample]) -> list[Sample]:
        last = samples[-1]
        return [*samples[:-1], Sample(last.key, {e: d for e, d in last.members.items() if e != "m4v"})]

    _rewrite(copy, without_proxy)
    assert "members are mp4 txt json mjpg, those of other samples mp4 txt json m4v mjpg" in faults(copy)[0]


def test_a_sample_without_a_row_and_a_row_without_a_sample_are_named(copy: Path):
    _rewrite(copy, lambda samples: [Sample("stranger_00000", samples[0].members), *samples[1:]])
    table = pq.read_table(copy / ROWS).to_pylist()
    for row in table:
        row["key"] = row["key"].replace("stranger", "another")
    pq.write_table(pa.Table.from_pylist(table, schema=SHARD_ROWS), copy / ROWS)
    found = faults(copy, decode=0)
    assert f"{TAR}: stranger_00000: is in the tar but has no row" in found
    assert f"{TAR}: another_00000: has a row but is not in the tar" in found


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


def test_a_tar_that_no_manifest_names_and_a_description_with_other_checksums_are_faults(copy: Path):
    shutil.copy(copy / TAR, copy / "shards/train/00007.tar")
    described = (copy / "croissant.json").read_text()
    sha256 = read_manifest(str(copy)).head["shards_sha256"]
    (copy / "croissant.json").write_text(described.replace(sha256, "0" * 64))
    found = faults(copy, decode=0)
    assert (
        found[0].startswith("croissant.json: manifest.parquet: sha256 is 000")
        and "00007.tar: not listed in the manifest" in found[1]
    )


def test_several_processes_find_the_same_faults_in_the_same_order(tmp_path: Path):
    a_data_set(tmp_path, n_videos=4, n_clips=2, config=ShardsConfig(max_samples=2, card=NO_CARD))
    (tmp_path / "shards/train/00001.tar").write_bytes(b"x" * 700)
    store = Store(str(tmp_path))
    assert list(verify(store, workers=2)) == list(verify(store)) != []


def test_what_was_removed_and_is_still_there_is_named(copy: Path):
    write_tombstones(Store(str(copy)), Tombstones(frozenset({"video-00001"}), under_way=True))
    found = faults(copy, decode=0)
    assert "interrupted" in found[0] and any("video-00001_00000: was removed" in f for f in found)


def test_only_some_samples_are_decoded_unless_all_are_asked_for(copy: Path):
    def break_all(samples: list[Sample]) -> list[Sample]:
        return [Sample(s.key, {**s.members, "m4v": b"no film"}) for s in samples]

    _rewrite(copy, break_all)
    assert [sum("m4v" in f for f in faults(copy, decode=n)) for n in (0, 2, -1)] == [0, 2, 5]


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
