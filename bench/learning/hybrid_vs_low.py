"""Is high resolution learned? Compares views on a drawn set whose ceilings are known by construction.

    python -m bench.learning.hybrid_vs_low [--views hybrid high low] [--seeds 0 1 2] [--out OUT]

Draws the set (bench.learning.attribute_set), shows that the hatching can't be read off the low view, then trains
`hybrid_vs_low.yaml`, beside it, with each view and seed, a run in a process of one thread. Each result is appended to
OUT/hd_vila/results.jsonl at once; a second call does what is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from bench.learning.attribute_set import make_attribute_set
from bench.learning.attributes import HATCHINGS, WAYS, value_of
from bench.learning.read_hatching import described, probe
from manifests.embeddings import Head, read_embedded
from manifests.files import Files
from manifests.settings import load_config
from manifests.shards import read_manifest, read_shard_rows
from train.config import TrainConfig
from train.data.index import load_index
from train.evaluation.embed import embed, sha256_of_model
from train.evaluation.scores import wilson_interval
from train.exports.inference import load_checkpoint

Floats = NDArray[np.float32]

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("hybrid_vs_low.yaml")
CEILINGS = {
    "hybrid": 1.0,
    "high": 1 / len(WAYS),
    "low": 1 / len(HATCHINGS),
}
"""R@1 of an ideal reader who sees all that a view shows and guesses among the clips that then look alike."""
# ---- runs ------------------------------------------------------------------------------------------------------------


def train(view: str, seed: int, manifest: Path, out: Path, overrides: Sequence[str]) -> dict[str, Any]:
    """Trains one run in a process of its own; returns its line of results."""
    run = out / f"{view}-{seed}"
    keys = [f"data.manifest={manifest}", f"data.view={view}", f"seed={seed}", f"out={run}", *overrides]
    before = _children_cpu_s()
    command = [sys.executable, "-m", "train.cli", "fit", str(CONFIG), *(f"--set={key}" for key in keys)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    with (out / f"{view}-{seed}.log").open("w") as log:
        subprocess.run(command, check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evals = [record for record in records if record["kind"] == "eval"]
    return {
        "view": view,
        "seed": seed,
        "r1": evals[-1]["t2v_r1"],
        "n": evals[-1]["n_clips"],
        "right": right_in(*embedded(run, manifest.parent)),
        "cpu_s": round(_children_cpu_s() - before, 1),
    }


def embedded(run: Path, data: Path) -> tuple[list[str], Floats, Floats]:
    """(the sentences, the embeddings of clips and of sentences, [n, D] each) of val, in the order of keys."""
    torch.set_num_threads(1)
    encoder, manifest, files = load_checkpoint(run), read_manifest(str(data)), Files(str(run / "val"))
    head = Head(sha256_of_model(encoder), manifest.sha256, encoder.model.config.width, batch=32, sentences=1)
    index = load_index(manifest, "val")
    embed(encoder, {"val": index}, files, head)
    parts = [read_embedded(files, head, shard) for shard in index.shards]
    rows = pa.concat_tables(read_shard_rows(manifest, shard, ["key", "caption"]) for shard in index.shards)
    said = dict(zip(*(rows[name].to_pylist() for name in ("key", "caption")), strict=True))
    keys = np.array([key for part in parts for key in part.rows["key"].to_pylist()])
    order = np.argsort(keys)
    video, text = (np.concatenate([getattr(p, name) for p in parts]).astype(np.float32) for name in ("video", "text"))
    return [said[key] for key in keys[order].tolist()], video[order], text[order]


def right_in(captions: Sequence[str], video: Floats, text: Floats) -> dict[str, float]:
    """By attribute: the share of sentences whose first clip has the value that they name."""
    firsts = (text @ video.T).argmax(1).tolist()
    pairs = [(caption, captions[first]) for caption, first in zip(captions, firsts, strict=True)]
    names = ("colour", "hatching", "way")
    return {name: float(np.mean([value_of(a, name) == value_of(b, name) for a, b in pairs])) for name in names}


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_results(path: Path) -> list[dict[str, Any]]:
    """The lines so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# ---- tables ----------------------------------------------------------------------------------------------------------


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per view, its ceiling, R@1 with its 95 % interval for each seed, attributes over all seeds."""
    seeds = sorted({line["seed"] for line in results})
    head = ["view", "ceiling", *(f"seed {seed}" for seed in seeds), "colour", "hatching", "way", "CPU s a run"]
    rows = [head]
    for view, ceiling in CEILINGS.items():
        own = {line["seed"]: line for line in results if line["view"] == view}
        if not own:
            continue
        right = [np.mean([line["right"][name] for line in own.values()]) for name in ("colour", "hatching", "way")]
        cpu_s = np.mean([line["cpu_s"] for line in own.values()])
        cells = [view, f"{ceiling:.1%}", *(_cell(own.get(seed)) for seed in seeds)]
        rows.append([*cells, *(f"{share:.0%}" for share in right), f"{cpu_s:.0f}"])
    return markdown(rows)


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return "not run"
    low, high = wilson_interval(line["r1"], line["n"])
    return f"{line['r1']:.1%} ({100 * low:.0f} to {100 * high:.0f})"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table of these rows, the first of which is its head."""
    head, *others = rows
    return "".join("| " + " | ".join(row) + " |\n" for row in (head, ["---"] * len(head), *others))


def main() -> None:
    """Parses the command line and does the runs that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/attributes"))
    parser.add_argument("--views", nargs="+", choices=list(CEILINGS), default=list(CEILINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    manifest, runs = given.out / "set" / "manifest.json", given.out / "hd_vila"
    if not manifest.exists():
        make_attribute_set(manifest.parent)
    config = load_config(TrainConfig, CONFIG, [f"data.manifest={manifest}"])
    print(described(*probe(manifest, config)), flush=True)
    runs.mkdir(exist_ok=True)
    path = runs / "results.jsonl"
    for seed in given.seeds:
        for view in given.views:
            done = {(line["view"], line["seed"]) for line in read_results(path)}
            if (view, seed) not in done:
                line = train(view, seed, manifest, runs, [])
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(f"{view} seed {seed}: R@1 {line['r1']:.1%}, {line['cpu_s']:.0f} CPU s", flush=True)
    print(table(read_results(path)))


if __name__ == "__main__":
    main()
