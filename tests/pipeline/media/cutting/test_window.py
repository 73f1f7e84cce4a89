"""The packets of a span, and their decode times: a file's own where they are usable, else made ones that rise."""

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.media.cutting.span import Span
from pipeline.media.cutting.window import (
    _Bounds,
    _checked,
    _made_decode_times,
    decode_times,
)
from pipeline.media.probe import Unusable


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
@settings(max_examples=80, deadline=None)
def test_made_decode_times_rise_and_never_come_after_the_picture(shown: list[int]) -> None:
    times = _made_decode_times(shown)
    assert len(times) == len(shown)
    assert all(a < b for a, b in pairwise(times))
    assert all(decode <= pts for decode, pts in zip(times, shown, strict=True))


OF_AN_MP4 = SimpleNamespace(container=SimpleNamespace(format=SimpleNamespace(name="mov,mp4")))


def a_packet(pts: int | None, *, is_keyframe: bool = False, size: int = 9, **facts: Any) -> Any:
    told = {"stream_index": 0, "is_corrupt": False, "is_discard": False, "dts": pts, "stream": OF_AN_MP4} | facts
    sidedata = told.pop("sidedata", ())
    return SimpleNamespace(
        pts=pts, is_keyframe=is_keyframe, size=size, has_sidedata=lambda name: name in sidedata, **told
    )


def shown(packets: Any) -> list[int]:
    return [packet.pts for packet in packets]


def test_a_windows_packets_are_whole_shown_and_of_one_kind() -> None:
    bounds, span = _Bounds(start=2000, end=4000, earliest=0), Span(0, 2000, 4000)

    def window(**changes: Any) -> Any:
        run = [a_packet(1000, is_keyframe=True), *map(a_packet, (900, 2000, 3000, 4000, 2500))]
        for key, (at, value) in changes.items():
            setattr(run[at], key, value)
        return _checked(run, bounds, span)

    good = window()
    assert (shown(good.packets), good.first_frame, good.n_frames) == ([1000, 2000, 3000, 4000, 2500], 1, 3)
    assert window(is_corrupt=(0, True)).n_frames == 3, "what is shown before the clip may be damaged"
    assert window(has_sidedata=(0, lambda name: True)).n_frames == 3
    assert window(is_discard=(4, True)).n_frames == 3, "what is hidden after the clip is only referred to"
    assert window(is_discard=(3, True)).n_frames == 2, "and what is hidden at its end"
    later = window(is_discard=(2, True))
    assert (later.first_frame, later.n_frames) == (2, 2)
    for changes, words in [
        ({"is_corrupt": (2, True)}, "marked as damaged"),
        ({"is_discard": (5, True)}, "an edit list hides frames inside it"),
        ({"pts": (3, 2000)}, "the same time"),
        ({"has_sidedata": (3, lambda name: name == "new_extradata")}, "parameters change"),
    ]:
        with pytest.raises(Unusable, match=words):
            window(**changes)
    with pytest.raises(Unusable, match="no frame begins between 2000 and 4000 ms") as caught:
        _checked([a_packet(1000), a_packet(4000)], bounds, span)
    assert caught.value.reason is Reason.SPAN_OUTSIDE
