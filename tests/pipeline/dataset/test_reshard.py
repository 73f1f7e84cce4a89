"""`reshard`: other shards, the same samples to the byte."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from hdvila_testing.shards import NO_CARD, a_data_set
from manifests.errors import UserError
from manifests.shards import read_manifest
from pipeline.commands.reshard import reshard as command
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.reshard import reshard
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.media.packs import index_pack, read_members
from pipeline.shards.closed import read_entries
from pipeline.shards.files import read_rows
from pipeline.shards.manifest import given_head, publish


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(
        folder, n_videos=8, n_clips=2, videos_a_channel=2, config=ShardsConfig(split=SplitConfig(val=0.3), card=NO_CARD)
    )
    return folder


def samples(folder: Path) -> dict[str, tuple[str, dict[str, bytes]]]:
    """{key: (split, members)}"""
    found = {}
    for tar in folder.glob("shards/*/*.tar"):
        with tar.open("rb") as file:
            found.update({p.key: (tar.parent.name, read_members(file, p)) for p in index_pack(file)})
    return found


def n_rows(folder: Path) -> int:
    store = Store(str(folder))
    return sum(len(read_rows(store, entry.url)) for entry in read_entries(store))


def test_smaller_shards_hold_the_same_samples_in_the_same_splits(made: Path, tmp_path: Path):
    manifest = reshard(Store(str(made)), Store(str(tmp_path / "out")), ShardsConfig(max_samples=3))
    assert samples(tmp_path / "out") == samples(made) and n_rows(tmp_path / "out") == n_rows(made)
    assert max(entry.nsamples for entry in manifest.shards) <= 3 and len(manifest.shards) > 4
    assert list(verify(Store(str(tmp_path / "out")), decode=0)) == []


def test_there_and_back_gives_the_same_shards(made: Path, tmp_path: Path):
    small, back = Store(str(tmp_path / "small")), Store(str(tmp_path / "back"))
    reshard(Store(str(made)), small, ShardsConfig(max_samples=3))
    reshard(small, back, ShardsConfig())
    first = {e.url: e.sha256 for e in read_entries(Store(str(made)))}
    assert {e.url: e.sha256 for e in read_entries(back)} == first


def test_a_split_of_another_name_is_refused_and_a_drawn_one_takes_its_place(made: Path, tmp_path: Path):
    """As a data set of another program may have it: no plan would make shards of such a split."""
    other, out = shutil.copytree(made, tmp_path / "other"), Store(str(tmp_path / "out"))
    manifest = read_manifest(str(other))
    shards = [replace(shard, split="dev" if shard.split == "val" else shard.split) for shard in manifest.shards]
    publish(Store(str(other)), shards, *given_head(manifest.head))

    with pytest.raises(UserError, match=r"split 'dev' is none of train, val, test; `--split-by` draws new ones"):
        reshard(Store(str(other)), out, ShardsConfig())
    assert not list(tmp_path.glob("out/shards/*")), "nothing was written"

    reshard(Store(str(other)), out, ShardsConfig(split=SplitConfig(val=0.3)), redraw=True)
    assert samples(tmp_path / "out").keys() == samples(made).keys()


def test_splits_can_be_drawn_anew_and_channels_stay_together(made: Path, tmp_path: Path):
    config = ShardsConfig(split=SplitConfig(by="channel", val=0.3))
    reshard(Store(str(made)), Store(str(tmp_path / "out")), config, seed=5, redraw=True)
    found = samples(tmp_path / "out")
    assert {k: m for k, (_, m) in found.items()} == {k: m for k, (_, m) in samples(made).items()}
    assert {split for split, _ in found.values()} == {"train", "val"}
    for i in range(0, 8, 2):
        assert len({s for k, (s, _) in found.items() if k[:11] in {f"video-{i:05d}", f"video-{i + 1:05d}"}}) == 1


def test_a_folder_that_holds_a_data_set_is_not_overwritten(made: Path):
    with pytest.raises(UserError, match="holds a data set already"):
        reshard(Store(str(made)), Store(str(made)), ShardsConfig())


def test_the_command_takes_sizes_and_splits(made: Path, tmp_path: Path):
    app = typer.Typer()
    app.command()(command)
    options = ["--out", str(tmp_path / "out"), "--max-samples", "4", "--split-by", "video", "--val", "0.2"]
    done = CliRunner().invoke(app, [str(made), *options])
    assert done.exit_code == 0 and "14 samples in" in done.output
    wrong = CliRunner().invoke(app, [str(made), "--out", str(tmp_path / "o"), "--split-by", "title"])
    assert isinstance(wrong.exception, UserError) and "split.by" in str(wrong.exception)
