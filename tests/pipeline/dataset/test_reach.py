"""A removal reaches all that is known to be the same film, and columns are covered as rows are."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

import hdvila_testing.shards as toys
from pipeline.dataset.reach import COLUMNS, covered, reached_by
from pipeline.engine.store.store import Store
from pipeline.outdir.tombstones import Tombstones

ID = "dQw4w9WgXcQ"
NAMES = st.sampled_from(
    ["a", "b", ID, "UCx", "https://a.org/v", "http://www.a.org/v/", f"https://youtu.be/{ID}", "/a/file", ""]
)
SETS = st.frozensets(NAMES)


@given(st.lists(st.tuples(*[NAMES] * 4)), SETS, SETS, SETS, SETS, SETS)
def test_columns_are_covered_as_each_row_is(rows, videos, channels, urls, contents, purged) -> None:
    ids = Tombstones(videos, channels, urls=urls, contents=dict.fromkeys(contents - {""}, "x"))
    ids = ids.joined(Tombstones(purged, purged, urls=purged).as_hashes("s"))
    columns = [pa.array([row[k] for row in rows], pa.string()) for k in range(4)]
    table = pa.table(columns, COLUMNS)

    assert covered(table, ids).tolist() == [ids.cover(*row) for row in rows]
    assert covered(table.select(COLUMNS[:2]), ids).tolist() == [ids.cover(*row[:2]) for row in rows]


def test_what_repeats_a_video_is_reached_and_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    for name in ("film-a", "film-b", "film-c", "film-d"):
        toys.commit_video(store, name, channel_id=f"UC-{name}")
    toys.select(store, groups={"film-b": "film-a", "film-c": "film-a"})

    reached, repeats = reached_by(store, Tombstones(frozenset({"film-c"})))

    assert repeats == {"film-a", "film-b"} and {"film-a", "film-b", "film-c"} <= reached.videos
    assert not reached.cover("film-d", "UC-film-d")
