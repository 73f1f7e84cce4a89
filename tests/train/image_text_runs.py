"""Runs of the image-text models on drawn clips."""

from pathlib import Path
from typing import Any

from manifests.settings import parse_config
from train.config import TrainConfig
from train.distributed import process_from_environment
from train.loop.fit import Outcome, StopRequest, fit

SOHO: dict[str, Any] = {
    "kind": "soho", "preset": "tiny", "width": 32, "n_entries": 24, "vocab_size": 128, "text_length": 12,
    "max_text_positions": 16, "image_size": [64, 96], "trunk_width": 8, "dropout": 0.0,
}  # fmt: skip
VISUAL_PARSING: dict[str, Any] = {
    "kind": "visual_parsing", "preset": "tiny", "width": 32, "vocab_size": 128, "text_length": 12,
    "max_text_positions": 16, "image_size": [64, 96], "parser_width": 8, "dropout": 0.0,
}  # fmt: skip
MODELS = {"soho": SOHO, "visual_parsing": VISUAL_PARSING}
WEIGHTS = {
    "soho": {"contrastive": 0.0, "mlm": 1.0, "itm": 1.0, "mvm": 1.0, "mvm_share": 0.6},
    "visual_parsing": {"contrastive": 0.0, "mlm": 1.0, "itm": 1.0, "mfr": 1.0},
}


def tree(kind: str, manifest: Path, out: Path, **sections: Any) -> dict[str, Any]:
    """A configuration whose steps cost milliseconds."""
    found: dict[str, Any] = {
        "out": str(out),
        "data": {"manifest": str(manifest)},
        "model": dict(MODELS[kind]),
        "objective": dict(WEIGHTS[kind]),
        "optim": {"lr": 1e-3},
        "loop": {"steps": 4, "batch": 8, "threads": 1, "device": "cpu"},
        "checkpoint": {"every": 2, "keep": 5},
        "eval": {"every": 0},
        "observe": {"tensorboard": False, "every": 1},
    }
    for name, keys in sections.items():
        found[name] = {**found.get(name, {}), **keys}
    return found


def run(kind: str, manifest: Path, out: Path, **sections: Any) -> Outcome:
    config = parse_config(TrainConfig, tree(kind, manifest, out, **sections), source="test")
    return fit(config, process_from_environment("cpu"), StopRequest())
