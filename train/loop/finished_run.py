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
from train.evaluation.published import PublishedScores, published_of
from train.evaluation.scores import Scores
from train.feed.batches import TrainData, open_data
from train.loop.bucket import at_hand
from train.loop.checkpoint import find_checkpoint, folder_of, restore_weights
from train.loop.fit import first_model, scores_of, strategy_of
from train.models.wrapping import wrap


@dataclass(frozen=True, slots=True)
class Opened:
    """A run's checkpoint, loaded, and the data to evaluate it on."""

    config: TrainConfig
    folder: Path
    checkpoint: Path
    data: TrainData
    model: nn.Module

    @property
    def val(self) -> Index:
        """The held-out samples."""
        assert self.data.val is not None
        return self.data.val


def open_run(target: Path, process: Process, *, best: bool = False, overrides: list[str] | None = None) -> Opened:
    """As `open_any`; UserError if the run has no val split."""
    run = open_any(target, process, best=best, overrides=overrides)
    refuse_no_val(run)
    return run


def refuse_no_val(run: Opened) -> None:
    """UserError for a run without a val split."""
    data = run.config.data
    if run.data.val is None and data.questions:
        raise UserError("no questions are held out: name a file in eval.questions, or give --videos and --questions")
    if run.data.val is None:
        raise UserError(f"{data.manifest or data.videos}: has no split {data.val_split!r} to evaluate on")


def open_any(target: Path, process: Process, *, best: bool = False, overrides: list[str] | None = None) -> Opened:
    """Opens a run by its folder, a checkpoint in it, or its YAML."""
    if target.is_file():
        target = at_hand(load_config(TrainConfig, target, overrides).out, best=best)
    checkpoint = find_checkpoint(target, best=best)
    folder = checkpoint.parent.parent if checkpoint.parent.name == folder_of(Path()).name else checkpoint.parent
    config = load_config(TrainConfig, folder / "config.yaml", overrides)
    data = open_data(config, folder, process)
    model = wrap(first_model(config, process, resuming=True), strategy_of(config, process))
    restore_weights(checkpoint, model)
    return Opened(config, folder, checkpoint, data, model)


def evaluate_run(
    target: Path, process: Process, *, best: bool = False, overrides: list[str] | None = None
) -> tuple[Scores | PublishedScores, Path]:
    """Opens a run and evaluates it as it was while it trained: `(scores, checkpoint)`."""
    run = open_any(target, process, best=best, overrides=overrides)
    return score_run(run, process), run.checkpoint


def score_run(run: Opened, process: Process) -> Scores | PublishedScores:
    """The scores of a run that has been opened."""
    benchmark = published_of(run.config, run.folder / "index")
    if benchmark is None:
        refuse_no_val(run)
    return scores_of(run.model, run.data, run.config, process, benchmark)
