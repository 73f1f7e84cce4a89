"""What a smaller student of a trained model costs and finds, on the drawn set with known ceilings.

    python -m bench.learning.distilled [--seeds 0 1 2] [--out out/attributes]

Trains the larger model as `hybrid_vs_low.yaml` says, where `bench.learning.hybrid_vs_low` has not yet, distils it
(`hdvila-train distill`), and trains a model of the student's size without a teacher. Prints a table over seeds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean

from bench.learning.hybrid_vs_low import program, trained

COSTS = ("clip_ms", "query_ms", "video_mb", "text_mb")
ALONE = "of the student's size, alone"


def measured(out: Path, seed: int) -> dict[str, dict[str, float]]:
    """{model: R@1 and costs} of a seed."""
    run = trained(out, "hybrid", seed)
    folder = out / "distilled" / str(seed)
    program("distill", run, "--out", folder, log=f"{folder}.log")
    rows = {row.pop("model"): row for row in json.loads((folder / "distill.json").read_text())}
    alone = out / "distilled" / f"{seed}-alone"
    keys = ["objective.distill=0", "data.tokenizer=''", f"out={alone}"]
    sets = [part for key in keys for part in ("--set", key)]
    program("fit", folder / "student" / "config.yaml", *sets, log=f"{alone}.log")
    scores = json.loads((alone / "summary.json").read_text())["scores"]
    return {**rows, ALONE: {"r1": scores["t2v_r1"]}}


def table(by_seed: list[dict[str, dict[str, float]]]) -> str:
    """Markdown: R@1 by seed, its mean's share of the teacher's, and mean costs."""
    lines = [
        "| model | R@1 by seed | of the teacher's | CPU ms a clip | a query | video, MB | text, MB |",
        "|---" * 7 + "|",
    ]
    whole = mean(rows["teacher"]["r1"] for rows in by_seed)
    for name in by_seed[0]:
        r1 = [rows[name]["r1"] for rows in by_seed]
        costs = [f"{mean(rows[name][c] for rows in by_seed):.2f}" if c in by_seed[0][name] else "" for c in COSTS]
        cells = [name, ", ".join(f"{share:.1%}" for share in r1), f"{mean(r1) / whole:.1%}", *costs]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("out/attributes"))
    given = parser.parse_args()
    (given.out / "distilled").mkdir(parents=True, exist_ok=True)
    print(table([measured(given.out, seed) for seed in given.seeds]))


if __name__ == "__main__":
    main()
