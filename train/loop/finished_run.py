"""Opens a run that has ended or stopped, to evaluate it: its configuration, a checkpoint, its held-out clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from manifests.errors import UserError
from manifests.settings import load_config
from train.config import TrainConfig
from train.data.index import Index
from train.distributed import Process
from train.evaluation.evaluate import Scores, evaluate
from train.feed.batches import TrainData, choose_source, open_data
from train.loop.checkpoint import find_checkpoint, folder_of, restore_weights
from train.loop.fit import first_model, strategy_of
from train.models.wrapping import wrap


@dataclass(frozen=True, slots=True)
class Opened:
    """A run's checkpoint, loaded, and the data to evaluate it on."""

    config: TrainConfig
    folder: Path
    checkpoint: Path
    data: TrainData
    val: Index
    model: nn.Module


def open_run(target: Path, process: Process, *, best: bool = False, overrides: list[str] | None = None) -> Opened:
    """Opens a run by its folder, a checkpoint in it, or its YAML. UserError if nothing is held out."""
    if target.is_file():
        target = Path(load_config(TrainConfig, target, overrides).out)
    checkpoint = find_checkpoint(target, best=best)
    folder = checkpoint.parent.parent if checkpoint.parent.name == folder_of(Path()).name else checkpoint.parent
    config = load_config(TrainConfig, folder / "config.yaml", overrides)
    data = open_data(config, folder, process)
    if data.val is None:
        raise UserError(f"{config.data.manifest}: has no split {config.data.val_split!r} to evaluate on")
    model = wrap(first_model(config, process, resuming=True), strategy_of(config, process))
    restore_weights(checkpoint, model)
    return Opened(config, folder, checkpoint, data, data.val, model)


def evaluate_run(
    target: Path, process: Process, *, best: bool = False, overrides: list[str] | None = None
) -> tuple[Scores, Path]:
    """Opens a run (see `open_run`) and evaluates it: `(scores, checkpoint)`."""
    run = open_run(target, process, best=best, overrides=overrides)
    source = choose_source(run.config, run.val)
    return evaluate(run.model, run.val, run.data.tokenizer, run.config, process, source), run.checkpoint
