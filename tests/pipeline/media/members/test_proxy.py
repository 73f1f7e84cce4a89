"""The proxy keeps frame times and begins at zero."""

from pathlib import Path

import av

from pipeline.config.media import MediaLimits, MembersConfig
from pipeline.media.frames import Picture, Scaler, Stretch, decode
from pipeline.media.members.proxy import ProxyWriter
from pipeline.media.probe import probe
from pipeline.testing.video import a_video


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
