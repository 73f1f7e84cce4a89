"""Files of ids: few stay, however many segments come; a damaged one is made again from the rows."""

import logging
from pathlib import Path

import pytest

from manifests.errors import DamagedFile
from manifests.parquet import open_parquet
from pipeline.engine.store import lookup
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.merge_ids import MOST_FILES, install_ids, lost_ids, plan_ids, write_ids
from pipeline.engine.store.segments import IDS, Head, IdsFile, change_head, read_head
from pipeline.engine.store.store import Store
from tests.pipeline.engine.id_files import merge_ids
from tests.pipeline.engine.merges import fill, merge_all

COLUMNS = {"videos": ["video_id"], "clips": ["video_id", "clip_id"], "rejects": ["video_id"]}


def many_segments(tmp_path: Path, n: int = 6) -> Store:
    store = Store(str(tmp_path / "out"))
    for begin in range(0, 4 * n, 4):
        fill(store, [f"u{i}" for i in range(begin, begin + 4)], a_group=4)
        merge_all(store, MergeSizes(4, 64, grace_s=0))
    return store


def found(store: Store) -> dict[str, dict[str, int]]:
    """How many rows of each table are found of some videos."""
    ids = ("u0-0", "u5-1", "u10-x", "u23-0", "nobody")
    rows = {video_id: Store(store.url).rows_of(video_id, COLUMNS) for video_id in ids}
    return {video_id: {table: made.num_rows for table, made in of_id.items()} for video_id, of_id in rows.items()}


def test_few_files_of_ids_stay_however_many_segments_come(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "out"))
    for begin in range(0, 4 * 3 * MOST_FILES, 4):
        fill(store, [f"u{i}" for i in range(begin, begin + 4)], a_group=4)
        merge_all(store, MergeSizes(4, 64, grace_s=0))
        merge_ids(store)
        assert len(read_head(store)[0].ids) <= MOST_FILES
    assert found(store)["u23-0"] == {"videos": 1, "clips": 2, "rejects": 0}


def test_merged_files_hold_what_is_live_and_no_more_however_few_rows_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "GROUP_ROWS", 3)
    store = many_segments(tmp_path)
    before, gone = found(store), read_head(store)[0].segments[1]
    store.uncommit("making", *(f"u{i}" for i in range(4, 8)))
    assert gone.id not in {file.id for file in read_head(store)[0].ids}
    all_files = read_head(store)[0].ids
    change_head(store, lambda head: head.model_copy(update={"ids": (*head.ids, *all_files[:1])}))

    replaced, (made,) = write_ids(store, all_files)

    rows = open_parquet(store.read(made.path)).read()
    hashes = rows.column("hash").to_pylist()
    assert hashes == sorted(hashes) and set(replaced) == set(all_files)
    assert set(rows.column("segment").to_pylist()) == {segment.id for segment in read_head(store)[0].segments}
    assert install_ids(store, replaced, [made])
    assert {**found(store), "u5-1": before["u5-1"]} == before and not any(found(store)["u5-1"].values())


def test_files_of_which_little_is_live_are_merged_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "GROUP_ROWS", 3)
    store = many_segments(tmp_path)
    before, all_files = found(store), read_head(store)[0].ids
    store.uncommit("making", *(f"u{i}" for i in range(4, 24)))

    _, (made,) = write_ids(store, all_files)
    _, (again,) = write_ids(store, [made])

    file = open_parquet(store.read(again.path))
    assert all(file.metadata.row_group(i).num_rows for i in range(file.num_row_groups))
    assert file.read() == open_parquet(store.read(made.path)).read()
    change_head(store, lambda head: head.model_copy(update={"ids": (again,)}))
    assert found(store)["u0-0"] == before["u0-0"] and not any(found(store)["u10-x"].values())


def a_head(*sizes: int) -> Head:
    return Head(ids=tuple(IdsFile(id=f"f{i}", bytes=n) for i, n in enumerate(sizes)))


@pytest.mark.parametrize(
    ("sizes", "merged"),
    [
        ((1, 1, 1, 1), set()),
        ((1, 1, 1, 1, 1), {"f0", "f1", "f2", "f3", "f4"}),
        ((1, 1, 1, 1, 16), {"f0", "f1", "f2", "f3"}),
        ((1, 1, 1, 1, 15), {"f0", "f1", "f2", "f3", "f4"}),
        ((76, 15, 1, 1, 1, 1), {"f1", "f2", "f3", "f4", "f5"}),
    ],
)
def test_a_fifth_file_is_merged_with_those_of_like_size(sizes: tuple[int, ...], merged: set[str]) -> None:
    assert {file.id for file in plan_ids(a_head(*sizes))} == merged


def test_a_file_takes_the_place_of_those_it_was_made_of_only_while_they_are_there(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    start = change_head(store, lambda _: a_head(3, 9, 2))
    made, (one, two, three) = IdsFile(id="new", bytes=7), start.ids
    assert not install_ids(store, [one, IdsFile(id="of yesterday", bytes=1)], [made]) and read_head(store)[0] == start

    assert install_ids(store, [one, three], [made])
    after = read_head(store)[0]
    assert after.ids == (two, made)
    assert [(retired.id, retired.stage) for retired in after.retired] == [("f0", IDS), ("f2", IDS)]


@pytest.mark.parametrize("harm", ["flipped", "gone"])
def test_a_damaged_file_is_named_and_made_again_from_the_rows(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = many_segments(tmp_path)
    merge_ids(store)
    before = found(store)
    path = max(read_head(store)[0].ids, key=lambda file: file.bytes).path
    data = bytearray(store.read(path))
    data[-20] ^= 4
    if harm == "flipped":
        store.write(path, bytes(data))
    else:
        store.delete(path)
    with pytest.raises(DamagedFile, match=path):
        found(store)
    if harm == "gone":
        assert lost_ids(store, read_head(store)[0]) == read_head(store)[0].ids

    with caplog.at_level(logging.WARNING, "hdvila"):
        assert install_ids(store, *write_ids(store, read_head(store)[0].ids))

    assert path in caplog.text and "read from their rows again" in caplog.text
    assert found(store) == before
    merge_ids(store)
    assert found(store) == before and not lost_ids(store, read_head(store)[0])
