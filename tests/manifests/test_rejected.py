"""Rejects in force by hashes are those of the whole tables, whatever the pieces in which rows come."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.census import Census

VIDEOS = st.sampled_from(["a", "b", "ab", ""])
STAGES = st.sampled_from(["list", "extract", "transcripts", "clips", "media", "shards"])
REJECTS = st.lists(st.tuples(STAGES, VIDEOS, st.sampled_from(["", "a.0", "b.1"]), st.sampled_from("123")), max_size=14)
ROWS = st.lists(st.tuples(VIDEOS, st.sampled_from(["a.0", "b.1", "ab.2"]), st.booleans()), max_size=3)
PASSED = dict.fromkeys(("videos", "transcripts", "clips", "packs"), ROWS)


class InPieces:
    """Tables in memory that come a few rows at a time."""

    def __init__(self, tables: dict[str, pa.Table], size: int) -> None:
        self._tables, self._size = tables, size

    def read_rejects(self, columns: list[str] | None = None) -> pa.Table:
        return self._tables["rejects"]

    def read_runs(self, table: str, columns: list[str]) -> Iterator[pa.Table]:
        rows = self._tables[table].select(columns)
        yield from (rows.slice(first, self._size) for first in range(0, rows.num_rows, self._size))


def tables_of(rejects: list[Any], passed: dict[str, list[Any]], size: int) -> InPieces:
    names = ("stage", "video_id", "clip_id", "reason", "at")
    rows = [dict(zip(names, (s, v, c, f"r{i}", at), strict=True)) for i, (s, v, c, at) in enumerate(rejects)]
    made = {"rejects": pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in names]))}
    for table, of_table in passed.items():
        columns = list(zip(*of_table, strict=True)) or [(), (), ()]
        status = ["success" if good else "failed" for good in columns[2]]
        arrays = [pa.array(column, pa.string()) for column in (*columns[:2], status, [""] * len(status))]
        made[table] = pa.table(arrays, names=["video_id", "clip_id", "status", "reason"])
    return InPieces(made, size)


@given(REJECTS, st.fixed_dictionaries(PASSED), st.integers(1, 9))
@settings(max_examples=150, deadline=None)
def test_what_is_in_force_is_the_same_in_pieces_of_any_size(rejects: Any, passed: Any, size: int) -> None:
    whole = Census(tables_of(rejects, passed, 100)).in_force().to_pylist()  # type: ignore[arg-type]
    census = Census(tables_of(rejects, passed, size))  # type: ignore[arg-type]
    found = census.rejected

    keys = ("stage", "video_id", "clip_id", "reason")
    again = [row for table in census.rejects_in_force() for row in table.to_pylist()]
    assert sorted(tuple(row[k] for k in keys) for row in again) == sorted(tuple(row[k] for k in keys) for row in whole)
    of_videos = Counter((row["stage"], row["reason"]) for row in whole if not row["clip_id"])
    assert Counter(found.kinds[number] for number in found.kind) == of_videos
    of_clips = Counter((row["stage"], row["reason"]) for row in whole if row["clip_id"])
    assert {found.kinds[number]: n for number, n in found.clips.items()} == dict(of_clips)
    assert found.video.tolist() == sorted(found.video.tolist())
