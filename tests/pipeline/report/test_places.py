"""Each clip of the shards is found among the rows of a table, whatever the pieces in which the shards were read."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.membership import NOWHERE
from pipeline.report import places
from pipeline.report.places import Numbered, Places

CLIPS = st.lists(st.tuples(st.sampled_from(["v", "w", "vv", "x_y"]), st.integers(0, 6)), max_size=25)


def numbered(clips: list[tuple[str, int]]) -> Numbered:
    video_id = pa.chunked_array([[v for v, _ in clips]], pa.string())
    return Numbered.of(video_id, pa.chunked_array([[f"{v}.{n}" for v, n in clips]], pa.string()))


def rows_of(clips: list[tuple[str, int]]) -> pa.Table:
    return pa.table(
        {"video_id": pa.array([v for v, _ in clips], pa.string()), "n": pa.array([n for _, n in clips], pa.int32())}
    )


@given(CLIPS, CLIPS, st.integers(1, 9))
@settings(max_examples=80, deadline=None)
def test_a_row_finds_its_clip_and_no_other(clips: list, asked: list, size: int) -> None:
    made = Places.of([numbered(clips[i : i + size]) for i in range(0, len(clips), size)])
    rows = rows_of(asked)

    assert made.are_known
    for (video, n), row, place in zip(asked, made.of_videos(rows), made.of_clips(rows), strict=True):
        of_video = [clip for clip in clips if clip[0] == video]
        assert (made.n_clips[row] if row != NOWHERE else 0) == len(of_video)
        assert (made.times[place] if place != NOWHERE else 0) == clips.count((video, n))
    found = set(made.of_clips(rows_of(sorted(set(clips)))).tolist())
    assert len(found) == len(set(clips)) and made.times.sum() == len(clips)


def test_ids_without_a_number_and_numbers_beyond_all_reason_have_no_places(monkeypatch: pytest.MonkeyPatch) -> None:
    column = pa.chunked_array([["v", "v"]], pa.string())
    assert not Places.of([Numbered.of(column, pa.chunked_array([["v.1", "one"]], pa.string()))]).are_known
    monkeypatch.setattr(places, "MOST_PLACES", 100)
    far = Places.of([Numbered.of(column, pa.chunked_array([["v.1", "v.100"]], pa.string()))])
    assert not far.are_known and len(far.times) == 0 and far.n_clips.tolist() == [2]
    assert np.array_equal(far.of_videos(rows_of([("v", 1), ("w", 1)])), [0, NOWHERE])
