"""CPU seconds for an hour of source video after download, by step; mode remux with all members and checks on.

    python -m bench.video_hour [VIDEO …] [--samples ../shared/samples]

The steps are what the media stage notes in each commit (`cpu_s`): probe, cut, decode, shrink (the small picture that
scenes, checks, hashes and proxy share), scenes, checks, hash, proxy, stills, sound, tar. Clips of 10 s with 2 s between
them cover the video, as sentences do. CPU time is this process's; it is scaled to an hour of video.
"""

import argparse
import tempfile
from pathlib import Path

from pipeline.config.media import MediaConfig
from pipeline.media.probe import probe
from pipeline.media.stage import packed
from pipeline.media.video import make_video
from pipeline.testing.rows import a_clip_row, a_video_row

DEFAULT = (
    "nodejs-docs-samples__ForBiggerEscapes.mp4",
    "normal-distribution-probability-problems___65.ts",
    "video2dataset__test_video.mp4",
)


def main() -> None:
    """Prints a table a video."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*")
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    arguments = parser.parse_args()
    for path in arguments.videos or [arguments.samples / "videos" / name for name in DEFAULT]:
        measure(path)


def measure(path: Path) -> None:
    """One video."""
    source = probe(path)
    starts = range(0, max(1, source.duration_ms - 2000), 12_000)
    clips = [a_clip_row("v", n, at, min(at + 10_000, source.duration_ms)) for n, at in enumerate(starts)]
    with tempfile.TemporaryDirectory() as folder:
        (scratch := Path(folder) / "members").mkdir()
        video = a_video_row("v")
        output = packed(video, make_video(path, video, clips, MediaConfig(), scratch), Path(folder) / "pack.tar")
        pack_bytes = sum(file.stat().st_size for file in output.files.values())
    hours = source.duration_ms / 3_600_000
    picture = f"{source.video.width}x{source.video.height}, {float(source.video.fps):.1f} fps, {source.video.codec}"
    print(f"{path.name}: {picture}, {source.duration_ms / 1000:.0f} s, {len(clips)} clips")
    steps = output.facts["cpu_s"]
    for step, seconds in sorted(steps.items(), key=lambda item: -item[1]):
        print(f"  {step:8s} {seconds / hours:9.1f} CPU s an hour of video")
    total = sum(steps.values())
    print(f"  {'all':8s} {total / hours:9.1f} CPU s, {3600 * hours / total:.1f}x real time a core")
    print(f"  pack {pack_bytes / 1e9 / hours:.2f} GB an hour, source {source.bytes_ / 1e9 / hours:.2f} GB an hour")


if __name__ == "__main__":
    main()
