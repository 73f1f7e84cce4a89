"""Does a model that looks back at its data help the next one? Known-answer sets of which a share of captions is wrong.

    python -m bench.learning.loop [--wrong 0 20 40 60] [--kinds other films] [--seeds 1 2 3] [--out out/loop]

For each set and seed two models are cross-fitted (`hdvila-train crossfit`), and two more on what these think right
(`again`); then one is trained with each of ARMS, at equal steps, and judged by 1,024 queries: a held-out clip's
sentence, of words that training saw in other combinations only, among the 32 clips that show one combination each.
Results are appended to OUT/results.jsonl at once; a second call does what is missing. table.md beside it is made from
all lines. Seed 0 is for settings, and is not judged.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.learning.hybrid_vs_low import CONFIG, hits_of
from bench.learning.loop_set import VAL_PER_CAPTION, make_clean, make_long, make_wrong, make_wrong_films
from manifests.embeddings import Scores
from manifests.settings import load_config
from manifests.shards import read_manifest
from train.config import TrainConfig
from train.crossfit import score_halves, train_halves
from train.data.decode import ClipView
from train.data.registry import Seen, Source
from train.distributed import Process
from train.loop.fit import StopRequest, fit

STEPS, HALF_STEPS = 160, 240
"""Of each arm, and of the models that score."""
SETTINGS = "data.view=low", "eval.every=0"
"""The low view costs two fifths of the hybrid one, and of 32 held-out sentences none is of another's colour and way."""
N_DRAWINGS = 4
PICTURES: dict[tuple[str, bytes, int], dict[str, npt.NDArray[Any]]] = {}
"""What is decoded (`remember_pictures`), by view, clip and drawing."""
HERE = Process(0, 1, torch.device("cpu"))
ARMS = "all", "random", "filtered", "weighted", "again", "oracle"
WINNING = "filtered", "weighted", "again"
"""The arms that may win back what wrong pairs cost."""
LEAST = 0.05
"""What lies between all and oracle, for a share of it to mean something."""
SAMPLES = 2000
"""Of the bootstrap."""


# ---- runs ------------------------------------------------------------------------------------------------------------


def remember_pictures() -> None:
    """From here on each clip is decoded for N_DRAWINGS drawings of training and once for evaluation, and kept: decoding
    is two thirds of what a step costs, and arms differ in captions only.
    """
    decode: Callable[..., Seen] = ClipView.decode

    def remembered(view: ClipView, members: Mapping[str, bytes], source: Source, draw: Any) -> Seen:
        number = -1 if draw is None else int(draw.integers(N_DRAWINGS))
        key = view.view, hashlib.sha256(members["m4v"]).digest(), number
        if key not in PICTURES:
            own = None if draw is None else np.random.default_rng([number, *key[1]])
            PICTURES[key] = decode(view, members, source, own).arrays
        return Seen(PICTURES[key], members["txt"].decode().strip())

    ClipView.decode = remembered  # type: ignore[method-assign, assignment]


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """What is printed goes to a file."""
    with path.open("a") as log, contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
        yield


def configured(keys: Sequence[str]) -> TrainConfig:
    """The set's configuration with these keys."""
    return load_config(TrainConfig, CONFIG, list(keys))


def scores_of(data: Path, folder: Path) -> dict[str, float]:
    """{key: match} of train, of a folder of scores."""
    scores = Scores(str(folder))
    shards = read_manifest(str(data)).split("train")
    return {row["key"]: row["match"] for shard in shards for row in scores.of(shard).to_pylist()}


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


def arms(crossfitted: Path, data: Path, seed: int) -> dict[str, Callable[[], list[str]]]:
    """By name of an arm: the keys of its training."""
    found = json.loads((crossfitted / "crossfit.json").read_text())
    keys = sorted(scores_of(data, crossfitted / "scores"))

    def drawn() -> list[str]:
        left_out = np.random.default_rng(seed).permutation(keys)[found["n_kept"] :].tolist()
        return [f"data.where=key not in file('{_listed(crossfitted / 'random.txt', left_out)}')"]

    def true() -> list[str]:
        wrong = json.loads((data / "wrong.json").read_text())
        return [f"data.where=key not in file('{_listed(crossfitted / 'oracle.txt', wrong)}')"]

    return {
        "all": list,
        "filtered": lambda: filtered(crossfitted),
        "weighted": lambda: weighted(crossfitted),
        "random": drawn,
        "again": lambda: filtered(again(crossfitted)),
        "oracle": true,
    }


def again(crossfitted: Path) -> Path:
    """Where a second cross-fit lies, weighted by the first."""
    return crossfitted.with_name(f"again-{crossfitted.name}")


def filtered(crossfitted: Path) -> list[str]:
    """The keys of a run without the clips that do not fit."""
    return [f"data.scores={crossfitted}/scores", f"data.where={(crossfitted / 'where.txt').read_text().strip()}"]


def weighted(crossfitted: Path) -> list[str]:
    """The keys of a run in which a clip comes as often as it is right."""
    return [
        f"data.scores={crossfitted}/scores",
        f"data.sample_weight={(crossfitted / 'weight.txt').read_text().strip()}",
    ]


def _listed(path: Path, keys: Sequence[str]) -> Path:
    path.write_text("\n".join(keys) + "\n")
    return path


# ---- tables ----------------------------------------------------------------------------------------------------------


