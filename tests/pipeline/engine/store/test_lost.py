"""The files of merged tables that are gone, cut or flipped are found, and the head that is gone with all it named."""

from pathlib import Path

import pytest

from manifests.errors import DamagedFile
from manifests.parquet import is_whole
from pipeline.engine.store.lost import table_files
from pipeline.engine.store.segments import HEAD
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import UNITS, fill, merge_all


@pytest.fixture
def merged(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS[:4])
    merge_all(store)
    return store


def wrong(store: Store) -> set[str]:
    """The files with a fault, at a look or when they are read."""
    found = set()
    for file in table_files(store):
        is_right = not file.fault
        if is_right:
            with store.open(file.path) as opened:
                is_right = is_whole(opened)
        if not is_right:
            found.add(file.path)
    return found


def test_each_file_of_a_segment_is_missed_and_known_by_its_size_and_its_bytes(merged: Store) -> None:
    files = {file.path for file in table_files(merged)}
    assert len(files) > 3 and all(path.startswith("segments/") for path in files) and wrong(merged) == set()

    for path in sorted(files):
        file = Path(merged.path(path))
        data = file.read_bytes()
        for harmed in (None, data[:-9], data[:50] + bytes([data[50] ^ 1]) + data[51:]):
            file.unlink() if harmed is None else file.write_bytes(harmed)
            assert wrong(merged) == {path}
            file.write_bytes(data)


def test_segments_without_the_head_that_counts_them_are_no_empty_directory(merged: Store) -> None:
    merged.delete(HEAD)

    with pytest.raises(DamagedFile, match=r"head\.json: is gone"):
        list(table_files(merged))
