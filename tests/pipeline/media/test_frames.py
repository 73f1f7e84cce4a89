"""The decode pass: every frame once, in order, with its time; faults told, never mended in silence."""

from pathlib import Path

from pipeline.config.media import MediaLimits
from pipeline.media.frames import DecodeFault, Picture, Stretch, decode
from pipeline.media.probe import probe
from pipeline.testing.frame_code import read_frame_code
from pipeline.testing.video import a_video

SMALL = {"width": 320, "height": 180}


def numbers(path: Path, stretches: list[Stretch] | None = None, *, rough: bool = False) -> list[int | None]:
    source = probe(path)
    items = list(decode(source, MediaLimits(), stretches, rough=rough))
    assert all(isinstance(item, Picture) for item in items)
    return [read_frame_code(item.frame.to_ndarray(format="rgb24")) for item in items if isinstance(item, Picture)]


def test_a_whole_video_gives_every_frame_once(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.mp4", seconds=4, gop=30, **SMALL)
    assert numbers(path) == list(range(100))
    assert numbers(path, rough=True) == list(range(100))


def test_stretches_give_their_frames_and_no_others(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.ts", seconds=8, gop=30, start_s=50, **SMALL)
    late = probe(path).video.start_ms  # pictures start a little after the sound
    found = numbers(path, [Stretch(1000 + late, 2000 + late), Stretch(6000 + late, 6200 + late)])
    assert found == [*range(25, 50), *range(150, 155)]


def test_a_damaged_packet_is_a_fault_at_its_time(samples: Path) -> None:
    source = probe(samples / "videos" / "decord__corrupted.mp4")
    faults = [item for item in decode(source, MediaLimits()) if isinstance(item, DecodeFault)]
    assert faults
    assert faults[0].time_ms == 3000


def test_times_are_source_times(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.mp4", seconds=1, gop=30, **SMALL)
    items = [item for item in decode(probe(path), MediaLimits()) if isinstance(item, Picture)]
    assert [item.time_ms for item in items] == [40 * i for i in range(25)]
