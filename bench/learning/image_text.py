"""Do SOHO and Visual Parsing learn? Trains both on drawn pictures whose captions name everything that differs.

    python -m bench.learning.image_text [--models soho visual_parsing] [--seeds 0 1 2] [--out out/image_text]

A picture shows one shape of four in one of six colours, at one of three places on one of eight grounds; its caption
says so. Each of the 576 captions has `PER_CAPTION` train pictures, and half of them one held-out picture each, drawn
anew: 288 pairs with different words. The set goes through `import-images` like any other. A run is
the start `image_text` with its model and seed; each result is appended to OUT/results.jsonl at once, and a second
call does the rest.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from bench.learning.hybrid_vs_low import markdown
from manifests.settings import load_config
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
PER_CAPTION = 5
SHAPES = ("circle", "square", "triangle", "ring")
COLOURS = {
    "red": (215, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220), "yellow": (235, 210, 40),
    "white": (245, 245, 245), "black": (20, 20, 20),
}  # fmt: skip
PLACES = {"left": 20, "middle": 48, "right": 76}
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


def draw(shape: str, colour: str, place: str, ground: str, rng: random.Random) -> Image.Image:
    """Draws one picture: its size, exact place, shades and background noise are random."""
    shade = rng.randint(-18, 18)
    image = Image.new("RGB", (WIDTH, HEIGHT), tuple(max(0, min(255, c + shade)) for c in GROUNDS[ground]))
    pen = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, step = rng.randrange(WIDTH), rng.randrange(HEIGHT), rng.randint(-14, 14)
        pen.rectangle((x, y, x + 5, y + 5), fill=tuple(max(0, min(255, c + step)) for c in GROUNDS[ground]))
    x, y = PLACES[place] + rng.randint(-3, 3), HEIGHT // 2 + rng.randint(-8, 8)
    r = rng.randint(13, 17)
    fill = tuple(max(0, min(255, c + rng.randint(-10, 10))) for c in COLOURS[colour])
    box = (x - r, y - r, x + r, y + r)
    match shape:
        case "circle":
            pen.ellipse(box, fill=fill)
        case "square":
            pen.rectangle(box, fill=fill)
        case "triangle":
            pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=fill)
        case _:
            pen.ellipse(box, outline=fill, width=r // 2)
    return image


@dataclass(frozen=True, slots=True)
class Drawn:
    """What a set shows, and how many pictures it has of each caption; half of the captions are held out."""

    shapes: Sequence[str] = SHAPES
    places: Sequence[str] = tuple(PLACES)
    n_train: int = PER_CAPTION
    n_held_out: int = 1


SMALL = Drawn(("circle",), ("middle",), n_train=10, n_held_out=4)
"""Only colour and ground differ: 480 pictures to learn from, 96 held out."""


def make_set(out: Path, drawn: Drawn = Drawn()) -> Path:
    """Returns the data set's manifest; draws and imports the set if it isn't there yet."""
    manifest = out / "set" / "manifest.json"
    if manifest.is_file():
        return manifest
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    listed: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
    scenes = product(*(list(enumerate(names)) for names in (drawn.shapes, COLOURS, drawn.places, GROUNDS)))
    for number, scene in enumerate(scenes):
        shape, colour, place, ground = (name for _, name in scene)
        held_out = sum(place for place, _ in scene) % 2  # so that every attribute is equally frequent among them
        caption = f"a {colour} {shape} in the {place} of a {ground} ground"
        for split, n in (("train", drawn.n_train), ("val", held_out * drawn.n_held_out)):
            for k in range(n):
                name = f"{split}_{number:04d}_{k}"
                draw(shape, colour, place, ground, rng).save(folder / f"{name}.jpg", quality=92)
                listed[split].append({"file_name": f"{name}.jpg", "image_id": name, "captions": [caption]})
    for split, pictures in listed.items():
        (out / f"{split}.json").write_text(json.dumps(pictures))
    # The annotation files' names give the split: two imports, merged by their shared folder of pictures.
    from pipeline.dataset.merge import merge

    parts = []
    for split in listed:
        store = Store(str(out / f"part_{split}"))
        import_images([out / f"{split}.json"], folder, store, ImportSettings(split=split, shard_samples=500))
        parts.append(store)
    merge(parts, Store(str(out / "set")))
    return manifest


def one_run(kind: str, seed: int, out: Path, manifest: Path, steps: int, threads: int = 1) -> dict[str, Any]:
    """Trains, matches all held-out pairs with each other, and measures the flow."""
    folder = out / f"{kind}_{seed}"
    overrides = [f"model.kind={kind}", f"seed={seed}", f"out={folder}", f"data.manifest={manifest}"]
    for section, keys in EXTRA[kind].items():
        overrides += [f"{section}.{name}={json.dumps(value)}" for name, value in keys.items()]
    overrides += [f"loop.threads={threads}", *([f"loop.steps={steps}"] if steps else [])]
    config = load_config(TrainConfig, CONFIG, overrides)
    process = process_from_environment("cpu")
    cpu = time.process_time()
    fit(config, process, StopRequest())
    run = open_run(folder, process)
    pairs = HeldOutPairs(run.val, run.data.tokenizer, run.config, choose_source(run.config, run.val))
    asked = visual_words(run.model, pairs) if kind == "soho" else regression(run.model, pairs)
    matching = score_matching(run.model, pairs)
    records = read_metrics(folder)
    held_out = next(r for r in reversed(records) if "val_loss" in r)
    found = {
        "model": kind,
        "seed": seed,
        "cpu_minutes": round((time.process_time() - cpu) / 60, 2),
        **matching.flat(),
        **asked,
        **{name: value for name, value in held_out.items() if name.startswith("val_loss")},
        "readings": [
            {k: r[k] for k in ("step", "loss", "live_entries", "perplexity", "mfr_target_variance") if k in r}
            for r in records
            if r.get("kind") == "step" and (r["step"] % 50 == 0 or r["step"] < 3)
        ],
    }
    (folder / "result.json").write_text(json.dumps(found, indent=1) + "\n")
    return found


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


def table_of(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line per run."""
    rows = [["model", "seed", "matching right", "R@1 text to image", "image to text", "visual objective", "CPU min"]]
    for r in results:
        if r["model"] == "visual_parsing":
            visual = f"MFR {r['mfr_error']:.3f} of {r['mfr_variance']:.3f}"
        else:
            visual = f"MVM {r['mvm_loss']:.2f} of {r['mvm_entropy']:.2f}, {r['mvm_entries']} entries"
        shares = [f"{r[name]:.1%}" for name in ("itm_accuracy", "text_to_image_r1", "image_to_text_r1")]
        rows.append([r["model"], str(r["seed"]), *shares, visual, f"{r['cpu_minutes']:.1f}"])
    return markdown(rows)


def main() -> None:
    """Does the runs that are missing, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", default=list(EXTRA), choices=list(EXTRA))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=0, help="in place of the configuration's")
    parser.add_argument("--small", action="store_true", help="only colour and ground differ")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("out/image_text"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    manifest = make_set(given.out, SMALL if given.small else Drawn())
    lines = given.out / "results.jsonl"
    done = {(r["model"], r["seed"]) for r in read_results(lines)}
    for seed, kind in product(given.seeds, given.models):
        if (kind, seed) not in done:
            found = one_run(kind, seed, given.out, manifest, given.steps, given.threads)
            with lines.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(json.dumps({k: v for k, v in found.items() if k != "readings"}), flush=True)
    results = sorted(read_results(lines), key=lambda r: (r["model"], r["seed"]))
    print(table_of(results))


def read_results(path: Path) -> list[dict[str, Any]]:
    """Reads the results of the finished runs."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
