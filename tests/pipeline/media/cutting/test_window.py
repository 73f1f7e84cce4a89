"""The packets of a span, and their decode times: a file's own where they are usable, else made ones that rise."""

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.reasons import Reason
from pipeline.media.cutting.span import Span
from pipeline.media.cutting.window import (
    _Bounds,
    _checked,
    _made_decode_times,
    _run_of,
    decode_times,
    packets_from,
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
@settings(max_examples=200, deadline=None)
def test_made_decode_times_rise_and_never_come_after_the_picture(shown: list[int]) -> None:
    times = _made_decode_times(shown)
    assert len(times) == len(shown)
    assert all(a < b for a, b in pairwise(times))
    assert all(decode <= pts for decode, pts in zip(times, shown, strict=True))


OF_AN_MP4 = SimpleNamespace(container=SimpleNamespace(format=SimpleNamespace(name="mov,mp4")))


class File:
    """A file with one track of pictures (a packet each 1,000 ticks, a keyframe each 4,000), as PyAV shows it."""

    def __init__(self, *, first: int = 0, n: int = 20, lands_late: int = 0, **broken: Any) -> None:
        codec = SimpleNamespace(codec=SimpleNamespace(canonical_name="h264"))
        self.stream: Any = SimpleNamespace(index=0, time_base=Fraction(1, 1000), start_time=first, codec_context=codec)
        self.start_time, self._lands_late, self._broken = 7, lands_late, broken
        self.packets = [a_packet(first + 1000 * i, is_keyframe=i % 4 == 0) for i in range(n)]
        self.sought: list[int] = []

    def seek(self, target: int, *, stream: Any = None, backward: bool) -> None:
        assert backward
        if self._broken.get("index") and stream is not None:
            raise av.error.InvalidDataError(1, "no index")
        self.sought.append(target)

    def demux(self, *_streams: Any) -> Any:
        at = self.sought[-1] + self._lands_late
        keys = [i for i, packet in enumerate(self.packets) if packet.is_keyframe and packet.pts <= at]
        for packet in self.packets[keys[-1] if keys else 0 :]:
            if packet.pts == self._broken.get("at", -1):
                raise av.error.InvalidDataError(1, "damaged")
            yield packet


def a_packet(pts: int | None, *, is_keyframe: bool = False, size: int = 9, **facts: Any) -> Any:
    told = {"stream_index": 0, "is_corrupt": False, "is_discard": False, "dts": pts, "stream": OF_AN_MP4} | facts
    sidedata = told.pop("sidedata", ())
    return SimpleNamespace(
        pts=pts, is_keyframe=is_keyframe, size=size, has_sidedata=lambda name: name in sidedata, **told
    )


def shown(packets: Any) -> list[int]:
    return [packet.pts for packet in packets]


def test_packets_come_from_the_keyframe_before_a_moment_on_to_the_end() -> None:
    file = File()
    assert shown(packets_from(file, file.stream, 9500)) == list(range(8000, 20_000, 1000))
    assert shown(packets_from(file, file.stream, 8000))[0] == 8000
    assert shown(packets_from(file, file.stream, 7999))[0] == 4000


def test_a_seek_that_lands_late_is_tried_again_from_further_back() -> None:
    file = File(lands_late=3000)
    assert shown(packets_from(file, file.stream, 9500))[0] == 8000
    assert file.sought == [9500, 7500]


def test_where_no_keyframe_is_so_early_the_first_one_is_taken() -> None:
    file = File(first=500)
    assert shown(packets_from(file, file.stream, 100))[0] == 500
    assert file.sought[-1] == 100 - 60_000


def test_what_cannot_be_read_ends_the_packets_and_empty_ones_are_none() -> None:
    file = File(at=10_000)
    file.packets[9].size = 0
    assert shown(packets_from(file, file.stream, 8000)) == [8000]


def test_a_file_without_an_index_is_read_from_its_beginning() -> None:
    file = File(index=True)
    assert shown(packets_from(file, file.stream, 9500))[0] == 0 and set(file.sought) == {7}


def test_packets_without_a_presentation_time_name_the_cure() -> None:
    with pytest.raises(Unusable, match=r"use cut\.mode: exact"):
        _run_of(iter([a_packet(None)]), _Bounds(start=0, end=1, earliest=0))


def test_a_windows_packets_are_whole_shown_and_of_one_kind() -> None:
    bounds, span = _Bounds(start=2000, end=4000, earliest=0), Span(0, 2000, 4000)

    def window(**changes: Any) -> Any:
        run = [a_packet(1000, is_keyframe=True), a_packet(900), a_packet(2000), a_packet(3000), a_packet(4000)]
        for key, (at, value) in changes.items():
            setattr(run[at], key, value)
        return _checked(run, bounds, span)

    good = window()
    assert (shown(good.packets), good.first_frame, good.n_frames) == ([1000, 2000, 3000, 4000], 1, 2)
    assert window(is_corrupt=(0, True)).n_frames == 2, "what is shown before the clip may be damaged"
    assert window(has_sidedata=(0, lambda name: True)).n_frames == 2
    assert window(is_discard=(4, True)).n_frames == 2, "what is hidden after the clip is only referred to"
    for changes, words in [
        ({"is_corrupt": (2, True)}, "marked as damaged"),
        ({"is_discard": (3, True)}, "an edit list hides frames inside it"),
        ({"pts": (3, 2000)}, "the same time"),
        ({"has_sidedata": (3, lambda name: name == "new_extradata")}, "parameters change"),
    ]:
        with pytest.raises(Unusable, match=words):
            window(**changes)
    with pytest.raises(Unusable, match="no frame begins between 2000 and 4000 ms") as caught:
        _checked([a_packet(1000), a_packet(4000)], bounds, span)
    assert caught.value.reason is Reason.SPAN_OUTSIDE
