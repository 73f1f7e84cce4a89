"""Opens a run that has ended or stopped, to evaluate it: its configuration, a checkpoint, its held-out clips."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from manifests.errors import UserError
from manifests.settings import load_config
from train.config import TrainConfig
from train.data.index import Index
from train.distributed import Process
from train.evaluation.held_out import no_val
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
    if problem := no_val(run.config, run.data):
        raise UserError(problem)


def open_any(target: Path, process: Process, *, best: bool = False, overrides: list[str] | None = None) -> Opened:
    """Opens a run by its folder, a checkpoint in it, or its YAML."""
    if target.is_file():
        target = at_hand(load_config(TrainConfig, target, overrides).out, best=best)
    checkpoint = find_checkpoint(target, best=best)
    folder = checkpoint.parent.parent if checkpoint.parent.name == folder_of(Path()).name else checkpoint.parent
    config = load_config(TrainConfig, folder / "config.yaml", overrides)
    _refuse_elsewhere(config.data.manifest)
    data = open_data(config, folder, process)
    strategy = strategy_of(config, process) if process.world > 1 else "none"  # a checkpoint loads into either
    model = wrap(first_model(config, process, resuming=True), strategy)
    restore_weights(checkpoint, model)
    return Opened(config, folder, checkpoint, data, model)


def _refuse_elsewhere(manifest: str) -> None:
    """UserError for a relative path that leads nowhere from the current folder."""
    if manifest and "://" not in manifest and not Path(manifest).is_absolute() and not Path(manifest).exists():
        raise UserError(
            f"{manifest}: not found; the run names it relative to the current folder: start there, or use "
            "--set data.manifest=…"
        )


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
