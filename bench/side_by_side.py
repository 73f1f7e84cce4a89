"""Compares runs side by side by their final scores: what each has learned of the attributes that captions name.

python -m bench.side_by_side out/demo/train out/demo/train_low
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from manifests.errors import UserError
from train.evaluation.scores import wilson_interval


@dataclass(frozen=True, slots=True)
class Finished:
    """A run's view of clips and its last scores, from summary.json."""

    name: str
    view: str
    scores: dict[str, float]

    def share(self, key: str, n: str) -> str:
        """A share with its 95 % interval, "-" if the run has none."""
        if key not in self.scores:
            return "-"
        low, high = wilson_interval(self.scores[key], int(self.scores[n]))
        return f"{self.scores[key]:.1%} ({100 * low:.0f} to {100 * high:.0f})"


def compare(folders: Sequence[Path]) -> str:
    """A table with a row per score and a column per run. Raises UserError for a run without retrieval scores."""
    runs = [_read(folder) for folder in folders]
    suffix = "_right"
    names = dict.fromkeys(key.removesuffix(suffix) for run in runs for key in run.scores if key.endswith(suffix))
    rows = [["text to video", *(f"{run.name} ({run.view})" for run in runs), "by chance"]]
    rows.append(_row("R@1", runs, "t2v_r1", "n_clips", "t2v_chance_r1"))
    for name in names:
        rows.append(_row(f"{name} right", runs, f"{name}{suffix}", f"{name}_n", f"{name}_chance"))
        if any(f"{name}_distinguished" in run.scores for run in runs):
            keys = f"{name}_distinguished", f"{name}_n", f"{name}_distinguished_chance"
            rows.append(_row(f"{name} distinguished", runs, *keys))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    n_clips = ", ".join(dict.fromkeys(f"{run.scores['n_clips']:g}" for run in runs))
    notes = [
        f"R@1, right: of the first clips found for each of {n_clips} held-out sentences; 95 % intervals",
        "distinguished: of the clips, those nearer to their own sentence than to it with any other value",
    ]
    return "\n".join([*lines, *notes])


def _row(name: str, runs: Sequence[Finished], key: str, n: str, chance: str) -> list[str]:
    by_chance = next((f"{run.scores[chance]:.1%}" for run in runs if chance in run.scores), "-")
    return [name, *(run.share(key, n) for run in runs), by_chance]


def _read(folder: Path) -> Finished:
    try:
        scores: dict[str, Any] = json.loads((folder / "summary.json").read_text()).get("scores") or {}
        config = yaml.safe_load((folder / "config.yaml").read_text())
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise UserError(f"{folder}: not the folder of a finished run ({error})") from error
    if "t2v_r1" not in scores:
        raise UserError(f"{folder}: has no retrieval scores; finish the run, with a val split and a model with towers")
    return Finished(folder.name, config["data"].get("view") or "own view", scores)


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of finished runs")
    try:
        print(compare(parser.parse_args().runs))
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
