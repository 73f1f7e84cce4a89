"""`merge`: data sets become one, byte for byte, and what would overlap is named."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hdvila_testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select
from manifests.errors import UserError
from manifests.schema import SHARD_ROWS, table_of
from manifests.shards import MANIFEST_NAME, TABLE_NAME, manifest_bytes, read_manifest
from pipeline.commands.merge import merge as command
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.merge import merge
from pipeline.dataset.remove import remove
from pipeline.dataset.reshard import reshard
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones, read_tombstones
from pipeline.shards.closed import read_entries
from pipeline.shards.files import read_rows
from pipeline.shards.manifest import given_head, publish

CONFIG = ShardsConfig(max_samples=4, split=SplitConfig(val=0), card=NO_CARD)


@pytest.fixture(scope="module")
def pair(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pair")
    a_data_set(folder / "a", n_videos=4, n_clips=2, config=CONFIG)
    a_data_set(folder / "b", n_videos=3, n_clips=2, config=CONFIG, prefix="other")
    return folder


@pytest.fixture
def copy(pair: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pair, tmp_path / "copy"))


def video_ids(store: Store) -> set[str]:
    return {i for e in read_entries(store) for i in read_rows(store, e.url, ["video_id"])["video_id"].to_pylist()}


def test_shards_are_copied_byte_for_byte_and_numbered_on(pair: Path, tmp_path: Path):
    out = Store(str(tmp_path / "out"))
    merged = merge([Store(str(pair / "a")), Store(str(pair / "b"))], out)
    sources = [(pair / n / e.url).read_bytes() for n in ("a", "b") for e in read_manifest(str(pair / n)).shards]
    assert [(tmp_path / "out" / e.url).read_bytes() for e in merged.manifest.shards] == sources
    assert [e.url[-9:] for e in merged.manifest.shards] == [f"{n:05d}.tar" for n in range(len(sources))]
    assert list(verify(out, decode=-1)) == []
    named = [m["sha256"] for m in merged.manifest.head["merged"]]
    assert named == [read_manifest(str(pair / name)).sha256 for name in ("a", "b")]


def test_a_video_in_both_is_refused_by_name_or_left_out_of_the_later_one(copy: Path):
    b = Store(str(copy / "b"))
    commit_video(b, "video-00001", n_clips=2)
    select(b)
    make_shards(b, CONFIG)
    sources, out = [Store(str(copy / "a")), b], Store(str(copy / "out"))
    with pytest.raises(UserError, match=r"video-00001: also in .*a"):
        merge(sources, out)
    assert not (copy / "out" / "manifest.json").exists()
    merged = merge(sources, out, drop_duplicates=True)
    assert merged.dropped == ("video-00001",)
    assert merged.manifest.head["totals"]["samples"] == sum(e.nsamples for s in sources for e in read_entries(s)) - 2
    assert list(verify(out)) == []


def test_a_channel_held_out_in_one_and_trained_on_in_the_other_is_refused_by_name(copy: Path):
    held_out = a_data_set(copy / "c", n_videos=2, n_clips=1, prefix="third", config=CONFIG)
    commit_video(held_out, "third-00009", n_clips=1, channel_id="UC-video-0")
    select(held_out)
    make_shards(held_out, ShardsConfig(split=SplitConfig(val=0.999), card=NO_CARD))
    sources = [Store(str(copy / "a")), held_out]
    with pytest.raises(UserError, match="third-00009: its channel UC-video-0 is in split train"):
        merge(sources, Store(str(copy / "out")))
    merged = merge(sources, Store(str(copy / "out")), drop_duplicates=True)
    assert merged.dropped == ("third-00009",)


def test_data_sets_split_by_video_merge_though_their_channels_are_in_several_splits(copy: Path):
    config = ShardsConfig(split=SplitConfig(by="video", val=0.5), card=NO_CARD)
    for name in ("c", "d"):
        a_data_set(copy / name, n_videos=8, n_clips=1, videos_a_channel=8, prefix=f"by-{name}", config=config)
        head = json.loads((copy / name / "manifest.json").read_text())
        assert set(head["splits"]) == {"train", "val"} and head["config"]["shards.split.by"] == "video"
    merged = merge([Store(str(copy / "c")), Store(str(copy / "d"))], Store(str(copy / "out")))
    assert merged.dropped == () and len(video_ids(Store(str(copy / "out")))) == 16


@pytest.mark.parametrize(
    ("first", "second", "mode", "split_by"),
    [
        ("exact", "exact", "exact", "channel"),
        ("exact", "remux", None, "channel"),
        ("exact", "exact", "exact", "video"),
    ],
)
def test_a_merged_set_says_how_its_clips_were_cut_and_split_as_far_as_all_agree(
    copy: Path, first: str, second: str, mode: str | None, split_by: str
):
    sources = []
    for name, cut, by in (("a", first, "channel"), ("b", second, split_by)):
        store = Store(str(copy / name))
        head, card = given_head(read_manifest(store.url).head)
        config = {"media.cut.mode": cut, "shards.split.by": by}
        publish(store, read_entries(store), {**head, "config": config, "balance": {"unit": name}}, card)
        sources.append(store)

    merged = merge(sources, Store(str(copy / "out"))).manifest

    assert merged.head["config"].get("media.cut.mode") == mode
    assert merged.head["config"]["shards.split.by"] == split_by and "balance" not in merged.head
    is_exact = "Each mp4 holds exactly its sentence" in (copy / "out/dataset_card.md").read_text()
    assert is_exact == (mode == "exact")


def test_what_one_of_them_removed_is_in_none_of_the_result(copy: Path):
    a, b = Store(str(copy / "a")), Store(str(copy / "b"))
    remove(a, Tombstones(frozenset({"other-00001"})))
    out = Store(str(copy / "out"))
    merge([a, b], out)
    assert "other-00001" not in video_ids(out) and "other-00002" in video_ids(out)
    assert read_tombstones(out).plain_ids() == {"other-00001"} and list(verify(out)) == []


def test_data_sets_whose_samples_have_different_members_are_refused(copy: Path):
    a_data_set(copy / "plain", n_videos=2, members=("mp4", "txt", "json"), prefix="plain", config=CONFIG)
    with pytest.raises(UserError, match="different members"):
        merge([Store(str(copy / "a")), Store(str(copy / "plain"))], Store(str(copy / "out")))


def test_a_damaged_shard_is_not_copied(copy: Path):
    tar = copy / "b/shards/train/00000.tar"
    data = bytearray(tar.read_bytes())
    data[700] ^= 1
    tar.write_bytes(data)
    with pytest.raises(UserError, match="checksum"):
        merge([Store(str(copy / "a")), Store(str(copy / "b"))], Store(str(copy / "out")))


def test_an_interrupted_merge_is_done_again_and_a_finished_one_is_not_overwritten(copy: Path):
    sources, out = [Store(str(copy / "a")), Store(str(copy / "b"))], Store(str(copy / "out"))
    first = merge(sources, out).manifest
    (copy / "out" / "manifest.json").unlink()
    (copy / "out" / "shards/train/00001.tar").write_bytes(b"half")
    again = merge(sources, out).manifest
    assert again.shards == first.shards and list(verify(out)) == []
    with pytest.raises(UserError, match="holds a data set already"):
        merge(sources, out)


def test_the_command_names_the_result(copy: Path):
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, [str(copy / "a"), str(copy / "b"), "--out", str(copy / "out")])
    assert done.exit_code == 0 and "12 samples in 4 shards" in done.output
    same = CliRunner().invoke(app, [str(copy / "a"), str(copy / "a"), "--out", str(copy / "out2")])
    assert isinstance(same.exception, UserError)


def test_a_tar_that_holds_other_samples_than_its_rows_is_not_merged(tmp_path: Path) -> None:
    first = a_data_set(tmp_path / "a", n_videos=2, prefix="one")
    second = a_data_set(tmp_path / "b", n_videos=2, prefix="two")
    entry = read_manifest(second.url).shards[0]
    swapped = read_rows(second, entry.url).to_pylist()
    for row in swapped:
        row["members"] = swapped[0]["members"] if row["status"] == "success" else row["members"]
    second.write_table(entry.rows_url, table_of(swapped, SHARD_ROWS))

    with pytest.raises(UserError, match="do not agree"):
        merge([first, second], Store(str(tmp_path / "out")))


@pytest.mark.parametrize("change", [{"split": "../../.."}, {"url": "../victim/00000.tar"}], ids=str)
def test_nothing_is_written_outside_where_a_manifest_asks_for_it(tmp_path: Path, change: dict[str, str]) -> None:
    source = a_data_set(tmp_path / "in" / "set", n_videos=2)
    victim = tmp_path / "in" / "victim"
    victim.mkdir()
    for file in (tmp_path / "in" / "set" / "shards" / "train").glob("0*"):
        shutil.copy(file, victim)
    manifest = read_manifest(source.url)
    entries = [replace(entry, **change) for entry in manifest.shards]
    document, table = manifest_bytes(entries, {k: v for k, v in manifest.head.items() if k in ("name", "card")})
    source.write(MANIFEST_NAME, document)
    source.write(TABLE_NAME, table)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    ids = Tombstones(videos=frozenset({"video-00000", "video-00001"}))

    for act in (
        lambda: merge([source], Store(str(tmp_path / "in" / "out"))),
        lambda: remove(source, ids),
        lambda: reshard(source, Store(str(tmp_path / "in" / "out")), ShardsConfig()),
    ):
        with pytest.raises(UserError, match=r"manifest\.(parquet|json)"):
            act()
    assert [str(fault) for fault in verify(source)]

    changed = {p for p, data in before.items() if not p.exists() or p.read_bytes() != data}
    assert not changed
    assert not [p for p in tmp_path.rglob("*.tar") if p not in before]


def test_a_tar_that_is_gone_is_named(tmp_path: Path) -> None:
    store = a_data_set(tmp_path / "a", n_videos=3)
    gone = read_entries(store)[0].url
    store.delete(gone)

    with pytest.raises(UserError, match=f"{gone}: named in the manifest but missing"):
        merge([store], Store(str(tmp_path / "out")))
