"""Files of ids: few stay, however many segments come; a damaged one is made again from the rows."""

import logging
from pathlib import Path

import pytest

from manifests.errors import DamagedFile
from pipeline.engine.store.merge import MergeSizes
from pipeline.engine.store.merge_ids import MOST_FILES, install_ids, lost_ids, write_ids
from pipeline.engine.store.segments import read_head
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
