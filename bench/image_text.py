"""Do SOHO and Visual Parsing learn? Both on drawn pictures whose captions name all that can be told apart.

    python -m bench.image_text [--models soho visual_parsing] [--seeds 0 1 2] [--out out/image_text]

A picture shows one shape of one colour at one of four places on one of four grounds; its caption says so. Every one of
the 576 captions has `PER_CAPTION` train pictures, and half of them one held-out picture each, redrawn: 288 pairs
with different words. The set goes through `import-images` as any other. A run is `configs/image_text.yaml` with its
model and seed; its result is a line of OUT/results.jsonl as soon as it is there, and a second call does the rest.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from itertools import product
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw

from manifests.settings import load_config
from pipeline.engine.store import Store
from pipeline.images.importer import ImportSettings, import_images
from train.batches import choose_source
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.loop import StopRequest, fit, open_run
from train.matching import HeldOutPairs, draw_flow, measure_flow, score_matching
from train.observe import read_metrics

CONFIG = Path(__file__).resolve().parent.parent / "configs" / "image_text.yaml"
WIDTH, HEIGHT = 96, 64
PER_CAPTION = 5
SHAPES = ("circle", "square", "triangle", "cross", "ring", "bar")
COLOURS = {
    "red": (215, 40, 40), "green": (40, 170, 60), "blue": (50, 80, 220), "yellow": (235, 210, 40),
    "white": (245, 245, 245), "black": (20, 20, 20),
}  # fmt: skip
GROUNDS = {"brown": (120, 80, 50), "grey": (130, 130, 130), "pink": (240, 160, 190), "teal": (40, 130, 130)}
PLACES = {"upper left": (24, 16), "upper right": (72, 16), "lower left": (24, 48), "lower right": (72, 48)}
EXTRA: dict[str, dict[str, Any]] = {
    "soho": {"model": {"trunk_width": 8, "n_entries": 64}, "optim": {"optimizer": {"trunk": "adamw"}}},
    "visual_parsing": {"model": {"parser_window": [2, 3], "parser_width": 16}, "objective": {"mvm": 0.0, "mfr": 1.0}},
}


def draw(shape: str, colour: str, place: str, ground: str, rng: random.Random) -> Image.Image:
    """One picture: size, exact place, shades and noise of the ground are drawn."""
    shade = rng.randint(-18, 18)
    image = Image.new("RGB", (WIDTH, HEIGHT), tuple(max(0, min(255, c + shade)) for c in GROUNDS[ground]))
    pen = ImageDraw.Draw(image)
    for _ in range(60):
        x, y, step = rng.randrange(WIDTH), rng.randrange(HEIGHT), rng.randint(-14, 14)
        pen.rectangle((x, y, x + 5, y + 5), fill=tuple(max(0, min(255, c + step)) for c in GROUNDS[ground]))
    x, y = (c + rng.randint(-4, 4) for c in PLACES[place])
    r = rng.randint(9, 12)
    fill = tuple(max(0, min(255, c + rng.randint(-10, 10))) for c in COLOURS[colour])
    box = (x - r, y - r, x + r, y + r)
    match shape:
        case "circle":
            pen.ellipse(box, fill=fill)
        case "square":
            pen.rectangle(box, fill=fill)
        case "triangle":
            pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=fill)
        case "cross":
            pen.rectangle((x - r, y - r // 3, x + r, y + r // 3), fill=fill)
            pen.rectangle((x - r // 3, y - r, x + r // 3, y + r), fill=fill)
        case "ring":
            pen.ellipse(box, outline=fill, width=max(4, r // 3))
        case _:
            pen.rectangle((x - r, y - r // 3, x + r, y + r // 3), fill=fill)
    return image


def make_set(out: Path) -> Path:
    """The data set's manifest; drawn and imported where it isn't there yet."""
    manifest = out / "set" / "manifest.json"
    if manifest.is_file():
        return manifest
    folder = out / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(0)
    listed: dict[str, list[dict[str, Any]]] = {"train": [], "val": []}
    for number, (shape, colour, place, ground) in enumerate(product(SHAPES, COLOURS, PLACES, GROUNDS)):
        caption = f"a {colour} {shape} in the {place} corner on a {ground} ground"
        for split, n in (("train", PER_CAPTION), ("val", number % 2)):
            for k in range(n):
                name = f"{split}_{number:04d}_{k}"
                draw(shape, colour, place, ground, rng).save(folder / f"{name}.jpg", quality=92)
                listed[split].append({"file_name": f"{name}.jpg", "image_id": name, "captions": [caption]})
    for split, pictures in listed.items():
        (out / f"{split}.json").write_text(json.dumps(pictures))
    # The annotation files' names tell the split: two imports, merged by their shared folder of pictures.
    from pipeline.dataset.merge import merge

    parts = []
    for split in listed:
        store = Store(str(out / f"part_{split}"))
        import_images([out / f"{split}.json"], folder, store, ImportSettings(split=split, shard_samples=500))
        parts.append(store)
    merge(parts, Store(str(out / "set")))
    return manifest


def one_run(kind: str, seed: int, out: Path, manifest: Path, steps: int) -> dict[str, Any]:
    """Train, match all held-out pairs with each other, measure the flow."""
    folder = out / f"{kind}_{seed}"
    overrides = [f"model.kind={kind}", f"seed={seed}", f"out={folder}", f"data.manifest={manifest}"]
    overrides += [f"loop.steps={steps}"] if steps else []
    for section, keys in EXTRA[kind].items():
        overrides += [f"{section}.{name}={json.dumps(value)}" for name, value in keys.items()]
    config = load_config(TrainConfig, CONFIG, overrides)
    process = process_from_environment("cpu")
    start, cpu = time.perf_counter(), time.process_time()
    fit(config, process, StopRequest())
    minutes = (time.perf_counter() - start) / 60
    run = open_run(folder, process)
    pairs = HeldOutPairs(run.val, run.data.tokenizer, run.config, choose_source(run.config, run.val))
    matching, flow = score_matching(run.model, pairs), measure_flow(run.model, pairs)
    draw_flow(flow, folder / "flow.png", f"inter-modality flow, {kind}, seed {seed}")
    records = read_metrics(folder)
    held_out = next(r for r in reversed(records) if "val_loss" in r)
    return {
        "model": kind,
        "seed": seed,
        "minutes": round(minutes, 2),
        "cpu_minutes": round((time.process_time() - cpu) / 60, 2),
        **matching.flat(),
        **{name: value for name, value in held_out.items() if name.startswith("val_loss")},
        "flow": flow.flat(),
        "readings": [
            {k: r[k] for k in ("step", "loss", "live_entries", "perplexity", "mfr_target_variance") if k in r}
            for r in records
            if r.get("kind") == "step" and (r["step"] % 100 == 0 or r["step"] < 3)
        ],
    }


def main() -> None:
    """The runs that are missing, one after another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(EXTRA), choices=list(EXTRA))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=0, help="in place of the configuration's")
    parser.add_argument("--out", type=Path, default=Path("out/image_text"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    manifest = make_set(given.out)
    results = given.out / "results.jsonl"
    lines = results.read_text().splitlines() if results.exists() else []
    done = {(r["model"], r["seed"]) for r in map(json.loads, lines)}
    for seed, kind in product(given.seeds, given.models):
        if (kind, seed) not in done:
            found = one_run(kind, seed, given.out, manifest, given.steps)
            with results.open("a") as file:
                file.write(json.dumps(found) + "\n")
            print(json.dumps({k: v for k, v in found.items() if k not in ("flow", "readings")}), flush=True)


if __name__ == "__main__":
    main()
