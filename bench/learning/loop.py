"""Does a model that looks back at its data help the next one? Known-answer sets of which a share of captions is wrong.

    python -m bench.learning.loop [--wrong 0 20 40 60] [--seeds 1 2 3] [--out out/loop]

Val's sentences are ones that training never saw: a quarter of the combinations of colour, hatching and way is held out.
For each set and seed two models are cross-fitted (`hdvila-train crossfit`); then one is trained with each of ARMS, at
equal steps, and judged by 1,024 queries: a held-out clip's sentence among the 32 clips that show one combination each.
Results are appended to OUT/results.jsonl at once; a second call does what is missing. Seed 0 is for settings, and is
not judged.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bench.learning.attribute_set import MEDIA, films, make_films
from bench.learning.attributes import all_scenes, is_held_out
from bench.learning.hybrid_vs_low import CONFIG, embedded, markdown
from hdvila_testing.drawn_set import Sample, write_manifest, write_shard
from manifests.embeddings import Scores
from manifests.settings import load_config
from manifests.shards import ShardEntry, read_manifest
from pipeline.config.media import CutConfig, MediaConfig
from train.config import TrainConfig
from train.crossfit import score_halves, train_halves
from train.distributed import Process
from train.evaluation.scores import wilson_interval
from train.loop.fit import StopRequest, fit

PER_CAPTION, VAL_PER_CAPTION = 11, 32
"""1,056 clips to learn from; 1,024 queries, each among the 32 held-out sentences."""
HEIGHT = 180
"""The low view of 180 pixels is that of 720, and takes a quarter of the time to draw and cut."""
LOW_MEDIA = MediaConfig(**{**MEDIA.model_dump(), "cut": CutConfig(min_short_side=0)})
STEPS, HALF_STEPS = 160, 240
"""Of each arm, and of the models that score."""
SETTINGS = "data.view=low", "eval.every=0"
"""The low view costs two fifths of the hybrid one, and of 32 held-out sentences none is of another's colour and way."""
HERE = Process(0, 1, torch.device("cpu"))
ARMS = "all", "random", "filtered", "weighted", "oracle"
WINNING = "filtered", "weighted"
"""The arms that may win back what wrong pairs cost."""
LEAST = 0.05
"""What lies between all and oracle, for a share of it to mean something."""


# ---- sets ------------------------------------------------------------------------------------------------------------


def make_clean(out: Path, val_per_caption: int = VAL_PER_CAPTION) -> None:
    """Draws the set in which all captions are right; goes on with what is there."""
    shown = [scene for scene in all_scenes() if not is_held_out(scene)]
    held_out = [scene for scene in all_scenes() if is_held_out(scene)]
    drawn = [*films("train", shown, PER_CAPTION, 0), *films("val", held_out, val_per_caption, 0)]
    facts = {"per_caption": PER_CAPTION, "val_per_caption": val_per_caption, "seed": 0}
    make_films(out, [replace(film, height=HEIGHT) for film in drawn], facts, LOW_MEDIA)


def make_wrong(clean: Path, out: Path, share: float, seed: int) -> None:
    """Copies the set, without the mp4, with this share of train's captions exchanged; OUT/wrong.json has their keys."""
    manifest = read_manifest(str(clean))
    captions = {
        sample.key: sample.members["txt"] for shard in manifest.split("train") for sample in samples_in(clean, shard)
    }
    wrong = exchanged(captions, share, seed)
    entries = []
    for shard in manifest.shards:
        samples = [_with_caption(sample, wrong.get(sample.key)) for sample in samples_in(clean, shard)]
        entries.append(write_shard(out / shard.url, samples, shard.split, out))
    (out / "wrong.json").write_text(json.dumps(sorted(wrong)))
    write_manifest(out, entries)


