"""Does a third tower hear? A drawn set with one attribute that only sound tells, and what a model makes of it.

    python -m bench.learning.sounding [--seeds 0 1 2] [--out out/heard]

A ball rolls over a grey ground, and each clip has tones of one of four pitches: "a red ball rolls left with a shrill
tone". Who only sees guesses among four clips that look alike: 25 % is the ceiling. Trains pictures alone (`hd_vila`),
pictures and sound (`hd_vila_sound`), and that with the term between both; scores each with the clips' sound and
without. Prints a table over seeds; a second call does what is missing.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from bench.learning.attribute_set import MEDIA, films, make_films
from bench.learning.attributes import Scene, all_scenes
from bench.learning.hybrid_vs_low import CONFIG, cells_of, program, sets
from pipeline.config.media import CutConfig, MediaConfig

PITCHES = {"deep": 220.0, "low": 440.0, "high": 880.0, "shrill": 1760.0}
"""Hz; an octave each."""
MEL = {**MEDIA.model_dump()["members"], "mel": True}
HEARD_MEDIA = MediaConfig(**{**MEDIA.model_dump(), "cut": CutConfig(min_short_side=0), "members": MEL})
SOUND = ["model.kind=hd_vila_sound"]
ARMS = {"pictures": [], "pictures and sound": SOUND, "with the term between both": [*SOUND, "objective.sound=0.5"]}
HEIGHT = 180
"""Lines of the films: the low view shows no more."""


class Toned(Scene):
    """Scenes whose ground is always the same; what a hatching is in others is a pitch here."""

    hatchings: ClassVar = dict.fromkeys(PITCHES, ((0, 1),))
    sentence = "a {colour} ball rolls {way} with a {hatching} tone"
    tones: ClassVar = PITCHES


def make_set(out: Path) -> Path:
    """Draws, cuts and shards the set; returns its manifest."""
    manifest = out / "set" / "manifest.json"
    if not manifest.exists():
        scenes = all_scenes(kind=Toned)
        drawn = [*films("train", scenes, 8, 0), *films("val", scenes, 1, 0)]
        small = [replace(film, height=HEIGHT) for film in drawn]
        make_films(manifest.parent, small, {"set": "toned", "seed": 0}, HEARD_MEDIA)
    return manifest


def measured(out: Path, arm: str, seed: int) -> tuple[float, float]:
    """R@1 of an arm, with the clips' sound and without."""
    run = out / f"{arm.replace(' ', '-')}-{seed}"
    named = r"eval.attributes={colour: a (\w+) ball, way: rolls (\w+), pitch: a (\w+) tone}"
    keys = [f"data.manifest={make_set(out)}", "data.view=low", f"seed={seed}", f"out={run}", "eval.every=240", named]
    program("fit", CONFIG, *sets(*keys, *ARMS[arm]), log=f"{run}.log", makes=run / "summary.json")
    r1 = float(json.loads((run / "summary.json").read_text())["scores"]["t2v_r1"])
    if arm == "pictures":
        return r1, r1
    muted = Path(f"{run}-muted.json")
    program("eval", run, "--json", *sets("model.muted=true"), log=muted)
    text = muted.read_text()
    return r1, float(json.loads(text[text.index("{") :])["t2v_r1"])


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("out/heard"))
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print("| model | R@1 with sound, by seed | all | without | all |\n" + "|---" * 5 + "|")
    for arm in ARMS:
        both = [measured(given.out, arm, seed) for seed in given.seeds]
        cells = [arm, *(cell for r1 in zip(*both, strict=True) for cell in cells_of(r1))]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
