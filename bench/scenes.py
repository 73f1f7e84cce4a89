"""Scene cuts: speed as a multiple of real time per core, and agreement with plain ContentDetector at full size.

    python -m bench.scenes [--samples ../shared/samples] [--short-sides 72 144]

On generated films (hard cuts, cross-fades, flashes) and on the samples of at least 320 x 180. Agreement is F1 of cuts
within 3 frames. CPU time is user + system of this process, decoding included.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from pipeline.config.media import MediaLimits, ScenesConfig
from pipeline.media.frames import Picture, decode
from pipeline.media.probe import Probe, Unusable, probe
from pipeline.media.scenes import SceneFinder, find_cuts
from pipeline.testing.video import Film, a_video

LIMITS = MediaLimits(max_pixels=10**9)
TOLERANCE_FRAMES = 3


def plain_cuts(source: Probe) -> list[int]:
    """ContentDetector as PySceneDetect has it, on every frame at full size."""
    config = ScenesConfig()
    finder = SceneFinder(config, source.video.fps)
    for item in decode(source, LIMITS):
        if isinstance(item, Picture):
            finder.feed(item.frame.to_ndarray(format="bgr24"), item.time_ms)
    return finder.cuts_ms()


def matches(found: list[int], wanted: list[int], tolerance_ms: float) -> int:
    """Cuts of `wanted` with one of `found` near, each of which serves once."""
    left, hits = list(found), 0
    for cut in wanted:
        near = [one for one in left if abs(one - cut) <= tolerance_ms]
        if near:
            left.remove(min(near, key=lambda one: abs(one - cut)))
            hits += 1
    return hits


def generated(folder: Path) -> dict[str, Path]:
    """Films of 20 s with a new scene every 2.2 s: hard cuts, cuts and flashes, cross-fades of half a second."""
    cuts = tuple(range(60, 480, 55))
    film = Film(seconds=20, cuts=cuts, gop=250, fps=Fraction(24))
    films = {
        "generated, hard cuts": film,
        "generated, hard cuts and flashes": replace(film, flashes=tuple(cut + 20 for cut in cuts)),
        "generated, cross-fades": replace(film, fade_frames=12),
    }
    return {name: a_video(folder / f"{i}.mp4", film) for i, (name, film) in enumerate(films.items())}


def main() -> None:
    """Prints a line a film and the totals a setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    parser.add_argument("--short-sides", type=int, nargs="+", default=[ScenesConfig().short_side])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        films = generated(Path(folder))
        for path in sorted((arguments.samples / "videos").glob("*.*")):
            if path.suffix != ".tsv":
                films[path.name[:40]] = path
        run(films, arguments.short_sides)


def run(films: dict[str, Path], short_sides: list[int]) -> None:
    """Each film with each setting beside plain ContentDetector."""
    totals = {side: np.zeros(5) for side in short_sides}  # hits, found, wanted, seconds of 720p video, CPU of them
    plain_s = np.zeros(2)
    for name, path in films.items():
        try:
            source = probe(path, LIMITS)
        except Unusable:
            continue
        if source.video.fps < 10 or source.duration_ms < 4000 or source.video.short_side < 180:
            continue
        began = time.process_time()
        wanted = plain_cuts(source)
        plain_cpu, duration_s = time.process_time() - began, source.duration_ms / 1000
        is_720p = source.video.codec == "h264" and source.video.short_side == 720
        plain_s += [duration_s, plain_cpu] if is_720p else [0, 0]
        size = f"{source.video.width}x{source.video.height}"
        line = f"{name:42s} {size:9s} plain {len(wanted):3d} cuts {duration_s / plain_cpu:6.1f}x"
        for side in short_sides:
            began = time.process_time()
            found = find_cuts(source, LIMITS, ScenesConfig(short_side=side))
            cpu = time.process_time() - began
            hits = matches(found, wanted, 1000 * TOLERANCE_FRAMES / float(source.video.fps) + 1)
            totals[side] += [hits, len(found), len(wanted), duration_s * is_720p, cpu * is_720p]
            line += f"   {side}: {len(found):3d} cuts, {hits:3d} agree {duration_s / cpu:6.1f}x"
        print(line, flush=True)
    print(f"plain at full size: {plain_s[0] / max(plain_s[1], 1e-9):.1f}x real time a core on 720p H.264")
    for side, (hits, found, n_wanted, seconds, cpu) in totals.items():
        f1 = 2 * hits / max(found + n_wanted, 1)
        print(f"short side {side}: F1 {f1:.3f} (aim 0.95), {seconds / max(cpu, 1e-9):.1f}x on 720p H.264 (aim 25)")


if __name__ == "__main__":
    main()
