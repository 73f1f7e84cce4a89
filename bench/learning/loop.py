"""Does a model that looks back at its data help the next one? Known-answer sets of which a share of captions is wrong.

    python -m bench.learning.loop [--wrong 0 20 40 60] [--kinds other neighbour] [--seeds 0 1 2] [--out out/loop]

For each set and seed two models are cross-fitted (`hdvila-train crossfit`), then one is trained with each of ARMS, at
equal steps, and judged by 1,024 queries: a held-out clip's sentence, of words that training saw in other combinations
only, among the 32 clips that show one combination each. Results are appended to OUT/results.jsonl at once; a second
call does what is missing. table.md beside it is made from all lines.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import torch

from bench.learning.hybrid_vs_low import CONFIG, ROOT
from bench.learning.loop_set import VAL_PER_CAPTION, make_clean, make_wrong
from manifests.embeddings import Head, read_embedded, read_head
from manifests.files import Files
from manifests.shards import read_manifest, read_shard_rows
from train.data.index import load_index
from train.evaluation.embed import embed, sha256_of_model
from train.exports.inference import load_checkpoint

STEPS = 480
SAMPLES = 2000
"""Of the bootstrap."""
AIMS = {40: 0.95, 60: 0.90}
"""The AUC that is asked for, by per cent of wrong captions."""


# ---- runs ------------------------------------------------------------------------------------------------------------


def trained(*words: str | Path, log: Path) -> float:
    """Runs `hdvila-train` with one thread; returns its CPU seconds."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1"}
    before = _children_cpu_s()
    with log.open("a") as out:
        command = [sys.executable, "-m", "train.cli", *map(str, words)]
        subprocess.run(command, check=True, env=environment, stdout=out, stderr=subprocess.STDOUT)
    return _children_cpu_s() - before


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def scores_of(data: Path, folder: Path) -> dict[str, float]:
    """{key: match} of train, of a folder of scores."""
    manifest, files = read_manifest(str(data)), Files(str(folder))
    head = read_head(files)
    tables = [read_embedded(files, head, shard, vectors=False).rows for shard in manifest.split("train")]
    return {row["key"]: row["match"] for table in tables for row in table.to_pylist()}


def auc(scores: Mapping[str, float], wrong: set[str]) -> float:
    """The share of pairs of a right and a wrong clip of which the right one has the higher score; ties count half."""
    values = np.array(list(scores.values()))
    is_right = np.array([key not in wrong for key in scores])
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[where]
    n_right, n_wrong = int(is_right.sum()), int((~is_right).sum())
    if not n_right or not n_wrong:
        return float("nan")
    return float((rank[is_right].sum() - n_right * (n_right + 1) / 2) / (n_right * n_wrong))


def returned(data: Path, crossfitted: Path) -> dict[str, float]:
    """Of sentences of a neighbouring clip: the share that returns to it, and that moves to a wrong one; of the others,
    the share that is moved.
    """
    truth = json.loads((data / "belongs.json").read_text())
    rows = pq.read_table(crossfitted / "times.parquet").to_pylist()
    shifted = [row for row in rows if row["key"] in truth]
    others = [row for row in rows if row["key"] not in truth]
    moved = [row for row in shifted if row["offset_ms"]]
    return {
        "returned": float(np.mean([row["belongs_to"] == truth[row["key"]] for row in shifted])) if shifted else 0.0,
        "astray": float(np.mean([row["belongs_to"] != truth[row["key"]] for row in moved])) if moved else 0.0,
        "others_moved": float(np.mean([row["offset_ms"] != 0 for row in others])) if others else 0.0,
    }


def arms(crossfitted: Path, data: Path, seed: int) -> dict[str, Callable[[], list[str]]]:
    """By name of an arm: the keys of its training."""
    found = json.loads((crossfitted / "crossfit.json").read_text())
    where, scores = found["where"], f"data.scores={crossfitted}/scores"
    keys = sorted(scores_of(data, crossfitted / "scores"))

    def drawn() -> list[str]:
        left_out = np.random.default_rng(seed).permutation(keys)[found["n_kept"] :]
        return [f"data.where=key not in file('{_listed(crossfitted / 'random.txt', left_out)}')"]

    def true() -> list[str]:
        wrong = json.loads((data / "wrong.json").read_text())
        return [f"data.where=key not in file('{_listed(crossfitted / 'oracle.txt', wrong)}')"]

    return {
        "all": list,
        "filtered": lambda: [scores, f"data.where={where}"],
        "weighted": lambda: [scores, f"data.sample_weight={_weight(found['mixture'])}"],
        "random": drawn,
        "mended": lambda: [f"data.captions={crossfitted}/mended.json"],
        "oracle": true,
    }


def _listed(path: Path, keys: Sequence[str]) -> Path:
    path.write_text("\n".join(keys) + "\n")
    return path


def _weight(mixture: Mapping[str, Any]) -> str:
    """The probability that a pair is right, as an expression over `match`."""
    x = "(match - ln(greatest(1 - exp(match), 1e-13)))"
    wrong, right = (
        "{height:.9g} * exp(-0.5 * (({x} - ({mean:.9g})) / {deviation:.9g}) ** 2)".format(
            x=x, height=part["share"] / part["deviation"], **part
        )
        for part in (mixture["wrong"], mixture["right"])
    )
    return f"({right} + 1e-30) / ({right} + {wrong} + 1e-30)"


