"""The decode pass: every frame once, in order, with its time; faults told, never mended in silence."""

from pathlib import Path

import av
import numpy as np
import pytest

from hdvila_testing.frame_code import read_frame_code
from hdvila_testing.video import a_video
from pipeline.config.media import MediaLimits
from pipeline.media.audio_blocks import AudioBlock, Wanted
from pipeline.media.frames import (
    DecodeFault,
    Picture,
    Scaler,
    Stretch,
    decode_video,
    merge_stretches,
    scaled_size,
    turned,
)
from pipeline.media.planes import chroma_of, luma_of
from pipeline.media.probe import probe

SMALL = {"width": 320, "height": 180}


def numbers(path: Path, stretches: list[Stretch] | None = None, *, rough: bool = False) -> list[int | None]:
    source = probe(path)
    items = list(decode_video(source, MediaLimits(), stretches, rough=rough))
    assert all(isinstance(item, Picture) for item in items)
    return [read_frame_code(item.frame.to_ndarray(format="rgb24")) for item in items if isinstance(item, Picture)]


def test_frames_may_be_given_another_clock_by_those_who_take_them(tmp_path: Path) -> None:
    """A proxy does, where the film has its size and format already, and the frame is not copied."""
    found = []
    for item in decode_video(probe(a_video(tmp_path / "a.mp4", seconds=2, gop=30, **SMALL)), MediaLimits()):
        assert isinstance(item, Picture)
        found.append(item.time_ms)
        item.frame.pts = 10**9
    assert found == list(range(0, 2000, 40))


def test_a_whole_video_gives_every_frame_once(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.mp4", seconds=4, gop=30, **SMALL)
    assert numbers(path) == list(range(100))
    assert numbers(path, rough=True) == list(range(100))


def test_stretches_give_their_frames_and_no_others(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.ts", seconds=8, gop=30, start_s=50, **SMALL)
    late = probe(path).video.start_ms  # pictures start a little after the sound
    found = numbers(path, [Stretch(1000 + late, 2000 + late), Stretch(6000 + late, 6200 + late)])
    assert found == [*range(25, 50), *range(150, 155)]


WITHHELD_S = 1024 / 48_000
"""The AAC decoder of FFmpeg 9 gives nothing for the first packet after a seek; what clips want begins 200 ms early."""


def test_audio_comes_between_the_pictures_where_it_is_wanted_and_nowhere_else(tmp_path: Path) -> None:
    source = probe(a_video(tmp_path / "a.mp4", seconds=4, gop=30, **SMALL))
    assert source.audio is not None
    blocks = [i for i in decode_video(source, MediaLimits(), hear=[Wanted(1000, 2000)]) if isinstance(i, AudioBlock)]

    heard = [block for block in blocks if block.frame is not None]
    base = source.audio.time_base
    assert 0.9 <= float(heard[0].tick * base) <= 1.0 + WITHHELD_S and 2.0 <= float(heard[-1].end_tick * base) <= 2.1
    assert not [i for i in decode_video(source, MediaLimits()) if isinstance(i, AudioBlock)]


def test_a_damaged_packet_is_a_fault_at_its_time(samples: Path) -> None:
    source = probe(samples / "videos" / "decord__corrupted.mp4")
    faults = [item for item in decode_video(source, MediaLimits()) if isinstance(item, DecodeFault)]
    assert faults
    assert faults[0].time_ms == 3000


@pytest.mark.parametrize(
    ("width", "height", "proxy", "still"),
    [
        (1280, 720, (320, 180), (1280, 720)),
        (720, 1280, (180, 320), (720, 1280)),
        (1920, 1080, (320, 180), (1280, 720)),
        (1920, 800, (432, 180), (1728, 720)),
        (960, 720, (240, 180), (960, 720)),
    ],
)
def test_sizes_have_the_short_side_and_the_shape_and_are_even(
    width: int, height: int, proxy: tuple[int, int], still: tuple[int, int]
) -> None:
    assert scaled_size(width, height, 180) == proxy
    assert scaled_size(width, height, 720) == still


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_turned_as_a_player_turns_them(tmp_path: Path, rotation: int) -> None:
    """The code is drawn at the stored picture's top left; upright it stands where the rotation takes it."""
    path = a_video(tmp_path / "r.mp4", seconds=0.4, width=640, height=360, rotation=rotation, audio="")
    source = probe(path)
    scaler = Scaler(source, 360, "yuv420p")
    picture = next(item for item in decode_video(source, MediaLimits()) if isinstance(item, Picture))
    upright = scaler(picture.frame).to_ndarray(format="rgb24")
    assert upright.shape[:2] == (source.video.height, source.video.width)
    import numpy as np

    back = np.ascontiguousarray(np.rot90(upright, k=source.video.rotation // 90))
    assert read_frame_code(back) == 0


def test_stretches_are_joined_up_to_the_gap_and_one_inside_another_does_not_shorten_it() -> None:
    assert merge_stretches([Stretch(0, 100), Stretch(150, 200)], 50) == [Stretch(0, 200)]
    assert merge_stretches([Stretch(0, 100), Stretch(151, 200)], 50) == [Stretch(0, 100), Stretch(151, 200)]
    assert merge_stretches([Stretch(0, 900), Stretch(10, 200), Stretch(20, 30)], 0) == [Stretch(0, 900)]
    assert merge_stretches([Stretch(5, 8), Stretch(0, 5)], 0) == [Stretch(0, 8)]


def test_a_size_is_never_less_than_two_pixels() -> None:
    assert scaled_size(4000, 10, 2) == (800, 2)
    assert scaled_size(10, 4000, 1) == (2, 400)
    assert scaled_size(3, 3, 1) == (2, 2)
    assert scaled_size(1279, 719, 180) == (320, 180)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_brightness_and_colour_are_turned_alike(degrees: int) -> None:
    rng = np.random.default_rng(degrees)
    values = rng.integers(16, 235, (36, 32), dtype=np.uint8)  # 24 rows of brightness, 12 of colour
    frame = av.VideoFrame.from_ndarray(values, format="yuv420p")

    upright = turned(frame, degrees)

    k = -degrees // 90
    assert (luma_of(upright) == np.rot90(luma_of(frame), k)).all()
    assert (chroma_of(upright) == np.rot90(chroma_of(frame), k, axes=(1, 2))).all()
    packed = av.VideoFrame.from_ndarray(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8), format="rgb24")
    assert (turned(packed, degrees).to_ndarray() == np.rot90(packed.to_ndarray(), k)).all()
    assert turned(packed, degrees).format.name == "rgb24"
