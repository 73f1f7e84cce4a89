"""Rows of a segment's two files are those of the table, wherever a column lies and whatever was fetched before."""

from pathlib import Path

import pytest

from hdvila_testing.requests import count_requests
from pipeline.engine.store import segment_rows
from pipeline.engine.store.segment_rows import SegmentRows, wide_path
from pipeline.engine.store.segments import read_head
from pipeline.engine.store.store import Store
from tests.pipeline.engine.merges import UNITS, fill, merge_all

COLUMNS = ["text", "video_id", "clip_id"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "out"))
    fill(store, UNITS[:3])
    merge_all(store)
    return store


def rows_of(store: Store) -> SegmentRows:
    (segment,) = read_head(store)[0].segments
    return SegmentRows(store, "clips", segment.path("clips"), {})


def test_what_was_fetched_is_read_without_a_request_and_the_rest_when_it_is_asked_for(store: Store) -> None:
    whole = store.read_table("clips", COLUMNS)
    rows = rows_of(store)
    assert rows.fetch([(0, 9)], COLUMNS)
    with count_requests() as counted:
        assert rows.read(0, 9, COLUMNS).equals(whole) and rows.read(2, 3, COLUMNS).equals(whole.slice(2, 3))
        assert list(rows.pieces(0, 9, COLUMNS, 1 << 30)) == [(0, 9)]
    assert counted.n == 0

    narrow = rows_of(store)
    with count_requests() as counted:
        assert narrow.read(0, 9, ["video_id", "gone"]).equals(whole.select(["video_id"]))
    assert counted.n == 2, "its size and its end, of the narrow file alone"


def test_too_much_is_not_fetched(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_rows, "FETCH_BYTES", 1)
    assert not rows_of(store).fetch([(0, 9)], COLUMNS)


def test_the_wide_columns_lie_beside_the_table() -> None:
    assert wide_path("segments/clips/1/clips.parquet") == "segments/clips/1/clips.wide.parquet"