def hits_of(run: Path, data: Path) -> npt.NDArray[np.bool_]:
    """[1024] for each of val's clips: whether its sentence finds it first among the clips of one drawing each."""
    torch.set_num_threads(1)
    encoder, manifest, files = load_checkpoint(run), read_manifest(str(data)), Files(str(run / "val"))
    head = Head(sha256_of_model(encoder), manifest.sha256, encoder.model.config.width, batch=32, sentences=1)
    embed(encoder, {"val": load_index(manifest, "val")}, files, head)
    parts = [read_embedded(files, head, shard) for shard in manifest.split("val")]
    caption_of = {
        row["key"]: row["caption"]
        for shard in manifest.split("val")
        for row in read_shard_rows(manifest, shard, ["key", "caption"]).to_pylist()
    }
    keys = [key for part in parts for key in part.rows["key"].to_pylist()]
    video, text = (np.concatenate([getattr(p, name) for p in parts]).astype(np.float32) for name in ("video", "text"))
    drawings: dict[str, list[int]] = {}
    for row in sorted(range(len(keys)), key=lambda row: keys[row]):
        drawings.setdefault(caption_of[keys[row]], []).append(row)
    n = min(len(rows) for rows in drawings.values())
    found = []
    for drawing in range(n):
        rows = np.array([drawings[caption][drawing] for caption in sorted(drawings)])
        found.append((text[rows] @ video[rows].T).argmax(1) == np.arange(len(rows)))
    return np.concatenate(found)


# ---- tables ----------------------------------------------------------------------------------------------------------


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % interval of the mean of what pairs of queries differ by, by bootstrap."""
    dice = np.random.default_rng(0)
    means = [values[dice.integers(0, len(values), len(values))].mean() for _ in range(SAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: for each set what the scores told, R@1 of each arm and seed, and how much better than all it is."""
    rows = [["set", "seed", "AUC", "arm", "R@1", "better than all (95 %)", "CPU s"]]
    rows.append(["---"] * len(rows[0]))
    bits = {
        (line["set"], line["seed"], line["arm"]): np.array(list(line["hits"])) == "1"
        for line in lines
        if "hits" in line
    }
    for line in lines:
        name, seed, arm = line["set"], line["seed"], line["arm"]
        if arm == "crossfit":
            times = f", {line['returned']:.0%} of shifted sentences return" if "returned" in line else ""
            rows.append(
                [name, str(seed), f"{line['auc']:.3f}", f"cross-fit: {line['kept']}{times}", "", "", line["cpu_s"]]
            )
            continue
        own, all_ = bits[name, seed, arm], bits.get((name, seed, "all"))
        gain = ""
        if all_ is not None and arm != "all":
            low, high = interval(own.astype(float) - all_.astype(float))
            gain = f"{100 * (own.mean() - all_.mean()):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        rows.append([name, str(seed), "", arm, f"{own.mean():.1%}", gain, line["cpu_s"]])
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows) + "\n"


def main() -> None:
    """Parses the command line and does what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/loop"))
    parser.add_argument("--wrong", nargs="+", type=int, default=[0, 20, 40, 60], help="per cent of captions")
    parser.add_argument("--kinds", nargs="+", choices=["other", "neighbour"], default=["other"], help="what is wrong")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--arms", nargs="*", default=["all", "filtered", "weighted", "random", "mended", "oracle"])
    parser.add_argument("--steps", type=int, default=STEPS, help="of each training; of a half too")
    parser.add_argument("--val", type=int, default=VAL_PER_CAPTION, help="drawings of each held-out sentence")
    given = parser.parse_args()
    clean = given.out / "clean"
    if not (clean / "manifest.json").exists():
        make_clean(clean, given.val)
    path = given.out / "results.jsonl"
    for kind in given.kinds:
        for per_cent in given.wrong:
            for seed in given.seeds:
                one_set(given, clean, path, kind, per_cent, seed)
    print(table(read_lines(path)))
    (given.out / "table.md").write_text(table(read_lines(path)))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of results."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def one_set(given: argparse.Namespace, clean: Path, path: Path, kind: str, per_cent: int, seed: int) -> None:
    """Does what is missing of a set and a seed."""
    name = f"{kind}-{per_cent}"
    data, crossfitted = given.out / name / f"set-{seed}", given.out / name / f"crossfit-{seed}"
    done = {line["arm"] for line in read_lines(path) if (line["set"], line["seed"]) == (name, seed)}
    if not (data / "manifest.json").exists():
        make_wrong(clean, data, per_cent / 100, seed, kind)
    keys = [f"data.manifest={data}/manifest.json", f"seed={seed}", f"loop.steps={given.steps}", "eval.every=0"]
    if "crossfit" not in done:
        words = ["crossfit", CONFIG, "--out", crossfitted, *(f"--set={key}" for key in keys)]
        cpu_s = trained(*words, log=given.out / name / f"crossfit-{seed}.log")
        found = json.loads((crossfitted / "crossfit.json").read_text())
        wrong = set(json.loads((data / "wrong.json").read_text()))
        line = {"set": name, "seed": seed, "arm": "crossfit", "cpu_s": round(cpu_s, 1), "where": found["where"]}
        line["auc"] = auc(scores_of(data, crossfitted / "scores"), wrong)
        line["kept"] = f"{found['n_kept']} of {found['n_samples']} kept, {len(wrong)} wrong"
        line |= returned(data, crossfitted) if kind == "neighbour" else {}
        append(path, line)
    made = arms(crossfitted, data, seed)
    for arm in given.arms:
        if arm in done:
            continue
        run = given.out / name / f"{arm}-{seed}"
        own = [*keys, f"out={run}", *made[arm]()]
        cpu_s = trained("fit", CONFIG, *(f"--set={key}" for key in own), log=given.out / name / f"{arm}-{seed}.log")
        hits = "".join("1" if hit else "0" for hit in hits_of(run, data))
        append(path, {"set": name, "seed": seed, "arm": arm, "cpu_s": round(cpu_s, 1), "hits": hits})


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds a result."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print({key: value for key, value in line.items() if key != "hits"}, flush=True)


if __name__ == "__main__":
    main()
