"""What a trained model learns of another domain from few clips, and what it forgets.

    python -m bench.learning.adapted [--clips 48 200 1000] [--seeds 0 1 2] [--out out/attributes]

The other domain has other colours, textures, words and shapes (`bench.learning.attributes.Tiles`). Models trained as
`hybrid_vs_low.yaml` says are adapted (`hdvila-train adapt`), with the last blocks and with all weights learning, and a
model is trained from random weights on the same clips for as long. Prints a table over seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench.learning.attribute_set import CLIPS_A_FILM, Film, films, make_films
from bench.learning.attributes import Tiles, all_scenes
from bench.learning.hybrid_vs_low import CONFIG, cells_of, program, sets, trained

STEPS = 160
ARMS = {"last blocks": [], "all weights": ["optim.lr_scale={}"]}


def make_tiles(out: Path) -> Path:
    """Draws the other domain's set, as `make_attribute_set` does; returns its manifest."""
    manifest = out / "tiles" / "manifest.json"
    if not manifest.exists():
        scenes = all_scenes(kind=Tiles)
        drawn: list[Film] = [*films("train", scenes, 8, 1), *films("val", scenes, 1, 1)]
        make_films(manifest.parent, drawn, {"domain": "tiles", "seed": 1})
    return manifest


def arguments(n_clips: int, extra: list[str]) -> list[str]:
    """The keys of a run over the first clips."""
    where = f"data.where=key < 'train-{n_clips // CLIPS_A_FILM:05d}'"
    return sets(where, f"loop.steps={STEPS}", "loop.epochs=0", *extra)


def measured(out: Path, seed: int, n_clips: int) -> dict[str, tuple[float, float | None]]:
    """{arm: R@1 on the other domain and on the old} after as many clips of the other."""
    run, tiles, folder = trained(out, seed), make_tiles(out), out / "adapted" / f"{n_clips}-{seed}"
    found: dict[str, tuple[float, float | None]] = {}
    for arm, extra in ARMS.items():
        place = folder / arm.replace(" ", "-")
        place.parent.mkdir(parents=True, exist_ok=True)
        table = place / "adapt.json"
        program("adapt", run, tiles, "--out", place, *arguments(n_clips, extra), log=f"{place}.log", makes=table)
        new, old = json.loads(table.read_text())
        found["before"] = new["before"], old["before"]
        found[arm] = new["after"], old["after"]
    alone = folder / "alone"
    keys = [f"data.manifest={tiles}", f"seed={seed}", f"out={alone}", "eval.every=0"]
    summary = alone / "summary.json"
    program("fit", CONFIG, *arguments(n_clips, keys), log=f"{alone}.log", makes=summary)
    found["from random weights"] = json.loads(summary.read_text())["scores"]["t2v_r1"], None
    return found


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, nargs="+", default=[48, 200, 1000], help=f"multiples of {CLIPS_A_FILM}")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("out/attributes"))
    given = parser.parse_args()
    print("| clips | what learns | R@1 on them by seed | all | R@1 on the old by seed | all |\n" + "|---" * 6 + "|")
    for n_clips in given.clips:
        by_seed = [measured(given.out, seed, n_clips) for seed in given.seeds]
        for arm in by_seed[0]:
            new, old = ([rows[arm][k] for rows in by_seed] for k in (0, 1))
            cells = [str(n_clips), arm, *cells_of(new), *(["", ""] if None in old else cells_of(old))]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
