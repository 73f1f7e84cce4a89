"""What is left of units when videos are taken out of them: in parts of their own and in segments."""

from __future__ import annotations

import pytest

from pipeline.engine.store.store import Store
from pipeline.engine.store.take_out import take_out
from pipeline.outdir.accounts import unit_gaps
from tests.pipeline.engine.merges import UNITS, fill, merge_all, said, same

GONE = {"u3-0", "u4-x"}


@pytest.mark.parametrize(("store", "merged"), [("disk", False), ("bucket", True)], indirect=["store"])
def test_videos_are_gone_and_all_others_are_there(store: Store, merged: bool) -> None:
    fill(store, UNITS)
    if merged:
        merge_all(store)
    before = said(store)

    take_out(store, "making", ["u3", "u4", "u5", "never made"], GONE)

    after = said(Store(store.url, store.options))
    for table in ("videos", "clips", "rejects"):
        left = [row for row in before[table].to_pylist() if row["video_id"] not in GONE]
        assert sorted(after[table].to_pylist(), key=str) == sorted(left, key=str), table
        assert len(left) < before[table].num_rows
    assert not any(rows.num_rows for rows in store.rows_of("u3-0", {"videos": ["video_id"]}).values())
    assert store.rows_of("u3-1", {"videos": ["video_id"]})["videos"].num_rows == 1
    assert store.committed("making") == set(UNITS)
    assert not list(unit_gaps(store)), "commits promise what is left"
    assert store.reject_counts("making")["private"] == 6
    merge_all(store)
    assert same(said(Store(store.url, store.options)), after)
