"""What a smaller student of a trained model costs and finds, on the drawn set with known ceilings.

    python -m bench.learning.distilled [--seeds 0 1 2] [--out out/attributes]
    python -m bench.learning.distilled --published

Trains the larger model as `hybrid_vs_low.yaml` says, where that is not done, distils it (`hdvila-train distill`) in
three times its steps, and trains a model of the student's size for as long without a teacher. Prints a table over
seeds. With `--published`: what the published model and its student cost, with random weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from bench.learning.hybrid_vs_low import cells_of, program, sets, trained
from train.distill import smaller_size
from train.evaluation.encoder import Encoder, blank_inputs
from train.models.configs import ModelConfig
from train.models.registry import build_model

STEPS = 1440
"""Half as wide a trunk learns to read the hatching in twice to three times as many steps."""
COSTS = {"clip_ms": "CPU ms a clip", "query_ms": "a query", "video_mb": "video, MB", "text_mb": "text, MB"}
ALONE = "of the student's size, alone"


def measured(out: Path, seed: int) -> dict[str, dict[str, Any]]:
    """{model: R@1 and costs} of a seed."""
    run, folder = trained(out, seed), out / "distilled" / str(seed)
    rows, alone, steps = folder / "distill.json", out / "distilled" / f"{seed}-alone", f"loop.steps={STEPS}"
    program("distill", run, "--out", folder, *sets(steps), log=f"{folder}.log", makes=rows)
    keys = sets(steps, "objective.distill=0", "data.tokenizer=''", f"out={alone}")
    summary = alone / "summary.json"
    program("fit", folder / "student" / "config.yaml", *keys, log=f"{alone}.log", makes=summary)
    costs = {row.pop("model"): row for row in json.loads(rows.read_text())}
    return {**costs, ALONE: {"r1": json.loads(summary.read_text())["scores"]["t2v_r1"]}}


def table(by_seed: list[dict[str, dict[str, Any]]]) -> str:
    """Markdown: R@1 by seed, its share of the teacher's, and mean costs."""
    lines = [["model", "R@1 by seed", "all", "of the teacher's", *COSTS.values()], ["---"] * (4 + len(COSTS))]
    whole = mean(rows["teacher"]["r1"] for rows in by_seed)
    for name in by_seed[0]:
        r1 = [rows[name]["r1"] for rows in by_seed]
        means = [f"{mean(rows[name][cost] for rows in by_seed):.2f}" for cost in COSTS if name != ALONE]
        lines.append([name, *cells_of(r1), f"{mean(r1) / whole:.1%}", *means])
    return _markdown(lines)


def published() -> str:
    """Markdown: what the published size costs in torch on one thread, a clip or a sentence at a time."""
    torch.set_num_threads(1)
    lines = [["model", "CPU ms a clip", "CPU ms a query", "weights, MB"], ["---"] * 4]
    whole = ModelConfig()
    for name, config in (("teacher", whole), ("student", ModelConfig(**smaller_size(whole.model_dump())))):
        encoder = Encoder(build_model(config, seed=0), None)
        words = torch.ones(1, config.text_length, dtype=torch.int64)
        times = [_cpu_ms(encoder.embed_views, [blank_inputs(encoder.views)])]
        times.append(_cpu_ms(torch.inference_mode()(encoder.model.embed_text), words, words))
        n_bytes = sum(weights.nbytes for weights in encoder.model.parameters())
        lines.append([name, *(f"{ms:.0f}" for ms in times), f"{n_bytes / 1e6:.0f}"])
    return _markdown(lines)


def _cpu_ms(call: Callable[..., object], *inputs: object) -> float:
    """CPU time of a second call, ms."""
    call(*inputs)
    begin = time.process_time()
    call(*inputs)
    return 1000 * (time.process_time() - begin)


def _markdown(lines: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main() -> None:
    """Parses the command line and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("out/attributes"))
    parser.add_argument("--published", action="store_true", help="costs alone, at the published size")
    given = parser.parse_args()
    (given.out / "distilled").mkdir(parents=True, exist_ok=True)
    print(published() if given.published else table([measured(given.out, seed) for seed in given.seeds]))


if __name__ == "__main__":
    main()
