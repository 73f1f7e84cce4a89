"""The packets of a span, and their decode times: a file's own where they are usable, else made ones that rise."""

from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.cutting.window import _Bounds, _made_decode_times, _run_of, decode_times


def test_a_run_begins_at_the_last_keyframe_before_the_span_wherever_the_reading_began() -> None:
    packets = [SimpleNamespace(pts=pts, dts=pts, is_keyframe=pts % 30 == 0) for pts in range(100)]

    run = _run_of(iter(packets), _Bounds(start=65, end=70, earliest=0))

    assert [packet.pts for packet in run] == list(range(60, 70))


@pytest.mark.parametrize(
    ("own", "kept"),
    [([0, 10, 20], True), ([0, None, 20], False), ([0, 10, 10], False), ([0, 10, 90], False)],
    ids=["sound", "missing", "not rising", "after its picture"],
)
def test_a_files_own_decode_times_are_kept_where_they_are_sound(own: list[int | None], kept: bool) -> None:
    shown = [15, 40, 30]
    packets = [SimpleNamespace(pts=pts, dts=dts) for pts, dts in zip(shown, own, strict=True)]
    assert decode_times(packets) == (own if kept else _made_decode_times(shown))


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=40, unique=True))
@settings(max_examples=200, deadline=None)
def test_made_decode_times_rise_and_never_come_after_the_picture(shown: list[int]) -> None:
    times = _made_decode_times(shown)
    assert len(times) == len(shown)
    assert all(a < b for a, b in pairwise(times))
    assert all(decode <= pts for decode, pts in zip(times, shown, strict=True))
