"""Measures scene detectors on known transitions: 20 kinds at three rates (bench/scene_truth.py).

    python -m bench.scenes FOLDER [--seed 7] [--detectors content shots]

FOLDER holds films of one shot each, which are spliced; docs/lab/clips.md names those that its figures come from.
By kind: precision, recall and F1 of the joins (a cut within a fifth of a second, each used once), gradual ones that
came as spans, and what else was mistaken for a join (flashes, captions, pans). PySceneDetect's ContentDetector is the
baseline. CPU time is this process's, without decoding.
"""

import argparse
import time
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scenedetect import FrameTimecode
from scenedetect.detectors import ContentDetector

from bench.scene_truth import KINDS, RATES, TruthFilm, as_small, shots_of, truth_films
from pipeline.media.scenes import SceneFinder, Scenes

DETECTORS = ("content", "shots")
NEAR_S = 0.2
MIN_SCENE_MS = 200


def main() -> None:
    """Prints a table per detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, help="a folder of films of one shot each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rates", type=int, nargs="+", default=RATES, help="frames a second of the films")
    parser.add_argument("--detectors", nargs="+", default=DETECTORS)
    arguments = parser.parse_args()
    shots = shots_of(arguments.films)
    films = truth_films(shots, arguments.seed, arguments.rates)
    n_joins = sum(event.is_join for film in films for event in film.events)
    print(f"{n_joins} joins in {len(films)} films of {len(shots)} shots, seed {arguments.seed}")
    f1 = {detector: report(detector, films) for detector in arguments.detectors}
    for other in (one for one in f1 if one != "shots" and "shots" in f1):
        below = [
            f"{kind} ({f1['shots'][kind]:.3f}, {f1[other][kind]:.3f})"
            for kind in KINDS
            if f1["shots"][kind] < f1[other][kind]
        ]
        print(f"shots is below {other} in: {', '.join(below) or 'no kind'}")


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


def _finder(detector: str, rate: int) -> "SceneFinder | Content":
    return SceneFinder(Fraction(rate), MIN_SCENE_MS) if detector == "shots" else Content(rate)


class Content:
    """PySceneDetect's ContentDetector as its own defaults have it, fed as the finder of shots is."""

    def __init__(self, rate: int) -> None:
        self._rate, self._times_ms, self._cuts = rate, list[int](), list[int]()
        self._detector: Any = ContentDetector(min_scene_len=round(MIN_SCENE_MS * rate / 1000))

    def feed(self, frame: Any, time_ms: int, _small: Any) -> None:
        """Takes the next frame, and its time."""
        timecode = FrameTimecode(len(self._times_ms), self._rate)
        self._times_ms.append(time_ms)
        picture = frame.reformat(format="bgr24").to_ndarray()
        self._cuts += [cut.frame_num for cut in self._detector.process_frame(timecode, picture)]

    def scenes(self) -> Scenes:
        """The cuts that were found."""
        return Scenes([self._times_ms[cut] for cut in sorted(set(self._cuts)) if cut > 0])


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


if __name__ == "__main__":
    main()
