"""What a census says of rejects, and how many videos it counts."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests import census
from manifests.census import Census

REJECT = st.tuples(
    st.sampled_from(["list", "extract", "transcripts", "clips"]),
    st.sampled_from(["a", "b", "ab", ""]),
    st.sampled_from(["", "a", "b.0"]),
    st.sampled_from(["2026-01-01", "2026-01-02", "2026-01-03"]),
)


def a_table(rejects: list[tuple[str, str, str, str]]) -> pa.Table:
    rows = [
        {"stage": s, "video_id": v, "clip_id": c, "at": at, "reason": str(i)} for i, (s, v, c, at) in enumerate(rejects)
    ]
    schema = pa.schema([(name, pa.string()) for name in ("stage", "video_id", "clip_id", "reason", "at")])
    return pa.Table.from_pylist(rows, schema=schema)


class OnlyRejects:
    """Tables that hold rejects and nothing else, so that none is void."""

    def __init__(self, rejects: pa.Table) -> None:
        self._rejects = rejects

    def read_rejects(self, columns: list[str] | None = None) -> pa.Table:
        return self._rejects.select(columns or self._rejects.column_names)

    def read_runs(self, table: str, columns: list[str]) -> Any:
        return iter(())


@given(st.lists(REJECT, max_size=12))
@settings(max_examples=60, deadline=None)
def test_of_each_video_and_clip_the_latest_reject_is_in_force_and_of_a_moment_the_later_stages(rejects: Any) -> None:
    ranks = {"list": 0, "extract": 1, "transcripts": 2, "clips": 3}
    latest: dict[tuple[str, str], int] = {}
    for i, (stage, video, clip, at) in enumerate(rejects):
        before = latest.get((video, clip))
        if before is None or (at, ranks[stage]) >= (rejects[before][3], ranks[rejects[before][0]]):
            latest[video, clip] = i

    found = Census(OnlyRejects(a_table(rejects))).in_force()  # type: ignore[arg-type]

    of_keys = {(r["video_id"], r["clip_id"]): (r["at"], r["stage"]) for r in found.to_pylist()}
    assert of_keys == {key: (rejects[i][3], rejects[i][0]) for key, i in latest.items()}
    assert found.num_rows == len(latest)


def test_videos_are_counted_once_however_many_rows_and_files_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(census, "HASHES_AT_A_TIME", 3)
    ids = np.random.default_rng(5).integers(0, 40, 100).astype(str)
    tables = OnlyRejects(a_table([]))
    pieces = [pa.table({"video_id": ids[i : i + 7]}) for i in range(0, 100, 7)]
    monkeypatch.setattr(tables, "read_runs", lambda table, columns: iter(pieces))

    assert Census(tables).n_distinct("listings") == len(set(ids))  # type: ignore[arg-type]
    monkeypatch.setattr(tables, "read_runs", lambda table, columns: iter(()))
    assert Census(tables).n_distinct("listings") == 0  # type: ignore[arg-type]