def interval(of: Callable[[npt.NDArray[np.int64]], float], n: int) -> str:
    """The 95 % interval of what is computed from n queries, by paired bootstrap: of the same queries for all arms."""
    dice = np.random.default_rng(0)
    low, high = np.nanquantile([of(dice.integers(0, n, n)) for _ in range(SAMPLES)], (0.025, 0.975))
    return f"{100 * low:.1f} to {100 * high:.1f}"


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: for each set and seed the AUC of its scores, R@1 of each arm, and how much of what lies between all and
    oracle filtering and weighting win back; and for all seeds of a set together.
    """
    bits: dict[tuple[str, int], dict[str, npt.NDArray[np.float64]]] = {}
    aucs: dict[tuple[str, int], list[float]] = {}
    for line in lines:
        of = line["set"], line["seed"]
        if "auc" in line:
            aucs.setdefault(of, []).append(line["auc"])
        else:
            bits.setdefault(of, {})[line["arm"]] = (np.array(list(line["hits"])) == "1").astype(float)
    rows = [["set", "seed", "AUC, and again", *ARMS, *(f"{arm} wins back" for arm in WINNING)]]
    rows.append(["---"] * len(rows[0]))
    for name in dict.fromkeys(name for name, _ in aucs):
        own = {seed: bits.get((name, seed), {}) for of, seed in aucs if of == name}
        for seed, arms_ in own.items():
            rows.append([name, str(seed), ", ".join(f"{one:.3f}" for one in aucs[name, seed]), *_cells(arms_)])
        if len(own) > 1:
            in_all = set.intersection(*(set(arms_) for arms_ in own.values()))
            pooled = {arm: np.concatenate([arms_[arm] for arms_ in own.values()]) for arm in in_all}
            means = [np.mean(of_seeds) for of_seeds in zip(*(aucs[name, seed] for seed in own), strict=False)]
            rows.append([name, "all", ", ".join(f"{one:.3f}" for one in means), *_cells(pooled)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _cells(hits: Mapping[str, npt.NDArray[np.float64]]) -> list[str]:
    shares = [f"{hits[arm].mean():.1%}" if arm in hits else "" for arm in ARMS]
    return [*shares, *(_won_back(hits, arm) for arm in WINNING)]


def _won_back(hits: Mapping[str, npt.NDArray[np.float64]], arm: str) -> str:
    """Of what lies between all and oracle; where that is next to nothing, how much better than all."""
    if arm not in hits or "all" not in hits:
        return ""
    gain, most = hits[arm] - hits["all"], hits.get("oracle", hits["all"]) - hits["all"]
    if most.mean() < LEAST:
        return f"{100 * gain.mean():+.1f} points ({interval(lambda rows: gain[rows].mean(), len(gain))})"
    shares = interval(lambda rows: gain[rows].mean() / most[rows].mean(), len(gain))
    return f"{gain.mean() / most.mean():.0%} ({shares})"


def main() -> None:
    """Parses the command line and does what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/loop"))
    parser.add_argument("--wrong", nargs="+", type=int, default=[0, 20, 40, 60], help="per cent of captions")
    parser.add_argument("--kinds", nargs="+", choices=["other", "films"], default=["other"], help="of set")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--arms", nargs="*", default=ARMS)
    parser.add_argument("--val", type=int, default=VAL_PER_CAPTION, help="drawings of each held-out sentence")
    given = parser.parse_args()
    remember_pictures()
    clean = given.out / "clean"
    if not (clean / "manifest.json").exists():
        make_clean(clean, given.val)
    if "films" in given.kinds and not (given.out / "long" / "manifest.json").exists():
        make_long(given.out / "long")
    path = given.out / "results.jsonl"
    for seed in given.seeds:
        for kind in given.kinds:
            for per_cent in given.wrong:
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
    if not (data / "manifest.json").exists() and kind == "films":
        make_wrong_films(given.out / "long", clean, data, per_cent / 100, seed)
    elif not (data / "manifest.json").exists():
        make_wrong(clean, data, per_cent / 100, seed)
    keys = [f"data.manifest={data}/manifest.json", f"seed={seed}", *SETTINGS]
    if "crossfit" not in done:
        line = cross_fitted(crossfitted, data, keys)
        append(path, {"set": name, "seed": seed, "arm": "crossfit", **line})
    if "again" in given.arms and "crossfit again" not in done:
        line = cross_fitted(again(crossfitted), data, [*keys, *weighted(crossfitted)])
        append(path, {"set": name, "seed": seed, "arm": "crossfit again", **line})
    made = arms(crossfitted, data, seed)
    for arm in given.arms:
        if arm in done:
            continue
        run = given.out / name / f"{arm}-{seed}"
        before = time.process_time()
        with logged(given.out / name / f"{arm}-{seed}.log"):
            fit(configured([*keys, f"loop.steps={STEPS}", f"out={run}", *made[arm]()]), HERE, StopRequest())
        cpu_s = time.process_time() - before
        hits = "".join("1" if hit else "0" for _, hit in hits_of(run, data))
        append(path, {"set": name, "seed": seed, "arm": arm, "cpu_s": round(cpu_s, 1), "hits": hits})


def cross_fitted(out: Path, data: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Cross-fits; what came out of that."""
    before, config = time.process_time(), configured([*keys, f"loop.steps={HALF_STEPS}"])
    with logged(out.with_suffix(".log")):
        train_halves(config, str(out), HERE, StopRequest())
        found = score_halves(config, str(out), HERE, batch=16, sentences=128)
    wrong = set(json.loads((data / "wrong.json").read_text()))
    return {
        "cpu_s": round(time.process_time() - before, 1),
        "where": found.where,
        "auc": auc(scores_of(data, out / "scores"), wrong),
        "kept": f"{found.n_kept} of {found.n_samples} kept, {len(wrong)} wrong",
    }


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds a result."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print({key: value for key, value in line.items() if key != "hits"}, flush=True)


if __name__ == "__main__":
    main()
