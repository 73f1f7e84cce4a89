"""Measures scene detectors on known transitions, spliced from the samples' shots (bench/scene_truth.py).

    python -m bench.scenes [--samples ../shared/samples] [--seed 3] [--joins 49] [--films 1] [--counts | --only-counts]

By kind of transition: precision, recall and F1 of the joins (a cut within 5 frames, each used once), gradual ones that
came as spans, and what else was mistaken for a join (flashes, jumps of exposure, fast pans). `--films` 0 and 1 are the
halves of the shots: constants were set on 0 with seed 1, and the search for dissolves was corrected after errors on 1,
so neither is unseen; another seed splices them anew (no constant was chosen on 31, and only one, for flashes, on 41).
PySceneDetect's ContentDetector is the baseline. CPU time is this process's, without decoding. `--counts`: also the cuts
that each finds in the samples themselves, and in a drawn film of 720p with eight hard cuts.
"""

import argparse
import tempfile
import time
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.scene_truth import KINDS, TruthFilm, as_small, shots_of, truth_films
from hdvila_testing.video import a_video
from pipeline.config.media import MediaLimits, ScenesConfig
from pipeline.media.frames import SMALL_SHORT_SIDE, Picture, Scaler, decode_video
from pipeline.media.probe import Probe, Unusable, probe
from pipeline.media.scenes import SceneFinder, Scenes

DETECTORS = ("content", "adaptive", "shots")
LIMITS = MediaLimits()
NEAR_FRAMES, FPS = 5, 25
DRAWN_CUTS = tuple(range(90, 900, 110))


def main() -> None:
    """Prints a table per detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "samples")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--joins", type=int, default=49, help="of each kind")
    parser.add_argument("--films", type=int, choices=(0, 1), default=1)
    parser.add_argument("--counts", action="store_true")
    parser.add_argument("--only-counts", action="store_true")
    parser.add_argument("--detectors", nargs="+", default=DETECTORS)
    arguments = parser.parse_args()
    if arguments.only_counts:
        count(arguments.samples / "videos", arguments.detectors)
        return
    shots = shots_of(arguments.samples / "videos")
    half = {name: shots[name] for name in sorted(shots)[arguments.films :: 2]}
    films = truth_films(half, arguments.seed, arguments.joins)
    n_joins = sum(event.is_join for film in films for event in film.events)
    print(f"{n_joins} joins in {len(films)} films of {len(half)} shots, seed {arguments.seed}")
    for detector in arguments.detectors:
        report(detector, films)
    if arguments.counts:
        count(arguments.samples / "videos", arguments.detectors)


def report(detector: str, films: list[TruthFilm]) -> None:
    """Measures one detector on all films."""
    sums: dict[str, Any] = {kind: np.zeros(6, np.int64) for kind in KINDS}
    cpu_s, n_frames = 0.0, 0
    for film in films:
        finder = SceneFinder(ScenesConfig.model_validate({"detector": detector}), Fraction(FPS), min_scene_ms=200)
        pictures = [as_small(frame) for frame in film.frames]
        began = time.process_time()
        for i, picture in enumerate(pictures):
            finder.feed(picture, i * 1000 // FPS, partial(_itself, picture))
        scenes = finder.scenes()
        cpu_s += time.process_time() - began
        n_frames += len(pictures)
        sums[film.kind] += score(film, scenes)
    print(f"\n{detector}: {86400 * cpu_s / n_frames:.1f} CPU s an hour at 24 frames a second, pictures given")
    for kind, row in [*sums.items(), ("all", sum(sums.values()))]:
        joins, found, hits, spans, others, taken = (int(value) for value in row)
        precision, recall = hits / max(found, 1), hits / max(joins, 1)
        line = f"  {kind:9s} {joins:4d} joins  P {precision:.3f}  R {recall:.3f}  F1 {2 * hits / (joins + found):.3f}"
        line += f"  {spans} as spans" if spans else ""
        print(line + (f"  {taken} of {others} others taken for joins" if others else ""), flush=True)


def _itself(picture: Any) -> Any:
    return picture


def score(film: TruthFilm, scenes: Scenes) -> list[int]:
    """Joins, found, hits, hits that came as spans, other events, other events mistaken for joins."""
    frames = [round(cut * FPS / 1000) for cut in scenes.cuts_ms]
    spans = [tuple(round(ms * FPS / 1000) for ms in span) for span in scenes.spans_ms]
    left, hits, as_spans = list(frames), 0, 0
    joins = [event for event in film.events if event.is_join]
    for join in joins:
        near = [frame for frame in left if join.first - NEAR_FRAMES <= frame <= join.last + NEAR_FRAMES]
        if not near:
            continue
        hits += 1
        left.remove(min(near, key=lambda frame: abs(2 * frame - join.first - join.last)))
        as_spans += join.is_gradual and any(a <= join.last and b >= join.first for a, b in spans)
    others = [event for event in film.events if not event.is_join]
    taken = sum(any(e.first - NEAR_FRAMES <= f <= e.last + NEAR_FRAMES for f in left) for e in others)
    return [len(joins), len(frames), hits, as_spans, len(others), taken]


def count(folder: Path, detectors: list[str]) -> None:
    """Counts the cuts found in a drawn film and in the samples themselves."""
    print("\ncuts found (gradual ones among them): " + ", ".join(detectors))
    with tempfile.TemporaryDirectory() as scratch:
        drawn = a_video(Path(scratch) / "drawn.mp4", seconds=30, fps=Fraction(30), gop=60, cuts=DRAWN_CUTS)
        for path in (drawn, *sorted(folder.glob("*.*"))):
            try:
                source = probe(path, LIMITS)
            except Unusable:
                continue
            scenes = scenes_by(detectors, source)
            cells = ", ".join(f"{len(one.cuts_ms)} ({len(one.spans_ms)})" for one in scenes)
            print(f"  {path.name[:48]:48s} {cells}", flush=True)


def scenes_by(detectors: list[str], source: Probe) -> list[Scenes]:
    """What each detector finds in a film that is decoded once, roughly, as `find_scenes` does."""
    finders = [SceneFinder(ScenesConfig.model_validate({"detector": d}), source.video.fps) for d in detectors]
    scaler = Scaler(source, SMALL_SHORT_SIDE, "yuv420p")
    for item in decode_video(source, LIMITS, rough=True):
        if isinstance(item, Picture):
            small = cache(partial(scaler, item.frame))
            for finder in finders:
                finder.feed(item.frame, item.time_ms, small)
    return [finder.scenes() for finder in finders]


if __name__ == "__main__":
    main()
