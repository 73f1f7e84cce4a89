"""Is high resolution learned? Compares views on a drawn set whose ceilings are known by construction.

    python -m bench.learning.hybrid_vs_low [--views hybrid high low]
        [--seeds 0 1 2] [--model vit] [--held-out] [--out out/attributes]

Draws the set (bench.learning.attribute_set), shows that the hatching can't be read off the low view, then trains
`hybrid_vs_low.yaml`, beside it, with each view and seed, a run in a process of one thread. Each result is appended to
OUT/MODEL/results.jsonl at once; a second call does what is missing. table.md and curves.md beside it are made from all
lines.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from bench.learning.attribute_set import make_attribute_set
from bench.learning.attributes import HATCHINGS, LOW_PX, WAYS, all_scenes, is_held_out, value_of
from bench.learning.read_hatching import Hatched, described, probe
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
HELD_OUT = [scene.caption for scene in all_scenes() if is_held_out(scene)]
ATTRIBUTES = Hatched(HATCHINGS, LOW_PX)
VIT: dict[str, Any] = {
    "kind": "vit",
    "preset": "tiny",
    "text": {"layers": 1, "positions": 16},
    "high": [64, 128],
    "low": [16, 32],  # a quarter, as hd_vila has it: what shows no hatching
    "n_time_blocks": 2,
    "vocab_size": 96,
    "text_length": 16,
}
MODELS = {"hd_vila": [], "vit": [f"model={json.dumps(VIT)}", "optim.lr=2.0e-3", "loop.steps=640"]}
"""What each model changes in the YAML. vit's towers have random weights: what is learned is learned here."""


# ---- runs ------------------------------------------------------------------------------------------------------------


def fingerprint(overrides: Sequence[str]) -> str:
    """Identifies the configuration that results belong to."""
    return hashlib.sha256(CONFIG.read_bytes() + json.dumps(list(overrides)).encode()).hexdigest()[:12]


