"""Measures CPU seconds per hour of source video after download, by step, and as a multiple of pure decoding.

    python -m bench.video_hour [VIDEO …] [--samples ../shared/samples]

Everything on is mode remux with proxy, stills, scenes, checks and hashes. The baseline decodes all pictures, by PyAV on
one thread; they take turns, and the ratio is that of their least times, since other work on the machine disturbs both.
Without VIDEO: a drawn film of 720p30 and the samples of at least 720p. A film shorter than a minute is repeated end to
end, so that the costs per video aren't counted as if an hour were hundreds of videos.

The steps are those that the media stage records in each commit (`cpu_s`): probe, cut, decode, repeats (which frames
show what the one before did), shrink (the small frame that scenes, checks, hashes and proxy share), scenes, checks,
hash, proxy, stills, audio, tar; `between` is what the process spent besides. Clips of 10 s with 2 s between them cover
the video, as sentences do. CPU time is this process's; it is scaled to an hour of video.
"""

import argparse
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from hdvila_testing.rows import a_clip_row, a_video_row
from hdvila_testing.video import a_video
from pipeline.config.media import MediaConfig
from pipeline.media.probe import probe
from pipeline.media.stage import packed
from pipeline.media.video import make_video

DEFAULT = (
    "nodejs-docs-samples__ForBiggerEscapes.mp4",
    "normal-distribution-probability-problems___65.ts",
    "video2dataset__test_video.mp4",
)
LEAST_S = 60.0
_PAUSE_S = 0.2
"""Pause between repetitions, s: tracks do not end at the same time."""


def main() -> None:
    """Prints a table per video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*")
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = arguments.videos or [
            a_video(Path(folder) / "drawn.mp4", seconds=30, fps=Fraction(30), gop=60, cuts=tuple(range(90, 900, 110))),
            *(arguments.samples / "videos" / name for name in DEFAULT),
        ]
        for path in paths:
            measure(repeated(path, Path(folder) / f"long-{path.stem}.mp4"), MediaConfig(), arguments.rounds)


def repeated(path: Path, long: Path) -> Path:
    """The film itself, or one made of its packets, end to end, that lasts a minute."""
    duration_s = probe(path).duration_ms / 1000 + _PAUSE_S
    if duration_s >= LEAST_S:
        return path
    with av.open(str(path)) as source:
        tracks = [source.streams.video[0], *source.streams.audio[:1]]
        packets: list[Any] = [packet for packet in source.demux(tracks) if packet.size and packet.dts is not None]
        first = {t.index: min(p.dts for p in packets if p.stream_index == t.index) for t in tracks}
        packet_facts = [
            (p.stream_index, bytes(p), p.pts, p.dts, p.duration, p.time_base, p.is_keyframe) for p in packets
        ]
    with av.open(str(path)) as source, av.open(str(long), "w") as out:
        tracks = [source.streams.video[0], *source.streams.audio[:1]]
        copies = {track.index: out.add_stream_from_template(track, opaque=True) for track in tracks}
        for turn in range(-(-int(LEAST_S) // max(1, int(duration_s)))):
            for index, data, pts, dts, duration, base, is_keyframe in packet_facts:
                shift = round(turn * duration_s / base) - first[index]
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.duration = copies[index], base, duration
                packet.pts, packet.dts, packet.is_keyframe = pts + shift, dts + shift, is_keyframe
                out.mux(packet)
    return long


def pure_decode_s(path: Path) -> float:
    """CPU seconds of decoding all frames by PyAV on one thread."""
    began = time.process_time()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for _ in container.decode(stream):
            pass
    return time.process_time() - began


def measure(path: Path, config: MediaConfig, rounds: int) -> None:
    """Measures one video."""
    source = probe(path)
    hours = source.duration_ms / 3_600_000
    decodes: list[float] = []
    runs: list[tuple[dict[str, float], int]] = []
    for _ in range(rounds):
        decodes.append(pure_decode_s(path))
        runs.append(everything_on(path, config, source.duration_ms))
    steps, pack_bytes = min(runs, key=lambda run: sum(run[0].values()))
    picture = f"{source.video.width}x{source.video.height}, {float(source.video.fps):.1f} fps, {source.video.codec}"
    print(f"{path.name}: {picture}, {source.duration_ms / 1000:.0f} s")
    for step, seconds in sorted(steps.items(), key=lambda item: -item[1]):
        print(f"  {step:8s} {seconds / hours:9.1f} CPU s an hour of video")
    total, decode = sum(steps.values()), min(decodes)
    print(f"  {'all':8s} {total / hours:9.1f} CPU s, {3600 * hours / total:.1f}x real time a core")
    print(f"  pure decode {decode / hours:6.1f} CPU s; everything on is {total / decode:.2f} times that (aim 1.60)")
    sizes = pack_bytes / 1e9 / hours, source.bytes_ / 1e9 / hours
    print(f"  pack {sizes[0]:.2f} GB an hour, source {sizes[1]:.2f} GB an hour", flush=True)


def everything_on(path: Path, config: MediaConfig, duration_ms: int) -> tuple[dict[str, float], int]:
    """(CPU seconds by step, bytes of the pack) of the media stage on one video."""
    starts = range(0, max(1, duration_ms - 2000), 12_000)
    clips = [a_clip_row("v", n, at, min(at + 10_000, duration_ms)) for n, at in enumerate(starts)]
    with tempfile.TemporaryDirectory() as folder:
        (scratch := Path(folder) / "members").mkdir()
        video = a_video_row("v")
        began = time.process_time()
        output = packed(video, make_video(path, video, clips, config, scratch), Path(folder) / "pack.tar")
        spent_s, steps = time.process_time() - began, output.facts["cpu_s"]
        steps["between"] = spent_s - sum(steps.values())
        return steps, sum(file.stat().st_size for file in output.files.values())


if __name__ == "__main__":
    main()
