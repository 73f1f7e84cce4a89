"""Where rows lie: places are new only where rows may have changed."""

from pathlib import Path

import pyarrow as pa
import pytest

import hdvila_testing.shards as toys
from pipeline.config.shards import ShardsConfig
from pipeline.engine.store.store import Store
from pipeline.query.sources import sources_of
from tests.pipeline.engine.merges import UNITS, fill, merge_all

NOTHING: frozenset[str] = frozenset()


def rows_of(store: Store, table: str, columns: list[str]) -> pa.Table:
    """All rows, in the order of parts and of their rows."""
    sources = sources_of(store, table, NOTHING)[1]
    rows = pa.concat_tables(rows for source in sources for rows, _ in source.read(columns))
    return rows.sort_by([("part", "ascending"), ("row", "ascending")])


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("columns", [["video_id", "start_ms"], ["clip_id", "text"]])
def test_rows_are_those_of_the_store_in_its_order(tmp_path: Path, merged: bool, columns: list[str]) -> None:
    store = Store(str(tmp_path))
    fill(store, UNITS)
    if merged:
        assert merge_all(store)
        fill(store, ["u90", "u91"])
        store.uncommit("making", "u3")

    assert rows_of(store, "clips", columns).select(columns).equals(store.read_table("clips", columns))


def test_samples_are_the_clips_of_the_manifest_that_were_made(tmp_path: Path) -> None:
    toys.a_data_set(tmp_path, n_videos=6, n_clips=3, prefix="video", config=ShardsConfig(card=toys.NO_CARD))

    rows = rows_of(Store(str(tmp_path)), "samples", ["key", "shard", "split", "caption"])

    assert rows.num_rows == 6 * 3 - 2  # every third video has a failed clip
    assert all(url.startswith("shards/") for url in rows.column("shard").to_pylist())
    assert "this is sentence 0 of video video-00000" in rows.column("caption").to_pylist()
