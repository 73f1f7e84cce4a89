"""What a probe tells of tracks and packets as PyAV gives them, without files that are so."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from pipeline.media import probe as module
from pipeline.media.probe import Probe, Unusable, probe


def a_stream(index: int = 0, *, marked: str = "", size: tuple[int, int] = (64, 36), **facts: Any) -> Any:
    """What PyAV says of a track; `marked`: its dispositions."""
    bits = sum(getattr(av.stream.Disposition, word) for word in marked.split())
    codec = {"codec": SimpleNamespace(canonical_name="h264"), "width": size[0], "height": size[1], "pix_fmt": None}
    codec |= {
        "extradata": None,
        "format": None,
        "field_order": 0,
        "color_trc": 1,
        "colorspace": 1,
        "color_range": 1,
        "color_primaries": 1,
    }
    codec |= {key: facts.pop(key) for key in list(facts) if key in (*codec, "sample_rate", "channels")}
    told = {"index": index, "disposition": bits, "time_base": Fraction(1, 1000), "start_time": 0, "duration": 5000}
    told |= {"average_rate": None, "guessed_rate": None, "base_rate": None, "sample_aspect_ratio": None, "language": ""}
    return SimpleNamespace(codec_context=SimpleNamespace(**codec), **told | facts)


DAMAGED = -1


def a_picture(rotation: int = 0) -> Any:
    return SimpleNamespace(rotation=rotation, interlaced_frame=False, side_data={})


class File(AbstractContextManager["File"]):
    """What PyAV says of a file of packets (pts, duration, size), ms; a seek leaves out what lies before it.

    `decoded`: what the packets' decoding gives in turn, an error or pictures; for those after them, one picture.
    """

    def __init__(
        self,
        *video: Any,
        packets: Sequence[tuple[int | None, int | None, int]] = ((0, 5000, 9),),
        audio: Sequence[Any] = (),
        duration_s: float | None = None,
        start_s: float = 0,
        decoded: Sequence[Any] = (),
    ) -> None:
        self.streams = SimpleNamespace(video=list(video) or [a_stream()], audio=list(audio))
        self.format = SimpleNamespace(name="matroska")
        self.duration = None if duration_s is None else round(duration_s * av.time_base)
        self.start_time = round(start_s * av.time_base)
        self.packets, self.decoded, self.sought_us = packets, list(decoded), list[int]()

    def __exit__(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass

    def seek(self, to_us: int, *, backward: bool) -> None:
        self.sought_us += [to_us] if backward else []

    def demux(self, _stream: Any) -> Any:
        for pts, duration, size in self.packets:
            if pts == DAMAGED:
                raise av.error.InvalidDataError(1, "damaged")
            if pts is None or pts * 1000 >= self.sought_us[-1]:
                packet = {"pts": pts, "dts": pts, "duration": duration, "size": size, "decode": self.decode}
                told = {"is_keyframe": False, "is_discard": False, "has_sidedata": lambda name: False}
                yield SimpleNamespace(**packet, **told)

    def decode(self) -> Any:
        result = self.decoded.pop(0) if self.decoded else [a_picture()]
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[File], Probe]:
    """What is told of a file."""
    path = tmp_path / "film.mkv"
    path.write_bytes(b"film")

    def told_of(file: File) -> Probe:
        monkeypatch.setattr(module, "open_media", lambda *_: file)
        return probe(path)

    return told_of


def test_the_video_is_the_default_track_else_the_largest_and_never_cover_art(told: Callable[[File], Probe]) -> None:
    low, high = a_stream(0, size=(60, 40)), a_stream(1, size=(40, 90))
    assert told(File(low, high)).video.index == 1
    assert told(File(a_stream(2, marked="default", size=(6, 4)), low, high)).video.index == 2
    assert told(File(a_stream(3, marked="default attached_pic", size=(999, 999)), low)).video.index == 0
    without_decoder = SimpleNamespace(index=4, codec_context=None, disposition=0)
    assert told(File(without_decoder, low)).video.index == 0
    with pytest.raises(Unusable):
        told(File(a_stream(3, marked="attached_pic")))


@pytest.mark.parametrize("size", [(0, 36), (64, 0), (-1, 36), (64, -1)])
def test_a_track_without_a_frame_size_is_broken(size: tuple[int, int], told: Callable[[File], Probe]) -> None:
    assert told(File(a_stream(size=(1, 1)))).video.width == 1
    with pytest.raises(Unusable, match="gives no frame size"):
        told(File(a_stream(size=size)))


def test_a_declared_length_is_the_tracks_else_the_files(told: Callable[[File], Probe]) -> None:
    exact = a_stream(duration=10_001, time_base=Fraction(1, 3000))
    assert told(File(exact, duration_s=7.000_999)).declared_ms == 3334
    unsaid = a_stream(duration=None)
    assert told(File(unsaid, duration_s=7.000_999)).declared_ms == 7000
    assert told(File(unsaid)).declared_ms == -1


def test_the_end_is_that_of_the_picture_that_ends_last_empty_packets_aside(told: Callable[[File], Probe]) -> None:
    packets = [(0, 40, 9), (120, 40, 9), (40, 200, 9), (80, None, 9), (900, 40, 0)]
    assert told(File(packets=packets)).duration_ms == 240
    assert told(File(packets=[(70, None, 5)])).duration_ms == 70
    with pytest.raises(Unusable, match="no video packets"):
        told(File(packets=[]))


def test_packets_behind_damage_do_not_count_and_damage_alone_is_a_reason(told: Callable[[File], Probe]) -> None:
    assert told(File(packets=[(40, 40, 9), (DAMAGED, 0, 9), (900, 40, 9)])).duration_ms == 80
    assert told(File(packets=[(40, 40, 9), (DAMAGED, 0, 9), (29_000, 40, 9)], duration_s=30)).duration_ms == 80
    with pytest.raises(Unusable, match="its packets cannot be read"):
        told(File(packets=[(DAMAGED, 0, 9)]))


def test_the_first_picture_is_looked_for_behind_packets_that_do_not_decode(told: Callable[[File], Probe]) -> None:
    nothing = [av.error.InvalidDataError(1, "damaged"), []]
    packets = [(at, 40, 9) for at in (0, 40, 80)]
    assert told(File(packets=packets, decoded=[*nothing, [a_picture(90), a_picture(180)]])).video.rotation == 270
    with pytest.raises(Unusable, match="none of its first"):
        told(File(packets=packets[:2], decoded=nothing))
