"""The proxy keeps frame times and begins at zero."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from hdvila_testing.video import a_video
from pipeline.config.media import MediaLimits, MembersConfig
from pipeline.media.frames import Picture, Scaler, Stretch, decode_video
from pipeline.media.members.proxy import ProxyWriter, proxy_step, video_faults
from pipeline.media.probe import probe


@pytest.mark.parametrize("suffix", ["mkv", "avi"])
def test_a_proxy_keeps_frame_times_and_begins_at_the_clip_s_start(suffix: str, tmp_path: Path) -> None:
    path = a_video(tmp_path / f"a.{suffix}", seconds=2, width=640, height=360, gop=20, b_frames=0, audio="pcm_s16le")
    source = probe(path)
    scaler = Scaler(source, 180, "yuv420p")
    writer = ProxyWriter(source, (scaler.width, scaler.height), 330)
    ticks = []
    for item in decode_video(source, MediaLimits(), [Stretch(330, 1700)]):
        assert isinstance(item, Picture)
        writer.write(scaler(item.frame), item.tick)
        ticks.append(item.tick)
    file = tmp_path / "proxy.mp4"
    file.write_bytes(writer.finish())
    with av.open(str(file), options={"ignore_editlist": "1"}) as container:
        without = [p.pts for p in container.demux(video=0) if p.size]
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        packets = [p for p in container.demux(stream) if p.size]
        times = [p.pts * stream.time_base for p in packets]
        assert times == [tick * source.video.time_base - Fraction(330, 1000) for tick in ticks]
        assert times[0] == Fraction(30, 1000), "the first frame after 330 ms is shown at 360"
        assert [p.pts for p in packets] == without, "readers that ignore edit lists agree"
        assert [i for i, p in enumerate(packets) if p.is_keyframe] == list(range(0, len(packets), 8))


@pytest.mark.parametrize(
    ("n_frames", "fps", "step"),
    [(71, 30, 1), (72, 30, 2), (500, 30, 2), (500, 19, 1), (500, 20, 2), (500, 60, 2), (500, 5, 1), (500, 0, 1)],
)
def test_a_thinned_proxy_keeps_ten_frames_a_second_and_short_clips_whole(n_frames: int, fps: int, step: int) -> None:
    def tools(**members: Any) -> Any:
        config = SimpleNamespace(members=MembersConfig(**members))
        source = SimpleNamespace(video=SimpleNamespace(fps=Fraction(fps)))
        return SimpleNamespace(clip=SimpleNamespace(n_frames=n_frames), config=config, source=source)

    assert proxy_step(tools()) == step
    assert proxy_step(tools(proxy_step=1)) == proxy_step(tools(proxy=False)) == 1
    assert proxy_step(tools(proxy_step=4)) == (1 if n_frames < 72 else max(1, min(4, fps // 10)))


def test_what_is_wrong_with_an_mp4_of_frames_is_said(tmp_path: Path) -> None:
    data = a_video(tmp_path / "a.mp4", seconds=0.4, width=320, height=180, audio="").read_bytes()

    def found(n_frames: int, size: tuple[int, int] | None = (320, 180), *, exactly: bool = False) -> list[str]:
        return list(video_faults("m4v", data, n_frames, size, exactly=exactly))

    assert found(10, exactly=True) == found(10) == found(9) == found(9, None) == []
    assert found(9, exactly=True) == ["m4v: 10 frames decode, the json counts 9"]
    assert found(11) == found(11, exactly=True) == ["m4v: 10 frames decode, the json counts 11"]
    assert found(10, (320, 182)) == ["m4v: pictures are [(320, 180)], the json says (320, 182)"]
    assert next(iter(video_faults("m4v", b"no mp4", 10, None))).startswith("m4v: cannot be decoded")
