"""Readers that others wrote, on shards that we wrote: webdataset, Hugging Face `datasets`, and plain tar.

The old `wids` reader and rivals' own code need environments of their own: test_foreign_environments.py, `make
test-long`.
"""

import io
import json
import re
import shutil
import subprocess
from pathlib import Path

import av
import pytest

from hdvila_testing.shards import NO_CARD, a_data_set
from manifests.shards import read_manifest
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.export import export_clips
from pipeline.dataset.remove import remove
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from pipeline.shards.files import read_rows

CONFIG = ShardsConfig(max_samples=6, split=SplitConfig(val=0.2), card=NO_CARD)


@pytest.fixture(scope="module", params=["as made", "exact"])
def made(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """A data set as it is made, and what `export --format webdataset` makes of it."""
    store = a_data_set(tmp_path_factory.mktemp("data"), n_videos=8, config=CONFIG)
    if request.param == "as made":
        return Path(store.root)
    exact = tmp_path_factory.mktemp("exact")
    export_clips(store, Store(str(exact)))
    return exact


def rows(folder: Path, split: str) -> list[dict]:
    manifest = read_manifest(str(folder))
    found = [r for e in manifest.split(split) for r in read_rows(Store(str(folder)), e.url).to_pylist()]
    return [row for row in found if row["status"] == "success"]


def test_webdataset_reads_every_sample_of_a_brace_expression(made: Path):
    import webdataset

    last = len(read_manifest(str(made)).split("train")) - 1
    assert last >= 2
    url = f"{made}/shards/train/{{00000..{last:05d}}}.tar"
    samples = list(webdataset.WebDataset(url, shardshuffle=False, empty_check=True))
    expected = rows(made, "train")
    assert [s["__key__"] for s in samples] == [row["key"] for row in expected]
    assert {frozenset(k for k in s if not k.startswith("__")) for s in samples} == {
        frozenset({"mp4", "txt", "json", "m4v", "mjpg"})
    }


def test_webdataset_decodes_text_and_json_and_leaves_the_rest_as_bytes(made: Path):
    import webdataset

    url = str(made / "shards/train/00000.tar")
    sample = next(iter(webdataset.WebDataset(url, shardshuffle=False).decode()))
    assert sample["txt"] == sample["json"]["text"] and isinstance(sample["json"]["n_frames"], int)
    with av.open(io.BytesIO(sample["mp4"])) as film:
        n_frames = sum(1 for _ in film.decode(video=0))
    assert n_frames >= sample["json"]["first_frame"] + sample["json"]["n_frames"]


def _as_a_hub_folder(made: Path, target: Path) -> Path:
    """The data set as it would lie in a repository of the hub: the card is its README."""
    shutil.copytree(made / "shards", target / "shards")
    shutil.copy(made / "dataset_card.md", target / "README.md")
    return target


def test_hugging_face_loads_a_folder_by_its_card(made: Path, tmp_path: Path):
    import datasets

    folder = _as_a_hub_folder(made, tmp_path / "hub")
    for split in ("train", "val"):
        loaded = datasets.load_dataset(str(folder), split=split, cache_dir=str(tmp_path / "cache"))
        expected = rows(made, split)
        assert loaded["__key__"][:] == [row["key"] for row in expected]
        assert loaded["txt"][:] == [row["caption"] for row in expected]
        assert isinstance(loaded.features["mp4"], datasets.Video)
        facts = loaded.select_columns("json")[0]["json"]
        assert facts["video_id"] == expected[0]["video_id"] and isinstance(facts["fps"], float)


def test_hugging_face_streams_the_films_bytes(made: Path, tmp_path: Path):
    import datasets

    folder = _as_a_hub_folder(made, tmp_path / "hub")
    streamed = datasets.load_dataset(str(folder), split="val", streaming=True)
    for name, feature in list(streamed.features.items()):
        if isinstance(feature, datasets.Video):
            streamed = streamed.cast_column(name, datasets.Video(decode=False))
    first = next(iter(streamed))
    with av.open(io.BytesIO(first["mp4"]["bytes"])) as film:
        assert film.streams.video[0].codec_context.name == "h264"


def test_hugging_face_loads_the_rows_as_a_table_with_the_failed_clips(made: Path, tmp_path: Path):
    import datasets

    files = str(made / "shards/train/*.parquet")
    loaded = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    assert set(loaded["status"][:]) == {"success", "failed_to_subsample"}


def test_hugging_face_still_loads_when_a_removal_has_emptied_the_first_shard(made: Path, tmp_path: Path):
    import datasets

    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    store = Store(str(copy))
    gone = {row["video_id"] for row in read_rows(store, "shards/train/00000.tar").to_pylist()}
    remove(store, Tombstones(frozenset(gone)))
    folder = _as_a_hub_folder(copy, tmp_path / "hub")
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert loaded["__key__"][:] == [row["key"] for row in rows(copy, "train")]


def test_plain_tar_lists_members_that_a_shell_can_use(made: Path):
    listed = subprocess.run(
        ["tar", "-tvf", str(made / "shards/train/00000.tar")], capture_output=True, text=True, check=True
    )
    assert listed.stderr == ""
    names = [line.split()[-1] for line in listed.stdout.splitlines()]
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+\.[a-z0-9]+", name) for name in names)


def test_stats_can_be_added_up_by_the_scripts_of_video2dataset_and_img2dataset(made: Path):
    total = dict.fromkeys(("count", "successes", "failed_to_download", "failed_to_subsample", "failed_to_resize"), 0)
    for path in sorted(made.glob("shards/*/*_stats.json")):
        stats = json.loads(path.read_text())
        for key in total:
            total[key] += stats[key]
        assert stats["duration"] > 0 and stats["end_time"] > stats["start_time"]
    manifest = read_manifest(str(made))
    assert total["successes"] == manifest.head["totals"]["samples"]
    assert total["count"] == total["successes"] + total["failed_to_subsample"] > total["successes"]


def test_open_clip_finds_a_count_by_file_name_beside_the_shards(made: Path):
    for split in ("train", "val"):
        sizes = json.loads((made / "shards" / split / "sizes.json").read_text())
        entries = read_manifest(str(made)).split(split)
        assert sizes == {entry.url.rpartition("/")[2]: entry.nsamples for entry in entries}
