"""Clips as flat columns: every clip by video and number, whatever the order of rows."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.balance.clip_lists import ClipLists, clip_lists, runs_of, smallest
from tests.pipeline.balance.worlds import made


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), st.lists(st.integers(1, 99), min_size=1, max_size=5)))
def test_clip_lists_hold_every_clip_by_video_and_n(clips: dict[str, list[int]]) -> None:
    lists = made(clips)
    for row, video in enumerate(lists.video_id.to_pylist()):
        span = slice(lists.starts[row], lists.starts[row + 1])
        assert lists.ms[span].tolist() == clips[video]
        assert lists.n[span].tolist() == list(range(len(clips[video])))
    assert lists.total_ms().tolist() == [sum(clips[v]) for v in lists.video_id.to_pylist()]


def test_rows_out_of_order_and_in_parts_are_put_in_order() -> None:
    one = pa.table({"video_id": ["b", "a", "b"], "n": [2, 0, 1], "duration_ms": [20, 5, 10]})
    two = pa.table({"video_id": ["c"], "n": [0], "duration_ms": [7]})
    lists = clip_lists([one, two])
    assert dict(zip(lists.video_id.to_pylist(), np.split(lists.ms, lists.starts[1:-1]), strict=True))["b"].tolist() == [
        10,
        20,
    ]
    assert lists.indices(["b.2", "b.3", "c.0", "d.0"]).keys() == {"b.2", "c.0"}


def test_gathering_in_blocks_is_gathering_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(100, dtype=np.int32)
    starts, counts = np.array([90, 0, 50, 3]), np.array([10, 5, 0, 7])
    whole = runs_of(values, starts, counts)
    monkeypatch.setattr("pipeline.balance.clip_lists.CLIPS_AT_A_TIME", 4)
    assert runs_of(values, starts, counts).tolist() == whole.tolist() == [*range(90, 100), *range(5), *range(3, 10)]


@given(st.lists(st.lists(st.integers(0, 70_000), max_size=6), max_size=8), st.integers(1, 9), st.randoms())
def test_the_first_clips_are_summed_in_blocks_of_any_size(videos: list[list[int]], at_a_time: int, draw: Any) -> None:
    starts = np.cumsum([0, *map(len, videos)])
    ms = smallest(np.array([x for video in videos for x in video], np.int32))
    lists = ClipLists(pa.array([str(i) for i in range(len(videos))]), starts, ms, ms)
    n = np.array([draw.randint(0, len(video)) for video in videos], np.int64)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("pipeline.balance.clip_lists.CLIPS_AT_A_TIME", at_a_time)
        sums = lists.ms_of_first(n)
    assert sums.tolist() == [sum(video[:k]) for video, k in zip(videos, n.tolist(), strict=True)]
