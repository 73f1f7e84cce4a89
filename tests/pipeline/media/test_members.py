"""Stills and proxies beside what they are made of."""

from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.media import MediaLimits, MembersConfig
from pipeline.media.cutting.span import Span
from pipeline.media.frames import Picture, Scaler, Stretch, decode, merge_stretches, scaled_size
from pipeline.media.members.proxy import ProxyWriter
from pipeline.media.members.stills import still_times_ms
from pipeline.media.probe import probe
from pipeline.testing.frame_code import read_frame_code
from pipeline.testing.video import a_video


@given(st.integers(1, 120_000), st.floats(0.5, 10), st.integers(1, 8))
def test_stills_lie_inside_the_clip_in_order_and_are_enough(duration_ms: int, every_s: float, least: int) -> None:
    config = MembersConfig(still_every_s=every_s, min_stills=least)
    times = still_times_ms(Span(0, 500, 500 + duration_ms), config)
    assert times == sorted(times)
    assert all(0 <= t < duration_ms for t in times)
    assert len(times) >= least
    assert len(times) >= duration_ms / (every_s * 1000) - 1


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


def test_a_proxy_keeps_frame_times_and_begins_at_file_time_zero(tmp_path: Path) -> None:
    path = a_video(tmp_path / "a.mp4", seconds=2, width=640, height=360, gop=20)
    source = probe(path)
    scaler = Scaler(source, 180, "yuv420p")
    start = round(0.33 / source.video.time_base)
    writer = ProxyWriter(source, (scaler.width, scaler.height), start, MembersConfig(proxy_gop=8), threads=1)
    ticks = []
    for item in decode(source, MediaLimits(), [Stretch(330, 1700)]):
        assert isinstance(item, Picture)
        writer.write(scaler(item.frame), item.tick)
        ticks.append(item.tick)
    file = tmp_path / "proxy.mp4"
    file.write_bytes(writer.finish())
    assert b"elst" not in file.read_bytes()
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size]
        times = [p.pts * stream.time_base for p in packets]
        assert times == [(tick - start) * source.video.time_base for tick in ticks]
        assert [i for i, p in enumerate(packets) if p.is_keyframe] == list(range(0, len(packets), 8))


def test_stretches_are_joined_where_a_seek_is_not_worth_it() -> None:
    stretches = [Stretch(9000, 12000), Stretch(0, 2000), Stretch(1500, 3000), Stretch(30_000, 31_000)]
    assert merge_stretches(stretches, 8000) == [Stretch(0, 12000), Stretch(30_000, 31_000)]
    assert merge_stretches([], 8000) == []
