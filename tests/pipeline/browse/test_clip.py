"""A clip's members where they lie, and nothing of what lies elsewhere."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from hdvila_testing.rows import commit_rows
from manifests.errors import DamagedFile
from pipeline.browse.clip import NoMember, find_member, playing_of, still_of
from pipeline.browse.filters import read_line
from pipeline.browse.rows import Row, Rows
from pipeline.dataset.remove import remove
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones
from tests.pipeline.browse.conftest import a_run


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return a_run(tmp_path_factory.mktemp("run") / "out")


@pytest.fixture
def row(store: Store) -> Row:
    rows = Rows(store)
    found = rows.find(read_line("status:kept")).rows[0]
    rows.close()
    return found


def test_a_rejected_clip_has_the_still_that_was_kept_for_it_until_it_is_removed(tmp_path: Path) -> None:
    store = a_run(tmp_path / "out")
    packs = [row for row in store.read_table("packs").to_pylist() if row["video_id"] == "video000001"]
    kept = {"video_id": "video000001", "n": 0, "bytes": 4, "clip_id": "video000001.0", "still": b"jpeg"}
    commit_rows(store, "media", "video000001", {"packs": packs, "stills": [kept]})
    with closing(Rows(store)) as rows:
        row = rows.of_kind("clip", "video000001.0")
        other = rows.of_kind("clip", "video000001.1")
    assert row and row["reason"] == "silent" and still_of(store, row) == b"jpeg"
    assert other and other["still_bytes"] == 0
    remove(store, Tombstones(videos=frozenset(["video000001"])))
    assert [row["still"] for row in Store(store.url).read_table("stills").to_pylist()] == [b""]
    with closing(Rows(store)) as rows:
        assert not any(row["still_bytes"] for row in rows.find(read_line("")).rows)
    with pytest.raises(NoMember):
        still_of(store, row)


def test_the_film_of_a_clip_is_the_member_of_its_key(store: Store, row: Row) -> None:
    film = find_member(store, row, "mp4").read(store, 1 << 24)
    assert film[4:8] == b"ftyp"


def test_a_clip_begins_with_its_first_frame(store: Store, row: Row) -> None:
    playing = playing_of(store, row)
    assert playing.start_s == pytest.approx(playing.facts.first_frame / 12)
    assert playing.end_s >= playing.start_s + (playing.facts.n_frames - 1) / 12
    assert [word.text for word in playing.words] == row["text"].split()


def test_a_still_is_a_small_jpeg(store: Store, row: Row) -> None:
    assert still_of(store, row)[:2] == b"\xff\xd8"


@pytest.mark.parametrize("change", [{"mp4": [512, 90]}, {"mp4": [10**9, 90]}, {"json": [1024, 10]}])
def test_a_table_that_names_another_place_shows_nothing(store: Store, row: Row, change: dict[str, list[int]]) -> None:
    wrong = {**row, "members": json.dumps({**json.loads(row["members"]), **change})}
    with pytest.raises(DamagedFile, match=row["tar"]):
        find_member(store, wrong, next(iter(change)))


@pytest.mark.parametrize("tar", ["../outside.tar", "/etc/passwd", "a/../../b.tar"])
def test_a_table_that_names_a_file_elsewhere_opens_none(store: Store, row: Row, tar: str) -> None:
    with pytest.raises(DamagedFile, match="leads outside"):
        find_member(store, {**row, "tar": tar}, "mp4")


def test_a_tar_that_ends_too_early_is_named(tmp_path: Path) -> None:
    store = a_run(tmp_path / "out")
    rows = Rows(store)
    row = rows.find(read_line("status:kept")).rows[0]
    rows.close()
    member = find_member(store, row, "mp4")
    tar = Path(store.root) / row["tar"]
    tar.write_bytes(tar.read_bytes()[: member.start + member.size // 2])
    with pytest.raises(DamagedFile, match="ends before"):
        member.read(store, 1 << 24)
    tar.unlink()
    with pytest.raises(NoMember, match="is not there"):
        find_member(store, row, "mp4")
