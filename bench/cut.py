"""Measures the cost of a cut: our whole `cut` command beside what others do, on one video, in one run.

    python bench/cut.py [--minutes 10] [--rounds 1] [--count 24] [--video FILE]

CPU seconds (user + system, including children) for 24 spans of a 720p video with a keyframe every 250 frames:

    first clip         `hdvila-pipeline cut --only-clips` of one span, including the program's start
    remux, exact       `hdvila-pipeline cut --only-clips`, including the program's start
    a                  one ffmpeg -ss … -c copy per span
    b                  one re-encoding ffmpeg -ss … (x264 veryfast) per span

Wall time is printed for the record only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np

REPO = Path(__file__).resolve().parent.parent
FPS = 25
SEED = 11


def make_video(path: Path, minutes: float) -> None:
    """Draws a 720p film of moving textures with burned-in frame numbers and a keyframe every 250 frames only."""
    from hdvila_testing.video import Film, a_video

    film = Film(seconds=minutes * 60, fps=Fraction(FPS), gop=250, crf=26, options={"preset": "veryfast"})
    a_video(path, film)


def make_spans(duration_s: float, count: int) -> list[tuple[int, int]]:
    """Sentences of 5.6 to 19.6 s in order, disjoint, spread over the video."""
    rng = np.random.default_rng(SEED)
    lengths = rng.uniform(5.6, 19.6, count)
    lengths *= min(1.0, 0.44 * duration_s / lengths.sum())
    gaps = rng.dirichlet(np.ones(count + 1)) * (duration_s - lengths.sum() - 1)
    spans, now = [], 0.0
    for gap, length in zip(gaps, lengths, strict=False):
        start = now + gap
        spans.append((round(start * 1000), round((start + length) * 1000)))
        now = start + length
    return spans


def cpu_of(command: list[str], cwd: Path) -> tuple[float, float]:
    """(CPU seconds, wall seconds) of a command and all its children."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # installed code is compiled once
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:6])} … failed: {done.stdout[-500:]} {done.stderr[-1500:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - began


def ours(video: Path, spans: Path, out: Path, *options: str) -> tuple[float, float]:
    """Our command, as a user starts it."""
    command = [sys.executable, "-m", "pipeline", "cut", str(video), "--spans", str(spans), "--out", str(out)]
    return cpu_of([*command, *options], out.parent)


def by_ffmpeg(video: Path, spans: list[tuple[int, int]], out: Path, codec: list[str]) -> tuple[float, float]:
    """Cuts with one ffmpeg per clip, as most scripts do."""
    from pipeline.media.ffmpeg import find_ffmpeg

    out.mkdir()
    cpu = wall = 0.0
    for n, (start, end) in enumerate(spans):
        seek = ["-ss", f"{start / 1000:.3f}", "-t", f"{(end - start) / 1000:.3f}"]
        command = [find_ffmpeg(), "-v", "error", "-nostdin", "-y", *seek, "-i", str(video), *codec]
        command.append(str(out / f"{n:05d}.mp4"))
        one_cpu, one_wall = cpu_of(command, out)
        cpu, wall = cpu + one_cpu, wall + one_wall
    return cpu, wall


def report(name: str, times: list[tuple[float, float]], folder: Path) -> float:
    """Prints one line; returns the median CPU time."""
    cpu = float(np.median([one for one, _ in times]))
    wall = float(np.median([one for _, one in times]))
    size = sum(file.stat().st_size for file in folder.glob("*.mp4")) / 1e6
    print(f"{name:34s} {cpu:8.2f} CPU s {wall:8.1f} wall s {size:7.1f} MB", flush=True)
    return cpu


def main() -> None:
    """Runs everything and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--count", type=int, default=24, help="number of spans")
    parser.add_argument("--video", type=Path)
    parser.add_argument("--skip-encoding", action="store_true", help="leave out what encodes: exact and b")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-cut-") as folder:
        run(Path(folder), arguments)


def run(folder: Path, arguments: argparse.Namespace) -> None:
    """Runs the measurements in one folder."""
    sys.path.insert(0, str(REPO))
    video = arguments.video or folder / "video.mp4"
    if not arguments.video:
        make_video(video, arguments.minutes)
    from pipeline.media.ffmpeg import find_ffmpeg
    from pipeline.media.probe import probe

    spans = make_spans(probe(video).duration_ms / 1000, arguments.count)
    lines = written(spans, folder / "spans.jsonl")
    first = written(spans[:1], folder / "first.jsonl")
    kept_s = sum(b - a for a, b in spans) / 1000
    print(f"{video.stat().st_size / 1e6:.0f} MB, {len(spans)} spans, {kept_s:.0f} s kept", flush=True)
    print(f"a and b by {find_ffmpeg()}; a static one starts in a quarter of the time", flush=True)
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-c:a", "aac"]
    times: dict[str, list[tuple[float, float]]] = {}
    for i in range(arguments.rounds):
        at = {name: folder / f"{name}-{i}" for name in NAMES}
        times.setdefault("a", []).append(by_ffmpeg(video, spans, at["a"], ["-c", "copy"]))
        times.setdefault("remux", []).append(ours(video, lines, at["remux"], "--only-clips"))
        times.setdefault("first", []).append(ours(video, first, at["first"], "--only-clips"))
        if not arguments.skip_encoding:
            times.setdefault("b", []).append(by_ffmpeg(video, spans, at["b"], encode))
            times.setdefault("exact", []).append(ours(video, lines, at["exact"], "--only-clips", "--mode", "exact"))
    last = arguments.rounds - 1
    cpu = {key: report(NAMES[key], times[key], folder / f"{key}-{last}") for key in NAMES if key in times}
    print(f"first clip {cpu['first']:.2f} CPU s (aim 0.3), remux / a = {cpu['remux'] / cpu['a']:.2f} (aim 0.5)")
    if "exact" in cpu:
        print(f"exact / b = {cpu['exact'] / cpu['b']:.2f} (aim 0.8)")


NAMES = {
    "first": "ours, the first clip",
    "remux": "ours, remux",
    "a": "a: ffmpeg -c copy, one a span",
    "exact": "ours, exact",
    "b": "b: ffmpeg x264, one a span",
}


def written(spans: list[tuple[int, int]], path: Path) -> Path:
    """Writes the spans as `cut` reads them."""
    path.write_text("".join(json.dumps({"start_ms": a, "end_ms": b, "text": "x"}) + "\n" for a, b in spans))
    return path


if __name__ == "__main__":
    main()
