"""Rejects kept in a few bytes are those that whole tables have in force, in whatever pieces they come."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.stages import rank_of
from pipeline.run import rejects as module
from pipeline.run.rejects import VideoRejects
from tests.pipeline.rejected import by_stage_and_reason, plainly_in_force

VIDEOS = ["a", "b", "ab", ""]
ROWS = {
    "reject": st.tuples(
        st.sampled_from(["list", "extract", "transcripts", "clips", "clips__short", "media", "shards"]),
        st.sampled_from(VIDEOS),
        st.sampled_from(["", "", "a.0"]),
        st.sampled_from(["r1", "r2", "r3"]),
        st.integers(0, 5),
    ),
    "passed": st.tuples(st.sampled_from(["videos", "transcripts", "clips", "packs"]), st.sampled_from(VIDEOS)),
}
PIECES = st.lists(st.one_of(st.lists(ROWS["reject"], max_size=5), st.lists(ROWS["passed"], max_size=5)), max_size=6)


def a_table(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * 5
    at = [f"2026-01-01T00:00:0{n // 3}.{n % 3:06}+00:00" for n in columns[4]]
    names = ["stage", "video_id", "clip_id", "reason", "at"]
    return pa.table([pa.array(column, pa.string()) for column in (*columns[:4], at)], names=names)


@given(PIECES, st.sampled_from([0, 3, 1 << 20]))
@settings(max_examples=80, deadline=None)
def test_what_is_in_force_does_not_depend_on_the_pieces_or_on_what_came_first(pieces: Any, most_waiting: int) -> None:
    kept, rejected, passed = VideoRejects(), [], []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "MOST_WAITING", most_waiting)
        for piece in pieces:
            if piece and len(piece[0]) == 5:
                kept.add(a_table(piece))
                rejected += piece
                continue
            passed += piece
            for table in {table for table, _ in piece}:
                ids = pa.array([video for name, video in piece if name == table], pa.string())
                kept.add_passed(table, pa.chunked_array([ids]))
        found = kept.of(pa.array(VIDEOS[1:]))

    whole = [row for row in plainly_in_force(rejected, [(*row, "") for row in passed]) if not row[2]]
    assert kept.counts() == by_stage_and_reason(whole)
    ranks = [rank_of(stage) for stage in kept.counts()]
    assert ranks == sorted(ranks)
    rows = [(video, stage, reason) for stage, video, _, reason, _ in whole if video != VIDEOS[0]]
    assert sorted(tuple(r.values()) for r in found.to_pylist()) == sorted(rows)
