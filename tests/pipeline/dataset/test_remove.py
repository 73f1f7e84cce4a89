"""`remove`: what a rights holder asks for is gone from every shard and pack, and does not come back."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from hdvila_testing.shards import NO_CARD, a_data_set, commit_video, make_shards, select
from manifests.errors import UserError
from manifests.exits import Unresolved
from manifests.shards import PUBLISHED, read_manifest
from pipeline.cli import app
from pipeline.config.shards import ShardsConfig, SplitConfig
from pipeline.dataset.remove import meant_by, remove
from pipeline.dataset.verify import verify
from pipeline.engine.store.store import Store
from pipeline.media.packs import index_pack
from pipeline.outdir.named import read_named, said_as
from pipeline.outdir.tombstones import RECORDS, TOMBSTONES, Tombstones, read_tombstones, write_tombstones
from pipeline.report.page import write_report
from pipeline.shards.stage import ShardsStage

CONFIG = ShardsConfig(max_samples=5, split=SplitConfig(val=0), card=NO_CARD)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    a_data_set(folder, n_videos=6, n_clips=2, videos_a_channel=2, config=CONFIG)
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def keys(folder: Path) -> set[str]:
    found = set()
    for tar in folder.glob("shards/*/*.tar"):
        with tar.open("rb") as file:
            found |= {place.key for place in index_pack(file)}
    return found


def videos(*names: str) -> Tombstones:
    return Tombstones(frozenset(names))


def test_a_video_is_gone_from_shards_and_packs_and_the_data_set_is_whole(copy: Path):
    before = keys(copy)
    done = remove(Store(str(copy)), videos("video-00001"))
    assert keys(copy) == {key for key in before if not key.startswith("video-00001")}
    assert done.n_samples == 2 and done.n_packs == 1 and not (copy / "packs/video-00001.tar").exists()
    assert list(verify(Store(str(copy)), decode=-1)) == []
    assert not any(b"video-00001" in path.read_bytes() for path in copy.glob("shards/**/*") if path.is_file())


def test_a_channel_takes_all_its_videos_with_it(copy: Path):
    remove(Store(str(copy)), Tombstones(channels=frozenset({"UC-video-0"})))
    assert {key[:11] for key in keys(copy)} == {f"video-0000{i}" for i in range(2, 6)}


def test_the_report_shows_nothing_of_it_any_more(copy: Path):
    store = Store(str(copy))
    page = copy / write_report(store)
    assert "video-00001_" in page.read_text()
    remove(store, videos("video-00001"))
    assert "video-00001_" not in page.read_text() and "video-00003_" in page.read_text()


def test_shards_that_held_nothing_of_it_stay_as_they_were_and_the_manifest_names_its_parent(copy: Path):
    parent = read_manifest(str(copy))
    before = {e.url: (copy / e.url).read_bytes() for e in parent.shards}
    done = remove(Store(str(copy)), videos("video-00003"))
    child = read_manifest(str(copy))
    changed = [url for url, data in before.items() if (copy / url).read_bytes() != data]
    assert len(changed) == done.n_shards == 1
    assert child.head["parent"] == parent.sha256 and child.head["removed"] == {"videos": 1, "channels": 0}


def test_numbers_keep_no_gap_where_a_shard_held_nothing_else(copy: Path):
    before = [e.url for e in read_manifest(str(copy)).shards]
    remove(Store(str(copy)), videos(*(f"video-0000{i}" for i in range(5))))
    after = read_manifest(str(copy)).shards
    assert [e.url for e in after] == before and 0 in {e.nsamples for e in after}
    assert list(verify(Store(str(copy)))) == []


def test_a_later_run_honours_the_tombstones(copy: Path):
    store = Store(str(copy))
    remove(store, videos("video-00001"))
    commit_video(store, "video-00001", channel_id="UC-video-0")  # as if it had been fetched once more
    commit_video(store, "late-000001", channel_id="UC-late")
    select(store)
    make_shards(store, CONFIG)
    assert {key[:11] for key in keys(copy)} == {f"video-0000{i}" for i in (0, 2, 3, 4, 5)} | {"late-000001"}
    assert read_manifest(str(copy)).head["removed"] == {"videos": 1, "channels": 0}


def test_ids_that_are_not_there_are_named_and_kept_out_all_the_same(copy: Path):
    manifest = read_manifest(str(copy)).head
    done = remove(Store(str(copy)), videos("stranger"))
    assert done.unknown == ("stranger",) and done.n_shards == 0
    assert read_tombstones(Store(str(copy))).cover("stranger", "")
    assert read_manifest(str(copy)).head["totals"] == manifest["totals"]


def test_a_removal_that_changes_no_shard_keeps_every_manifest_that_was_published(copy: Path):
    store = Store(str(copy))
    before = {name: (copy / PUBLISHED / name).read_bytes() for name in store.names(PUBLISHED)}
    remove(store, videos("stranger"))
    assert all((copy / PUBLISHED / name).read_bytes() == data for name, data in before.items())
    remove(store, videos("video-00001"))
    assert not before.keys() & set(store.names(PUBLISHED))


def test_the_same_removal_twice_changes_nothing(copy: Path):
    store = Store(str(copy))
    remove(store, videos("video-00001"))
    before = {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()}
    remove(store, videos("video-00001"))
    assert {p: p.read_bytes() for p in copy.rglob("*") if p.is_file()} == before


GONE = ("video-00001", "video-00004")
SAID = "this is sentence 1 of video video-00001"


@contextmanager
def copied_before_changes(folder: Path, copies: Path, every: int) -> Iterator[None]:
    """Before each n-th change of the folder the copies get one more: what a killed process would leave."""
    n_changes, one_at_a_time = 0, threading.RLock()

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(store: Store, *given: Any, **named: Any) -> Any:
            nonlocal n_changes
            with one_at_a_time:
                if n_changes % every == 1:
                    ignored = shutil.ignore_patterns("run.lock", ".tmp-*")
                    shutil.copytree(folder, copies / str(n_changes), ignore=ignored)
                n_changes += 1
                return change(store, *given, **named)

        return call

    with pytest.MonkeyPatch.context() as patched:
        for name in ("put", "write", "delete"):
            patched.setattr(Store, name, counted(getattr(Store, name)))
        yield


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "every"),
    [("videos", 9), *(pytest.param(what, 1, marks=pytest.mark.long) for what in ("videos", "text"))],
)
def test_stopped_between_any_two_writes_the_same_command_finishes_it(
    copy: Path, tmp_path: Path, asked: str, every: int
):
    ids = Tombstones(frozenset(GONE)) if asked == "videos" else Tombstones(texts=frozenset([said_as(SAID)]))
    with copied_before_changes(copy, tmp_path / "stopped", every):
        remove(Store(str(copy)), ids)
    expected = {p.relative_to(copy): p.read_bytes() for p in (*copy.glob("shards/*/*"), copy / "manifest.parquet")}
    stopped = sorted((tmp_path / "stopped").iterdir())
    assert len(stopped) > 3

    for folder in stopped:
        remove(Store(str(folder)), ids)
        assert {name: (folder / name).read_bytes() for name in expected} == expected
        assert list(verify(Store(str(folder)), decode=0)) == [] and not read_tombstones(Store(str(folder))).under_way
        for path in (path for path in folder.rglob("*") if path.is_file()):
            place = path.relative_to(folder).parts[0]
            words = str(pq.read_table(path).to_pydict()) if path.suffix == ".parquet" else ""
            words += f"{path.relative_to(folder)} {path.read_bytes().decode('latin-1')}"
            gone = GONE * (place not in (TOMBSTONES, RECORDS)) if asked == "videos" else (SAID,)
            assert not [name for name in gone if name in words], path


def test_after_an_interrupted_removal_a_run_says_what_to_do(copy: Path):
    store = Store(str(copy))
    write_tombstones(store, Tombstones(frozenset({"video-00001"}), under_way=True))
    with pytest.raises(UserError, match="remove` again"):
        list(ShardsStage(CONFIG).units(store))
    with pytest.raises(UserError, match="remove` again"):
        make_shards(store, CONFIG)


def test_shards_of_an_open_generation_are_cleaned_too(tmp_path: Path):
    store = a_data_set(tmp_path, n_videos=4, n_clips=2, config=CONFIG)
    for name in ("manifest.json", "manifest.parquet"):
        (tmp_path / name).unlink()  # as if the run had been killed before it wrote the manifest
    remove(store, videos("video-00001"))
    make_shards(store, CONFIG)
    assert {key[:11] for key in keys(tmp_path)} == {"video-00000", "video-00002", "video-00003"}
    assert list(verify(store)) == []


def test_a_bare_id_is_a_channels_if_it_is_one_here(copy: Path):
    text = ["# asked on 1 May", "dQw4w9WgXcQ", "channel My Films", "UC-video-0  # theirs", "", "video UC-video-2"]
    found = meant_by(read_named(text, "x"), Store(str(copy)))
    assert found.videos == {"dQw4w9WgXcQ", "UC-video-2"} and found.channels == {"My Films", "UC-video-0"}


def test_what_only_the_site_can_tell_is_named_and_the_rest_is_removed(copy: Path, tmp_path: Path):
    (tmp_path / "ids.txt").write_text("https://www.youtube.com/user/ELEVENCHARS\nvideo-00001\n")
    done = CliRunner().invoke(app, ["remove", str(copy), "--ids", str(tmp_path / "ids.txt")])
    assert isinstance(done.exception, Unresolved) and "user/ELEVENCHARS" in str(done.exception)
    assert "2 samples removed" in done.output and read_tombstones(Store(str(copy))).plain_ids() == {"video-00001"}
    (tmp_path / "ids.txt").write_text("@somebody\n")
    nothing = CliRunner().invoke(app, ["remove", str(copy), "--ids", str(tmp_path / "ids.txt")])
    assert isinstance(nothing.exception, Unresolved) and "samples removed" not in nothing.output


def test_every_address_of_a_channel_finds_it(tmp_path: Path):
    channel = "UCabcdefghijklmnopqrstuv"
    store = Store(str(tmp_path))
    commit_video(store, "dQw4w9WgXcQ", channel_id=channel)
    select(store)
    make_shards(store, CONFIG)
    (tmp_path / "ids.txt").write_text(f"https://m.youtube.com/channel/{channel}/videos?view=0\n")
    done = CliRunner().invoke(app, ["remove", str(tmp_path), "--ids", str(tmp_path / "ids.txt")])
    assert done.exit_code == 0 and "not in this data set" not in done.output and not keys(tmp_path)


IDS = st.frozensets(st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True), max_size=5)


@given(videos=IDS, channels=IDS, under_way=st.booleans(), salt=st.sampled_from(["", "3a7bd3e2360a3d29"]))
def test_tombstones_are_read_as_they_were_written(videos, channels, under_way, salt, tmp_path_factory):
    store = Store(str(tmp_path_factory.mktemp("stones")))
    stones = Tombstones(videos, channels, under_way)
    stones = stones.with_pseudonyms(salt) if salt else stones
    write_tombstones(store, stones)
    assert read_tombstones(store) == stones


def test_the_command_says_what_it_did(copy: Path, tmp_path: Path):
    (tmp_path / "ids.txt").write_text("video-00001\nstranger\n")
    done = CliRunner().invoke(app, ["remove", str(copy), "--ids", str(tmp_path / "ids.txt")])
    assert "2 samples removed, 1 shards rewritten, 1 packs deleted" in done.output and "stranger" in done.output
    missing = CliRunner().invoke(app, ["remove", str(copy), "--ids", str(tmp_path / "none.txt")])
    assert isinstance(missing.exception, UserError) and os.fspath(tmp_path / "none.txt") in str(missing.exception)
