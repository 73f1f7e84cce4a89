"""Stills: inside the clip, in order, and enough of them."""

import io
import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import Any, cast

import av
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.media import MembersConfig
from pipeline.media.cutting.span import Span
from pipeline.media.frames import Picture
from pipeline.media.members.stills import StillsWriter, faults, still_times_ms


@given(st.integers(1, 120_000), st.floats(0.5, 10), st.integers(1, 8))
def test_stills_lie_inside_the_clip_in_order_and_are_enough(duration_ms: int, every_s: float, least: int) -> None:
    config = MembersConfig(still_every_s=every_s)
    times = still_times_ms(Span(0, 500, 500 + duration_ms), config, least)
    assert times == sorted(times)
    assert all(0 <= t < duration_ms for t in times)
    assert len(times) >= least
    assert len(times) >= duration_ms / (every_s * 1000) - 1


def test_stills_lie_in_the_middle_of_equal_parts() -> None:
    config = MembersConfig(still_every_s=2.0)
    assert still_times_ms(Span(0, 500, 8500), config, 2) == [1000, 3000, 5000, 7000]
    assert still_times_ms(Span(0, 500, 8501), config, 2) == [800, 2400, 4000, 5600, 7200]
    assert still_times_ms(Span(0, 0, 1000), config, 2) == [250, 750]


class Drawn:
    """A scaler whose pictures are as bright as their frames' numbers."""

    def __call__(self, frame: int) -> Any:
        return SimpleNamespace(to_ndarray=lambda: np.full((36, 64, 3), frame, np.uint8))


def offered(times_ms: list[int], wanted_ms: list[int], *, step: int = 1, quality: int = 90) -> StillsWriter:
    writer = StillsWriter(cast(Any, Drawn()), list(wanted_ms), quality, step)
    for number, clip_ms in enumerate(times_ms):
        writer.offer(Picture(0, 0, number), lambda: None, clip_ms)
    return writer


def test_each_still_is_the_first_frame_at_or_after_its_time() -> None:
    times_ms = [10, 50, 90, 130, 170, 210, 250]
    taken = offered(times_ms, [50, 91, 240])
    assert [(still.frame, still.time_ms) for still in taken.stills] == [(1, 50), (3, 130), (6, 250)]
    assert [s.frame for s in offered(times_ms, [0, 20, 49, 200]).stills] == [0, 1, 5]
    assert [s.frame for s in offered(times_ms, [60, 70, 80]).stills] == [2], "one frame serves several times"
    assert [s.frame for s in offered(times_ms, [50, 91], step=2).stills] == [2, 4], "of those that the proxy has too"


def test_stills_lie_end_to_end_and_show_their_frames() -> None:
    writer = offered(list(range(0, 3000, 40)), [400, 1200, 2000])
    assert [still.offset for still in writer.stills] == [0, *np.cumsum([s.size for s in writer.stills])[:-1]]
    assert sum(still.size for still in writer.stills) == len(writer.data)
    for still in writer.stills:
        jpeg = bytes(writer.data[still.offset : still.offset + still.size])
        with av.open(io.BytesIO(jpeg), format="jpeg_pipe") as container:
            shown = next(container.decode(video=0)).to_ndarray(format="gray")
        assert shown.shape == (36, 64) and abs(int(shown.mean()) - still.frame) <= 2


def test_a_picture_that_stays_is_stored_once() -> None:
    writer = StillsWriter(cast(Any, Drawn()), [0, 200, 400], 90)
    slides = [lambda: "one", lambda: "two"]
    for number in range(15):
        writer.offer(Picture(0, 0, number), slides[number > 7], number * 40)

    first, again, other = writer.stills
    assert (first.offset, first.size) == (again.offset, again.size) and other.offset == first.size
    assert [first.frame, again.frame, other.frame] == [0, 5, 10] and other.offset + other.size == len(writer.data)


def test_what_is_wrong_with_stills_is_said() -> None:
    writer = offered(list(range(0, 3000, 40)), [0, 3000 - 40])
    good = [asdict(still) for still in writer.stills]

    def found(changes: dict[str, int] | None = None, data: bytes = bytes(writer.data), **facts: int) -> list[str]:
        told: dict[str, Any] = {"n_frames": 75, "duration_ms": 2960, "stills_width": 64, "stills_height": 36} | facts
        index = json.dumps([good[0], {**good[1], **(changes or {})}])
        return list(faults(cast(Any, SimpleNamespace(stills=index, **told)), data))

    assert found() == []
    assert found(n_frames=74) == ["mjpg: still 1 shows frame 74 of 74"]
    assert found({"frame": -1}) == ["mjpg: still 1 shows frame -1 of 75"] and found({"frame": 0}) == []
    assert found(duration_ms=2959) == ["mjpg: still 1 is at 2960 ms of 2959"]
    assert found({"time_ms": -1}) == ["mjpg: still 1 is at -1 ms of 2960"]
    assert found(stills_width=65) == ["mjpg: still 0 is 64x36", "mjpg: still 1 is 64x36"]
    spoilt = bytes(writer.data[: good[1]["offset"]]) + bytes(good[1]["size"])
    assert found(data=spoilt) == ["mjpg: still 1 is not a JPEG"]
    longer = found(data=bytes(writer.data) + b"x")
    assert longer == [f"mjpg: has {len(writer.data) + 1} bytes, the json's stills end at {len(writer.data)}"]