def exchanged(captions: Mapping[str, bytes], share: float, seed: int) -> dict[str, bytes]:
    """{key: another clip's caption, with other words} for this share of the clips."""
    dice = random.Random(f"{seed}/wrong")
    keys = dice.sample(sorted(captions), round(share * len(captions)))
    texts = [captions[key] for key in keys]
    for at, key in enumerate(keys):
        while texts[at] == captions[key]:
            other = dice.randrange(len(keys))
            if texts[other] != captions[key] and texts[at] != captions[keys[other]]:
                texts[at], texts[other] = texts[other], texts[at]
    return dict(zip(keys, texts, strict=True))


def samples_in(root: Path, shard: ShardEntry) -> Iterator[Sample]:
    """A shard's samples, without their mp4."""
    members: dict[str, dict[str, bytes]] = {}
    with tarfile.open(root / shard.url) as tar:
        for info in tar:
            key, _, extension = info.name.partition(".")
            file = tar.extractfile(info)
            if extension != "mp4" and file is not None:
                members.setdefault(key, {})[extension] = file.read()
    for key, of_key in members.items():
        yield Sample(key, of_key, json.loads(of_key["json"])["category_id"])


def _with_caption(sample: Sample, caption: bytes | None) -> Sample:
    if caption is None:
        return sample
    document = json.dumps({**json.loads(sample.members["json"]), "text": caption.decode()}).encode()
    return Sample(sample.key, {**sample.members, "txt": caption, "json": document}, sample.category_id)


# ---- runs ------------------------------------------------------------------------------------------------------------


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


def hits_of(run: Path, data: Path) -> list[bool]:
    """Whether each clip's sentence of val finds it first among the clips of one drawing of each sentence."""
    captions, video, text = embedded(run, data)
    drawings: dict[str, list[int]] = {}
    for row, caption in enumerate(captions):
        drawings.setdefault(caption, []).append(row)
    found: list[bool] = []
    for drawing in range(min(len(rows) for rows in drawings.values())):
        rows = np.array([drawings[caption][drawing] for caption in sorted(drawings)])
        found += ((text[rows] @ video[rows].T).argmax(1) == np.arange(len(rows))).tolist()
    return found


def arms(crossfitted: Path, data: Path, seed: int) -> dict[str, list[str]]:
    """By name of an arm: the keys of its training."""
    found = json.loads((crossfitted / "crossfit.json").read_text())
    keys = sorted(scores_of(data, crossfitted / "scores"))
    at_random = np.random.default_rng(seed).permutation(keys)[found["n_kept"] :].tolist()
    wrong = json.loads((data / "wrong.json").read_text())
    scores = f"data.scores={crossfitted}/scores"
    return {
        "all": [],
        "random": [_without(crossfitted / "random.txt", at_random)],
        "filtered": [scores, f"data.where={(crossfitted / 'where.txt').read_text().strip()}"],
        "weighted": [scores, f"data.sample_weight={(crossfitted / 'weight.txt').read_text().strip()}"],
        "oracle": [_without(crossfitted / "oracle.txt", wrong)],
    }


def _without(path: Path, keys: Sequence[str]) -> str:
    path.write_text("\n".join(keys) + "\n")
    return f"data.where=key not in file('{path}')"


def one_set(given: argparse.Namespace, path: Path, per_cent: int, seed: int) -> None:
    """Does what is missing of a set and a seed."""
    folder, clean = given.out / f"other-{per_cent}", given.out / "clean"
    data, crossfitted = folder / f"set-{seed}", folder / f"crossfit-{seed}"
    done = {line["arm"] for line in read_lines(path) if (line["wrong"], line["seed"]) == (per_cent, seed)}
    if not (data / "manifest.json").exists():
        make_wrong(clean, data, per_cent / 100, seed)
    keys = [f"data.manifest={data}/manifest.json", f"seed={seed}", *SETTINGS]
    if "crossfit" not in done:
        append(path, {"wrong": per_cent, "seed": seed, "arm": "crossfit", **cross_fitted(crossfitted, data, keys)})
    for arm, of_arm in arms(crossfitted, data, seed).items():
        if arm in done:
            continue
        run, before = folder / f"{arm}-{seed}", time.process_time()
        with logged(folder / f"{arm}-{seed}.log"):
            fit(configured([*keys, f"loop.steps={STEPS}", f"out={run}", *of_arm]), HERE, StopRequest())
        cpu_s = round(time.process_time() - before, 1)
        hits = "".join("1" if hit else "0" for hit in hits_of(run, data))
        append(path, {"wrong": per_cent, "seed": seed, "arm": arm, "cpu_s": cpu_s, "hits": hits})