def train(view: str, seed: int, manifest: Path, out: Path, overrides: Sequence[str], held_out: bool) -> dict[str, Any]:
    """Trains one run in a process of its own; returns its line of results. `held_out`: R@1 is that of val's sentences
    that training never saw.
    """
    run = out / f"{view}-{seed}"
    keys = [f"data.manifest={manifest}", f"data.view={view}", f"seed={seed}", f"out={run}", *overrides]
    before, began = _children_cpu_s(), time.monotonic()
    program("fit", CONFIG, *sets(*keys), log=out / f"{view}-{seed}.log")
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evals = [record for record in records if record["kind"] == "eval"]
    hits = [hit for text, hit in hits_of(run, manifest.parent) if text in HELD_OUT] if held_out else []
    return {
        "view": view,
        "seed": seed,
        "config": fingerprint(overrides),
        "r1": float(np.mean(hits)) if held_out else evals[-1]["t2v_r1"],
        "n": len(hits) if held_out else evals[-1]["n_clips"],
        "right": right_in(*embedded(run, manifest.parent)),
        "curve": [[record["step"], record["t2v_r1"]] for record in evals],
        "cpu_s": round(_children_cpu_s() - before, 1),
        "wall_s": round(time.monotonic() - began, 1),
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


def hits_of(run: Path, data: Path) -> list[tuple[str, bool]]:
    """(a clip's sentence, whether that finds it first among the clips of one drawing each) for all clips of val."""
    captions, video, text = embedded(run, data)
    drawings: dict[str, list[int]] = {}
    for row, caption in enumerate(captions):
        drawings.setdefault(caption, []).append(row)
    n = min(len(rows) for rows in drawings.values())
    found: list[tuple[str, bool]] = []
    for drawing in range(n):
        rows = np.array([drawings[caption][drawing] for caption in sorted(drawings)])
        is_first = (text[rows] @ video[rows].T).argmax(1) == np.arange(len(rows))
        found += zip(sorted(drawings), is_first.tolist(), strict=True)
    return found


def program(*arguments: object, log: str | Path, makes: Path | None = None) -> None:
    """Runs `hdvila-train` on one thread, with its output in a file; not again if a finished run made `makes`."""
    if makes and makes.exists() and '"status": "stopped"' not in makes.read_text():
        return
    command = [sys.executable, "-m", "train.cli", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    with Path(log).open("w") as file:
        subprocess.run(command, check=True, env=environment, stdout=file, stderr=subprocess.STDOUT)


def trained(out: Path, seed: int) -> Path:
    """The folder of a finished run of HD-VILA in the hybrid view; makes the set and trains where that is not done."""
    manifest, run = out / "set" / "manifest.json", out / "hd_vila" / f"hybrid-{seed}"
    if not manifest.exists():
        make_attribute_set(manifest.parent)
    if not (run / "summary.json").exists():
        run.parent.mkdir(exist_ok=True)
        train("hybrid", seed, manifest, run.parent, [], held_out=False)
    return run


def sets(*keys: str) -> list[str]:
    """Keys as arguments of `hdvila-train`."""
    return [f"--set={key}" for key in keys]


def cells_of(r1: Sequence[float], n: int = 128) -> list[str]:
    """Two cells: R@1 of each seed among n clips, and all seeds' together with its 95 % interval."""
    share = float(np.mean(r1))
    low, high = wilson_interval(share, n * len(r1))
    return [", ".join(f"{one:.1%}" for one in r1), f"{share:.1%} ({100 * low:.0f} to {100 * high:.0f})"]


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_results(path: Path, config: str) -> list[dict[str, Any]]:
    """The lines that this configuration has left."""
    if not path.exists():
        return []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [line for line in lines if line["config"] == config]


# ---- tables ----------------------------------------------------------------------------------------------------------


def table(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row per view, its ceiling, R@1 with its 95 % interval for each seed, attributes over all seeds."""
    seeds = sorted({line["seed"] for line in results})
    head = ["view", "ceiling", *(f"seed {seed}" for seed in seeds), "colour", "hatching", "way", "CPU s a run"]
    rows = [head, ["---"] * len(head)]
    for view, ceiling in CEILINGS.items():
        own = {line["seed"]: line for line in results if line["view"] == view}
        if not own:
            continue
        right = [np.mean([line["right"][name] for line in own.values()]) for name in ("colour", "hatching", "way")]
        cpu_s = np.mean([line["cpu_s"] for line in own.values()])
        cells = [view, f"{ceiling:.1%}", *(_cell(own.get(seed)) for seed in seeds)]
        rows.append([*cells, *(f"{share:.0%}" for share in right), f"{cpu_s:.0f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return "not run"
    low, high = wilson_interval(line["r1"], line["n"])
    return f"{line['r1']:.1%} ({100 * low:.0f} to {100 * high:.0f})"


def curves(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: R@1 by step, a row per view, the mean over its seeds."""
    steps = sorted({step for line in results for step, _ in line["curve"]})
    rows = [["R@1 after step", *map(str, steps)], ["---"] * (len(steps) + 1)]
    for view in CEILINGS:
        own = [dict(map(tuple, line["curve"])) for line in results if line["view"] == view]
        if own:
            means = [np.mean([curve[step] for curve in own if step in curve]) for step in steps]
            rows.append([view, *(f"{mean:.0%}" for mean in means)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def main() -> None:
    """Parses the command line and does the runs that are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/attributes"))
    parser.add_argument("--model", choices=list(MODELS), default="hd_vila")
    parser.add_argument("--views", nargs="+", choices=list(CEILINGS), default=list(CEILINGS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="a key of the YAML: a.b=c")
    parser.add_argument("--held-out", action="store_true", help="judge by combinations that training never saw")
    parser.add_argument("--no-probe", action="store_true", help="leave out what the low view shows of the hatching")
    given = parser.parse_args()
    kind = "-held-out" if given.held_out else ""
    manifest, runs = given.out / "set" / "manifest.json", given.out / f"{given.model}{kind}"
    overrides = [*MODELS[given.model], *given.overrides]
    if given.held_out:
        overrides.append(f"data.where=caption not in {tuple(HELD_OUT)}")
    if not manifest.exists():
        make_attribute_set(manifest.parent)
    if not given.no_probe:
        config = load_config(TrainConfig, CONFIG, [f"data.manifest={manifest}", *overrides])
        print(described(ATTRIBUTES, *probe(manifest, config, ATTRIBUTES)), flush=True)
    runs.mkdir(exist_ok=True)
    path = runs / "results.jsonl"
    for seed in given.seeds:
        for view in given.views:
            done = {(line["view"], line["seed"]) for line in read_results(path, fingerprint(overrides))}
            if (view, seed) not in done:
                line = train(view, seed, manifest, runs, overrides, given.held_out)
                with path.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(f"{view} seed {seed}: R@1 {line['r1']:.1%}, {line['cpu_s']:.0f} CPU s", flush=True)
    results = read_results(path, fingerprint(overrides))
    (runs / "table.md").write_text(table(results))
    (runs / "curves.md").write_text(curves(results))
    print(table(results) + "\n" + curves(results))


if __name__ == "__main__":
    main()
