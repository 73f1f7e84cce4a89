"""Drawn pictures whose captions name everything that differs, and runs of SOHO and Visual Parsing on them.

A picture shows a circle in one of six colours on one of eight grounds; its caption says so. Each of the 48 captions has
ten train pictures, and half of them four held-out ones each, drawn anew: 96 pairs. The set goes through `import-images`
like any other. A run is the start `image_text` with its model and seed.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from manifests.settings import load_config
from pipeline.dataset.merge import merge
from pipeline.engine.store.store import Store
from pipeline.images.importer import ImportSettings, import_images
from train.commands.init import STARTS
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.evaluation.matching import HeldOutPairs, score_matching
from train.feed.batches import choose_source
from train.loop.finished_run import open_run
from train.loop.fit import StopRequest, fit
from train.loop.observe import read_metrics
from train.models.soho.batch import as_images
from train.models.wrapping import unwrap
from train.objectives import Draw, prepare
from train.rows import Rows

CONFIG = STARTS["image_text"]
WIDTH, HEIGHT = 96, 64
N_TRAIN, N_HELD_OUT = 10, 4
"""Pictures of each caption; half of the captions are held out."""
COLOURS = {
    "red": (215, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220), "yellow": (235, 210, 40),
    "white": (245, 245, 245), "black": (20, 20, 20),
}  # fmt: skip
GROUNDS = {
    "brown": (120, 80, 50), "grey": (130, 130, 130), "pink": (240, 160, 190), "teal": (40, 130, 130),
    "purple": (110, 60, 150), "orange": (240, 140, 40), "olive": (120, 130, 30), "navy": (30, 40, 100),
}  # fmt: skip
EXTRA: dict[str, dict[str, Any]] = {
    "soho": {
        # A trunk of 8 channels is one group: group norm takes away so much of what tells pictures apart that after 120
        # steps not even one ground of eight is told, a masked word right in 10 %; with batch norm, in 80 to 100 %.
        "model": {"trunk_width": 8, "n_entries": 64, "norm": "batch"},
        "optim": {"lr": 3e-3},
    },
    "visual_parsing": {
        "model": {"parser_width": 16},
        "optim": {"lr": 2e-3},
        "objective": {"mvm": 0.0, "mfr": 0.3},
    },
}


def draw(colour: str, ground: str, rng: random.Random) -> Image.Image:
    """Draws one picture: its size, exact place, shades and background noise are random."""
    shade = rng.randint(-18, 18)
    image = Image.new("RGB", (WIDTH, HEIGHT), tuple(max(0, min(255, c + shade)) for c in GROUNDS[ground]))
    pen = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, step = rng.randrange(WIDTH), rng.randrange(HEIGHT), rng.randint(-14, 14)
        pen.rectangle((x, y, x + 5, y + 5), fill=tuple(max(0, min(255, c + step)) for c in GROUNDS[ground]))
    x, y = WIDTH // 2 + rng.randint(-3, 3), HEIGHT // 2 + rng.randint(-8, 8)
    r = rng.randint(13, 17)
    pen.ellipse(
        (x - r, y - r, x + r, y + r), fill=tuple(max(0, min(255, c + rng.randint(-10, 10))) for c in COLOURS[colour])
    )
    return image


def make_set(out: Path) -> Path:
    """Draws and imports the set; returns its manifest."""
    folder = out / "pictures"
    folder.mkdir(parents=True)
    rng = random.Random(0)
    parts = []
    for split, n in (("train", N_TRAIN), ("val", N_HELD_OUT)):
        listed: list[dict[str, Any]] = []
        for (i, colour), (j, ground) in product(enumerate(COLOURS), enumerate(GROUNDS)):
            for k in range(n if split == "train" or (i + j) % 2 else 0):  # every value is as often held out
                name = f"{split}_{colour}_{ground}_{k}"
                draw(colour, ground, rng).save(folder / f"{name}.jpg", quality=92)
                caption = f"a {colour} circle in the middle of a {ground} ground"
                listed.append({"file_name": f"{name}.jpg", "image_id": name, "captions": [caption]})
        (out / f"{split}.json").write_text(json.dumps(listed))
        parts.append(Store(str(out / f"part_{split}")))
        import_images([out / f"{split}.json"], folder, parts[-1], ImportSettings(split=split, shard_samples=500))
    merge(parts, Store(str(out / "set")))
    return out / "set" / "manifest.json"


def one_run(kind: str, seed: int, out: Path, manifest: Path, steps: int, threads: int = 1) -> dict[str, Any]:
    """Trains, and matches all held-out pairs with each other."""
    folder = out / f"{kind}_{seed}"
    overrides = [f"model.kind={kind}", f"seed={seed}", f"out={folder}", f"data.manifest={manifest}"]
    for section, keys in EXTRA[kind].items():
        overrides += [f"{section}.{name}={json.dumps(value)}" for name, value in keys.items()]
    overrides += [f"loop.threads={threads}", *([f"loop.steps={steps}"] if steps else [])]
    config = load_config(TrainConfig, CONFIG, overrides)
    process = process_from_environment("cpu")
    fit(config, process, StopRequest())
    run = open_run(folder, process)
    pairs = HeldOutPairs(run.val, run.data.tokenizer, run.config, choose_source(run.config, run.val))
    asked = visual_words(run.model, pairs) if kind == "soho" else regression(run.model, pairs)
    matching = score_matching(run.model, pairs)
    records = read_metrics(folder)
    held_out = next(r for r in reversed(records) if "val_loss" in r)
    return {
        "model": kind,
        "seed": seed,
        **matching.flat(),
        **asked,
        **{name: value for name, value in held_out.items() if name.startswith("val_loss")},
        "readings": [
            {k: r[k] for k in ("step", "loss", "live_entries", "perplexity", "mfr_target_variance") if k in r}
            for r in records
            if r.get("kind") == "step" and (r["step"] % 50 == 0 or r["step"] < 3)
        ],
    }


@torch.no_grad()
def visual_words(model: torch.nn.Module, pairs: HeldOutPairs) -> dict[str, float]:
    """MVM on matching held-out pairs, with a word masked in each: loss, entropy of the labels, number of entries used.

    The entropy, of the labels' own distribution, is the loss of a predictor that knows nothing else; both in nats.
    """
    model.eval()
    losses: list[float] = []
    labels: list[int] = []
    for output, rows in _asked(model, pairs, mvm_share=1.0):
        places = output.mvm_labels >= 0
        each = torch.nn.functional.cross_entropy(output.mvm_logits, output.mvm_labels[places], reduction="none")
        row = places.nonzero()[:, 0]
        for i in range(len(rows)):
            losses.append(float(each[row == i].mean()))
            labels.append(int(output.mvm_labels[i].max()))
    shares = torch.bincount(torch.tensor(labels)).double() / len(labels)
    used = shares[shares > 0]
    entropy = float(-(used * used.log()).sum())
    return {"mvm_loss": sum(losses) / len(losses), "mvm_entropy": entropy, "mvm_entries": len(used)}


@torch.no_grad()
def regression(model: torch.nn.Module, pairs: HeldOutPairs) -> dict[str, float]:
    """MFR on matching held-out pairs: its error, and the variance of its targets, which is the error of their mean."""
    model.eval()
    inner: Any = unwrap(model)
    errors: list[float] = []
    targets = []
    for output, rows in _asked(model, pairs):
        errors += output.mfr_error.tolist()
        images = as_images(rows)
        tokens, _, _ = inner._parse(images)
        wide = inner.visual_embedding.linear(tokens)
        targets.append(torch.nn.functional.layer_norm(wide, wide.shape[-1:])[output.mfr_mask])
    variance = float(torch.cat(targets).var(0, correction=0).mean())
    return {"mfr_error": sum(errors) / len(errors), "mfr_variance": variance}


def _asked(model: torch.nn.Module, pairs: HeldOutPairs, **changes: float) -> Iterator[tuple[Any, Rows]]:
    """Yields (output, rows) of the held-out pairs with the run's masking of pictures, sentences with their pictures."""
    objective = pairs.config.objective.model_copy(update={"itm": 0.0, "mlm": 0.0, **changes})
    for number, (rows, _) in enumerate(pairs.chunks()):
        rows = prepare(rows, Draw(number, -1, pairs.tokenizer.mask_tokens), objective)
        yield unwrap(model)(rows), rows