def cross_fitted(out: Path, data: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Cross-fits; what came out of that."""
    before, config = time.process_time(), configured([*keys, f"loop.steps={HALF_STEPS}"])
    with logged(out.with_suffix(".log")):
        train_halves(config, str(out), HERE, StopRequest())
        found = score_halves(config, str(out), HERE, batch=16, sentences=128)
    wrong = set(json.loads((data / "wrong.json").read_text()))
    return {
        "cpu_s": round(time.process_time() - before, 1),
        "auc": auc(scores_of(data, out / "scores"), wrong),
        "kept": f"{found.n_kept} of {found.n_samples} kept, {len(wrong)} wrong",
    }


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds a result."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print({key: value for key, value in line.items() if key != "hits"}, flush=True)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of results."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# ---- tables ----------------------------------------------------------------------------------------------------------


def table(lines: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: for each set and seed the AUC of its scores, R@1 of each arm, and how much of what lies between all and
    oracle filtering and weighting win back; and for all seeds of a set together.
    """
    bits: dict[int, dict[int, dict[str, npt.NDArray[np.float64]]]] = {}
    aucs: dict[int, dict[int, float]] = {}
    for line in lines:
        if "auc" in line:
            aucs.setdefault(line["wrong"], {})[line["seed"]] = line["auc"]
        else:
            hits = (np.array(list(line["hits"])) == "1").astype(float)
            bits.setdefault(line["wrong"], {}).setdefault(line["seed"], {})[line["arm"]] = hits
    rows = [["% wrong", "seed", "AUC", *ARMS, *(f"{arm} wins back" for arm in WINNING)]]
    for wrong, own in bits.items():
        rows += [[str(wrong), str(seed), f"{aucs[wrong][seed]:.3f}", *_cells(hits)] for seed, hits in own.items()]
        pooled = {arm: np.concatenate([hits[arm] for hits in own.values()]) for arm in ARMS}
        rows.append([str(wrong), "all", f"{np.mean(list(aucs[wrong].values())):.3f}", *_cells(pooled)])
    return markdown(rows)


def _cells(hits: Mapping[str, npt.NDArray[np.float64]]) -> list[str]:
    """R@1 of each arm with its 95 % interval, and what the arms win back of what lies between all and oracle, where
    that is LEAST or more.
    """
    shares = {arm: float(of.mean()) for arm, of in hits.items()}
    bounds = {arm: wilson_interval(share, len(hits[arm])) for arm, share in shares.items()}
    cells = [f"{shares[arm]:.1%} ({100 * bounds[arm][0]:.0f} to {100 * bounds[arm][1]:.0f})" for arm in ARMS]
    most = shares["oracle"] - shares["all"]
    return [*cells, *(f"{(shares[arm] - shares['all']) / most:.0%}" if most >= LEAST else "" for arm in WINNING)]


def main() -> None:
    """Parses the command line and does what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/loop"))
    parser.add_argument("--wrong", nargs="+", type=int, default=[0, 20, 40, 60], help="per cent of captions")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--val", type=int, default=VAL_PER_CAPTION, help="drawings of each held-out sentence")
    given = parser.parse_args()
    if not (given.out / "clean" / "manifest.json").exists():
        make_clean(given.out / "clean", given.val)
    path = given.out / "results.jsonl"
    for seed in given.seeds:
        for per_cent in given.wrong:
            one_set(given, path, per_cent, seed)
    print(table(read_lines(path)))


if __name__ == "__main__":
    main()
