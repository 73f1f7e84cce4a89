"""Do SOHO and Visual Parsing learn? Trains both on drawn pictures whose captions name everything that differs.

    python -m bench.learning.image_text [--models soho visual_parsing] [--seeds 0 1 2] [--out out/image_text]

A picture shows one shape of four in one of six colours, at one of three places on one of eight grounds; its caption
says so. Each of the 576 captions has `PER_CAPTION` train pictures, and half of them one held-out picture each, drawn
anew: 288 pairs with different words. The set goes through `import-images` like any other. A run is
the start `image_text` with its model and seed; each result is appended to OUT/results.jsonl at once, and a second
call does the rest. OUT/table.md, dictionary.png and flow.png are made from all lines.
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

from manifests.settings import load_config
from pipeline.engine.store.store import Store
from pipeline.images.importer import ImportSettings, import_images
from train.commands.init import STARTS
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.evaluation.matching import HeldOutPairs, measure_flow, score_matching
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
        "optim": {"lr": 3e-3, "optimizer": {"trunk": "adamw"}},
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
    start, cpu = time.perf_counter(), time.process_time()
    fit(config, process, StopRequest())
    minutes = (time.perf_counter() - start) / 60
    run = open_run(folder, process)
    pairs = HeldOutPairs(run.val, run.data.tokenizer, run.config, choose_source(run.config, run.val))
    asked = visual_words(run.model, pairs) if kind == "soho" else regression(run.model, pairs)
    matching, flow = score_matching(run.model, pairs), measure_flow(run.model, pairs)
    records = read_metrics(folder)
    held_out = next(r for r in reversed(records) if "val_loss" in r)
    found = {
        "model": kind,
        "seed": seed,
        "minutes": round(minutes, 2),
        "cpu_minutes": round((time.process_time() - cpu) / 60, 2),
        **matching.flat(),
        **asked,
        **{name: value for name, value in held_out.items() if name.startswith("val_loss")},
        "flow": flow.flat(),
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


# ---- results of all runs ---------------------------------------------------------------------------------------------


def table_of(results: Sequence[dict[str, Any]]) -> str:
    """Markdown: a line per run, then inter-modality flow of both models."""
    lines = [
        "| model | seed | matching right | R@1 text to image | image to text | visual objective | CPU min, min |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in results:
        visual = (
            f"MVM {r['mvm_loss']:.2f} of {r['mvm_entropy']:.2f}, {r['mvm_entries']} entries"
            if r["model"] == "soho"
            else f"MFR {r['mfr_error']:.3f} of {r['mfr_variance']:.3f}"
        )
        lines.append(
            f"| {r['model']} | {r['seed']} | {r['itm_accuracy']:.1%} | {r['text_to_image_r1']:.1%} | "
            f"{r['image_to_text_r1']:.1%} | {visual} | {r['cpu_minutes']:.1f}, {r['minutes']:.1f} |"
        )
    chance = results[0]["chance_r1"] if results else 0.0
    lines += [
        "",
        f"Chance: matching 50 %, R@1 {chance:.2%}.",
        "",
        "| imf_lift | mean over seeds | by layer |",
        "|---|---|---|",
    ]
    for kind, own in _by_model(results).items():
        by_layer = _mean_by_layer(own, "imf_lift")
        lines.append(
            f"| {kind} | {sum(by_layer) / len(by_layer):.3f} | {', '.join(f'{value:.3f}' for value in by_layer)} |"
        )
    return "\n".join(lines) + "\n"


def _by_model(results: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found = {kind: [r for r in results if r["model"] == kind] for kind in EXTRA}
    return {kind: own for kind, own in found.items() if own}


def _mean_by_layer(results: Sequence[dict[str, Any]], name: str) -> list[float]:
    return [sum(values) / len(values) for values in zip(*(r["flow"][name] for r in results), strict=True)]


def draw_curves(results: Sequence[dict[str, Any]], out: Path) -> None:
    """Draws dictionary.png: use of SOHO's dictionary over the steps; target.png and flow.png.

    target.png is the variance of MFR's targets over the steps, flow.png the flow by layer, a mean over seeds, for both
    models.
    """
    dictionary = [("entries in use", "live_entries"), ("perplexity", "perplexity")]
    curves = [
        (f"{label}, seed {r['seed']}", [(x["step"], x[name]) for x in r["readings"] if name in x])
        for r in results if r["model"] == "soho" for label, name in dictionary
    ]  # fmt: skip
    targets = [
        (f"seed {r['seed']}", [(x["step"], x["mfr_target_variance"]) for x in r["readings"]])
        for r in results if r["model"] == "visual_parsing"
    ]  # fmt: skip
    if curves:
        draw_lines(curves, out / "dictionary.png", "use of the visual dictionary over steps")
    if targets:
        draw_lines(targets, out / "target.png", "variance of what MFR regresses, over steps")
    if results:
        draw_bars(results, out / "flow.png")


INK = ((52, 101, 164), (204, 102, 0), (78, 154, 6), (164, 0, 0), (117, 80, 123), (85, 87, 83))


def draw_lines(curves: Sequence[tuple[str, Sequence[tuple[float, float]]]], path: Path, title: str) -> None:
    """Draws curves over one pair of axes into a PNG."""
    width, height, left, top = 640, 300, 60, 40
    image = Image.new("RGB", (width + 180, height + top + 40), "white")
    pen = ImageDraw.Draw(image)
    last = max(x for _, points in curves for x, _ in points)
    highest = max(y for _, points in curves for _, y in points) or 1.0
    pen.text((left, 10), title, fill="black")
    for share in (0.0, 0.5, 1.0):
        y = top + height * (1 - share)
        pen.line((left, y, width, y), fill=(200, 200, 200))
        pen.text((8, y - 6), f"{share * highest:.3g}", fill="black")
        pen.text((left + share * (width - left) - 10, top + height + 8), f"{share * last:.0f}", fill="black")
    for number, (name, points) in enumerate(curves):
        ink = INK[number % len(INK)]
        at = [(left + x / last * (width - left), top + height * (1 - y / highest)) for x, y in points]
        pen.line(at, fill=ink, width=2)
        pen.text((width + 10, top + 16 * number), name, fill=ink)
    image.save(path)


def draw_bars(results: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws inter-modality flow by layer into a PNG: a row per model, bars for both directions and the lift."""
    names = ("text_to_vision", "vision_to_text", "imf_lift")
    rows = {kind: [_mean_by_layer(own, name) for name in names] for kind, own in _by_model(results).items()}
    highest = max(1.0, *(value for columns in rows.values() for column in columns for value in column))
    image = Image.new("RGB", (560, 40 + 190 * len(rows)), "white")
    pen = ImageDraw.Draw(image)
    for i, name in enumerate(names):
        pen.text((10 + 160 * i, 10), name, fill=INK[i])
    for row, (kind, columns) in enumerate(rows.items()):
        base = 200 + 190 * row
        pen.text((10, base - 150), kind, fill="black")
        for mark in (0.0, 1.0):
            y = base - mark / highest * 140
            pen.line((120, y, 540, y), fill=(200, 200, 200))
            pen.text((95, y - 6), f"{mark:.0f}", fill="black")
        for layer in range(len(columns[0])):
            x = 140 + 100 * layer
            for i, column in enumerate(columns):
                pen.rectangle((x + 22 * i, base - column[layer] / highest * 140, x + 22 * i + 20, base), fill=INK[i])
            pen.text((x, base + 6), f"layer {layer + 1}", fill="black")
    image.save(path)


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
            print(json.dumps({k: v for k, v in found.items() if k not in ("flow", "readings")}), flush=True)
    results = sorted(read_results(lines), key=lambda r: (r["model"], r["seed"]))
    (given.out / "table.md").write_text(table_of(results))
    draw_curves(results, given.out)


def read_results(path: Path) -> list[dict[str, Any]]:
    """Reads the results of the finished runs."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


if __name__ == "__main__":
    main()
