"""Adapts a trained model to clips of another kind, and says what it learned and what it forgot.

    OUT/base        the trained model's export, from which the run starts
    OUT/run         the run over the new clips, as of `hdvila-train fit`
    OUT/export      the adapted model
    OUT/adapt.json  R@1 before and after; written last

A vit learns low-rank additions to its attention (LoRA); an HD-VILA the last block of each tower, what follows it, and
its table of words, which gets those of the new clips as far as there is room.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.errors import UserError
from manifests.settings import load_config
from manifests.shards import read_manifest
from train.config import TrainConfig
from train.data.index import load_index, read_captions
from train.distributed import Process
from train.evaluation.evaluate import evaluate
from train.evaluation.scores import Retrieval, wilson_interval
from train.exports.export import export_run
from train.exports.export_folder import whole_folder
from train.exports.inference import load_checkpoint
from train.feed.batches import choose_source
from train.feed.tokenizer import MAX_CAPTIONS, load_tokenizer, tokenizer_with_words
from train.loop.fit import StopRequest, fit

RESULT = "adapt.json"
EPOCHS = 16


@dataclass(frozen=True, slots=True)
class Recalled:
    """R@1, text to video, on the val split of a data set."""

    clips: str
    n: int
    before: float
    after: float

    def describe(self) -> str:
        """As a line."""
        shares = [
            "{:.1%} ({:.1%} to {:.1%})".format(r1, *wilson_interval(r1, self.n)) for r1 in (self.before, self.after)
        ]
        return f"{self.clips}: R@1 {shares[0]} before, {shares[1]} after, of {self.n} clips"


def adapted_run(run: Path, manifest: str, out: str, overrides: Sequence[str]) -> TrainConfig:
    """The configuration of the run over the new clips: the model's own, but for what learns, and how long."""
    config = load_config(TrainConfig, run / "config.yaml")
    settings: dict[str, Any] = {
        **_what_learns(config.model.model_dump(), run),
        "model.model_weights": f"{out}/base",
        "data.manifest": manifest,
        "data.tokenizer": "",
        "loop.steps": 0,
        "loop.epochs": EPOCHS,
        "eval.every": 0,
        "out": f"{out}/run",
    }
    given = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    return load_config(TrainConfig, run / "config.yaml", [*given, *overrides])


def _what_learns(model: Mapping[str, Any], run: Path) -> dict[str, Any]:
    if model["kind"] == "vit":
        return {"model.image_tune": "lora", "model.text_tune": "lora"}
    if model["kind"] != "hd_vila" or model["n_answers"]:
        raise UserError(f"{run}: adapt compares embeddings, and this model of kind {model['kind']} has none")
    below = [f"timesformer.blocks.{n}.*" for n in range(model["n_space_time_blocks"] - 1)]
    below += [f"transformer.bert.encoder.layer.{n}.*" for n in range(model["n_text_layers"] - 1)]
    return {"optim.lr_scale": dict.fromkeys(["cnn", *below], 0.0)}


def adapt(
    run: Path, config: TrainConfig, out: str, old: str, process: Process, stop: StopRequest
) -> Sequence[Recalled] | None:
    """Trains, exports and scores the adapted model; None if that was stopped on request. All ranks call it."""
    if process.is_first and not (Path(out) / "base").exists():
        _export_base(run, config, Path(out) / "base")
    if fit(config, process, stop).status == "stopped":
        return None
    recalled = []
    for clips in dict.fromkeys((config.data.manifest, old)):
        before, after = (_scored(at, clips, config, process) for at in (run, Path(config.out)))
        r1 = [scores.text_to_video.r1 for scores in (before, after)]
        recalled.append(Recalled(clips, before.n_clips, *r1))
    if process.is_first:
        if not (Path(out) / "export").exists():
            export_run(Path(config.out), Path(out) / "export")
        (Path(out) / RESULT).write_text(json.dumps([asdict(one) for one in recalled], indent=1) + "\n")
    return recalled


def _export_base(run: Path, config: TrainConfig, base: Path) -> None:
    """Exports the trained model; its vocabulary, if that is a WordPiece with room, gets the new clips' words."""
    with whole_folder(base) as folder:
        export_run(run, folder)
        data = config.data
        captions = read_captions(
            read_manifest(data.manifest, **data.storage_options),
            data.split,
            data.storage_options,
            at_most=MAX_CAPTIONS,
            seed=config.seed,
        )
        known = load_tokenizer(folder)
        tokenizer_with_words(known, captions, vocab_size=config.model.vocab_size).save(folder)


def _scored(run: Path, manifest: str, config: TrainConfig, process: Process) -> Retrieval:
    data = config.data.model_copy(update={"manifest": manifest})
    encoder, options = load_checkpoint(run, device=process.device), data.storage_options
    assert encoder.tokenizer is not None
    index = load_index(read_manifest(manifest, **options), data.val_split, storage_options=options)
    config = config.model_copy(update={"data": data, "model": encoder.model.config})
    scores = evaluate(encoder.model, index, encoder.tokenizer, config, process, choose_source(config, index))
    assert isinstance(scores, Retrieval)
    return scores
