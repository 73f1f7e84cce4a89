"""Which rejects are in force: SQL says what the rule says, row by row."""

from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.schema import REJECTS, TABLES
from pipeline.query.rejects import rejects_in_force
from tests.pipeline.query.worlds import InMemory, fill_row
from tests.pipeline.rejected import AReject, plainly_in_force, rows_in_force

VIDEOS = st.sampled_from(["a", "b", "ab", ""])
CLIPS = st.sampled_from(["a.0", "b.1", "ab.2"])
STAGES = st.sampled_from(["list", "extract", "transcripts", "clips", "clips__short", "media", "shards", "of nobody"])
MADE = st.lists(st.tuples(STAGES, VIDEOS, st.one_of(st.just(""), CLIPS), st.sampled_from("123")), max_size=14)
ROWS = st.lists(st.tuples(VIDEOS, CLIPS, st.booleans()), max_size=3)
PASSED = st.fixed_dictionaries(dict.fromkeys(("videos", "transcripts", "clips", "packs"), ROWS))


def tables_of(rejects: list[AReject], passed: dict[str, list[Any]]) -> dict[str, pa.Table]:
    names = ("stage", "video_id", "clip_id", "reason", "at")
    rows = [fill_row(REJECTS, **dict(zip(names, reject, strict=True))) for reject in rejects]
    made = {"rejects": pa.Table.from_pylist(rows, schema=REJECTS)}
    for table, of_table in passed.items():
        rows = []
        for video, clip, good in of_table:
            known = {"video_id": video, "clip_id": clip, "status": "success" if good else "failed"}
            rows.append(fill_row(TABLES[table], **{k: v for k, v in known.items() if k in TABLES[table].names}))
        made[table] = pa.Table.from_pylist(rows, schema=TABLES[table])
    return made


@given(MADE, PASSED, st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_they_are_those_of_the_rule_in_pieces_of_any_size(made: Any, passed: Any, size: int) -> None:
    rejects = [(s, v, c, f"r{i:02}", f"{at} {i:02}") for i, (s, v, c, at) in enumerate(made)]
    shown = {(t, v, c) for t, rows in passed.items() for v, c, good in rows if good or t != "packs"}

    found = rows_in_force(InMemory(tables_of(rejects, passed), size))

    assert sorted(found) == sorted(plainly_in_force(rejects, shown))


def test_of_one_moment_the_later_stage_decides_whatever_came_first() -> None:
    both: list[AReject] = [("media", "a", "", "silent", "1"), ("extract", "a", "", "private", "1")]
    for rejects in (both, both[::-1]):
        assert rows_in_force(InMemory(tables_of(rejects, {}), 1)) == [both[0]]


def test_a_condition_chooses_among_those_in_force() -> None:
    rejects = [("extract", video, "", reason, "1") for video, reason in (("a", "private"), ("b", "no_720p"))]
    found = rejects_in_force(InMemory(tables_of(rejects, {}), 9), "reason = ? AND video_id <> ?", "private", "b")
    assert found.column("video_id").to_pylist() == ["a"]
    assert found.schema == REJECTS
