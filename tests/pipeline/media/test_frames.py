"""The decode pass: every frame once, in order, with its time; faults told, never mended in silence."""

from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.config.media import MediaLimits
from pipeline.media.audio_blocks import AudioBlock, Wanted
from pipeline.media.frames import (
    DecodeFault,
    Picture,
    Scaler,
    Stretch,
    chroma_of,
    decode,
    luma_of,
    merge_stretches,
    scaled_size,
)
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


def test_audio_comes_between_the_pictures_where_it_is_wanted_and_nowhere_else(tmp_path: Path) -> None:
    source = probe(a_video(tmp_path / "a.mp4", seconds=4, gop=30, **SMALL))
    assert source.audio is not None
    blocks = [i for i in decode(source, MediaLimits(), hear=[Wanted(1000, 2000)]) if isinstance(i, AudioBlock)]

    heard = [block for block in blocks if block.frame is not None]
    base = source.audio.time_base
    assert 0.9 <= float(heard[0].tick * base) <= 1.0 and 2.0 <= float(heard[-1].end_tick * base) <= 2.1
    assert not [i for i in decode(source, MediaLimits()) if isinstance(i, AudioBlock)]


def test_a_damaged_packet_is_a_fault_at_its_time(samples: Path) -> None:
    source = probe(samples / "videos" / "decord__corrupted.mp4")
    faults = [item for item in decode(source, MediaLimits()) if isinstance(item, DecodeFault)]
    assert faults
    assert faults[0].time_ms == 3000


def test_times_are_source_times(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.mp4", seconds=1, gop=30, **SMALL)
    items = [item for item in decode(probe(path), MediaLimits()) if isinstance(item, Picture)]
    assert [item.time_ms for item in items] == [40 * i for i in range(25)]


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
    picture = next(item for item in decode(source, MediaLimits()) if isinstance(item, Picture))
    upright = scaler(picture.frame).to_ndarray(format="rgb24")
    assert upright.shape[:2] == (source.video.height, source.video.width)
    import numpy as np

    back = np.ascontiguousarray(np.rot90(upright, k=source.video.rotation // 90))
    assert read_frame_code(back) == 0


def test_stretches_are_joined_where_a_seek_is_not_worth_it() -> None:
    stretches = [Stretch(9000, 12000), Stretch(0, 2000), Stretch(1500, 3000), Stretch(30_000, 31_000)]
    assert merge_stretches(stretches, 8000) == [Stretch(0, 12000), Stretch(30_000, 31_000)]
    assert merge_stretches([], 8000) == []


COLOURS = [((0, 0, 255), 240, 110), ((255, 0, 0), 90, 240), ((90, 90, 90), 128, 128)]


@pytest.mark.parametrize(("colour", "to_blue", "to_red"), COLOURS)
def test_colour_is_given_beside_brightness(colour: tuple[int, int, int], to_blue: int, to_red: int) -> None:
    pixels = np.full((36, 64, 3), colour, np.uint8)
    small = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")

    chroma = chroma_of(small)

    assert luma_of(small).shape == (36, 64) and chroma.shape == (2, 18, 32)
    assert np.allclose(chroma.mean(axis=(1, 2)), (to_blue, to_red), atol=2)
