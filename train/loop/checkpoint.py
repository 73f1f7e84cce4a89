"""Checkpoints: everything that a run needs to resume exactly, written while training goes on.

    RUN/checkpoints/step-00000500/   torch.distributed.checkpoint's files and facts.json (tensor_files.py)

RUN is a folder, or an address in a bucket. Of all that a checkpoint consists of, `.metadata` is put there last: without
it a folder is none, no matter when the process was killed, and the next start removes it. A checkpoint holds only
tensors (weights, Adam's moments and step counts), by parameter name and sharded as the parameters are, so that another
world size or strategy can load it too. It holds no random states: a run seeds each step from (seed, step, rank), and
its position in the data is the step.
"""

import json
import pickle
import warnings
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load as dcp_load
from torch.distributed.checkpoint.state_dict_saver import async_save as dcp_async_save

from manifests.errors import UserError
from manifests.files import Files
from train.distributed import Process
from train.loop.optim import clean_name
from train.loop.tensor_files import FACTS, METADATA, Writer, reader_of
from train.models.wrapping import unwrap

# A run of one process has no process group on purpose; torch would warn about that at each checkpoint.
warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")

Place = TypeVar("Place", Path, Files)
"""A folder, or an address in a bucket."""

FORMAT = 2
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
"""The state that AdamW keeps per parameter."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a checkpoint holds besides tensors (facts.json). `step` is the number of optimiser steps done."""

    step: int
    manifest_sha256: str
    index_fingerprint: str
    """Of the shards that could be read: positions in the sample order depend on them."""
    config: dict[str, Any]
    world: int
    scores: dict[str, float] = field(default_factory=dict)
    """Scores of the evaluation at this step; {} if there was none."""
    versions: dict[str, str] = field(default_factory=dict)
    fixed: dict[str, Any] = field(default_factory=dict)
    """What changes the numbers of a run though no key of the configuration sets it (TrainConfig.fixed_values)."""
    format: int = FORMAT


LOAD_ERRORS = (CheckpointException, RuntimeError, KeyError, ValueError, OSError, EOFError, pickle.UnpicklingError)


def capture(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The live tensors of a run by name, as a tree; zeros for moments that don't exist yet."""
    moments = {
        f"{name}.{part}": tensor
        for name, parameter in _updated(model, optimizer).items()
        for part, tensor in (optimizer.state.get(parameter) or _no_moments(parameter)).items()
    }
    return {"model": dict(unwrap(model).state_dict()), "optim": moments}


def _updated(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    """The parameters that the optimiser updates, by name."""
    updated = {parameter for group in optimizer.param_groups for parameter in group["params"]}
    return {clean_name(raw): parameter for raw, parameter in model.named_parameters() if parameter in updated}


def _no_moments(parameter: nn.Parameter) -> dict[str, Tensor]:
    return {
        "step": torch.tensor(0.0),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


def _take_moments(moments: dict[str, Tensor], model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Gives the optimiser the moments of a tree; torch puts each where its kernel looks for it.

    A fused kernel wants even the count of steps on the parameters' device.
    """
    names = {parameter: name for name, parameter in _updated(model, optimizer).items()}
    order = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = {
        number: {part: moments[f"{names[parameter]}.{part}"] for part in MOMENTS}
        for number, parameter in enumerate(order)
    }
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _at(place: Path | Files) -> Files:
    return place if isinstance(place, Files) else Files(str(place))


def restore(path: Path | Files, model: nn.Module, optimizer: torch.optim.Optimizer) -> Facts:
    """Loads a checkpoint into model and optimiser, in place. UserError if it doesn't fit."""
    facts = read_facts(path)
    state = capture(model, optimizer)
    try:
        # dcp_load fills the tensors it is given; the model's are the live ones.
        dcp_load(state, storage_reader=reader_of(_at(path)), no_dist=not dist.is_initialized())
    except LOAD_ERRORS as error:
        raise UserError(f"{path}: does not fit this model, or is damaged ({_first_line(error)})") from None
    _take_moments(state["optim"], model, optimizer)
    return facts


def restore_weights(path: Path | Files, model: nn.Module) -> Facts:
    """Loads the model's weights from a checkpoint. UserError if they don't fit."""
    facts = read_facts(path)
    weights = {"model": dict(unwrap(model).state_dict())}
    try:
        dcp_load(weights, storage_reader=reader_of(_at(path)), no_dist=not dist.is_initialized())
    except LOAD_ERRORS as error:
        raise UserError(f"{path}: does not fit this model, or is damaged ({_first_line(error)})") from None
    return facts


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def read_facts(path: Path | Files) -> Facts:
    """The facts of a checkpoint. UserError if it is not a checkpoint, or has a format this program doesn't know."""
    try:
        document = json.loads(_at(path).read(FACTS))
        if document.get("format") != FORMAT:
            raise UserError(f"{path}: checkpoint of format {document.get('format')}, this program reads {FORMAT}")
        return Facts(**document)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not a checkpoint ({error})") from None


def folder_of(run: Place) -> Place:
    """The folder of a run's checkpoints."""
    return run / "checkpoints"


def checkpoints(run: Place) -> list[Place]:
    """A run's complete checkpoints, oldest first."""
    folder = folder_of(run)
    return [folder / name for name, complete in _steps(_at(folder)) if complete]


def _steps(folder: Files) -> list[tuple[str, bool]]:
    """(name, whether it is complete) of each checkpoint in a folder, oldest first."""
    names = [name for name in folder.folders("") if name.startswith("step-")]
    return [(name, folder.exists(f"{name}/{METADATA}")) for name in names]


def find_checkpoint(path: Place, *, best: bool = False) -> Place:
    """The checkpoint at a path: the path itself, or a run's newest (or best). UserError if there is none."""
    if _at(path).exists(METADATA):
        return path
    folders = checkpoints(path)
    if not folders and isinstance(path, Path) and not path.exists():
        raise UserError(f"{path}: no such folder")
    if not folders:
        raise UserError(f"{path}: holds no checkpoint; give a run's folder or one of its checkpoints/step-*")
    return best_of(folders) or folders[-1] if best else folders[-1]


def best_of(folders: list[Place]) -> Place | None:
    """The best checkpoint by what is trained. None if none was evaluated.

    With a contrastive loss, that with the highest text-to-video R@1 (ties: R@5, then the mean rank, then the later);
    without (HD-VILA's stage 2, models without towers), that with the lowest loss on held-out rows; where questions are
    asked, that with the most right answers.
    """
    scored = [(read_facts(path), path) for path in folders]
    scored = [(facts, path) for facts, path in scored if facts.scores.keys() & {"t2v_r1", "val_loss", "accuracy"}]
    if not scored:
        return None
    return max(scored, key=lambda x: (*_merit(x[0]), x[1].name))[1]


def _merit(facts: Facts) -> tuple[float, float, float]:
    scores = facts.scores
    if "accuracy" in scores:
        return scores["accuracy"], 0.0, 0.0
    if "val_loss" in scores and not facts.config["objective"].get("contrastive"):
        return -scores["val_loss"], 0.0, 0.0
    return scores["t2v_r1"], scores.get("t2v_r5", 0), -scores.get("t2v_mean_rank", 0)


class Checkpointer:
    """Writes a run's checkpoints; keeps the newest `keep` and the best. All ranks call its methods together."""

    def __init__(self, run: Path | Files, process: Process, *, keep: int) -> None:
        self._folder, self._process, self._keep = folder_of(_at(run)), process, keep
        self._pending: tuple[Future[Any], Files] | None = None
        # A background thread communicates between ranks while it writes, so it needs its own group.
        self._group = dist.new_group(backend="gloo") if dist.is_initialized() else None
        if process.is_first:
            for name, complete in _steps(self._folder):
                if not complete:
                    self._folder.delete_folder(name)
        self._meet()

    def save(self, state: dict[str, Any], facts: Facts) -> None:
        """Starts writing a checkpoint; tensors are copied before it returns."""
        self.wait()
        place = self._folder / f"step-{facts.step:08d}"
        if place.exists(METADATA):
            return
        writer = Writer(place, json.dumps(asdict(facts), indent=2, sort_keys=True))
        alone = not dist.is_initialized()
        future = dcp_async_save(state, storage_writer=writer, process_group=self._group, no_dist=alone)
        assert isinstance(future, Future)
        self._pending = (future, place)

    def poll(self) -> None:
        """Deletes what is no longer kept once a checkpoint has been written; called at every step."""
        if self._pending is not None and self._pending[0].done():
            self._finish(*self._pending)

    def wait(self) -> None:
        """Like `poll`, but waits for the checkpoint and for the other ranks."""
        self.finish()
        self._meet()

    def finish(self) -> None:
        """Waits for the checkpoint that is being written, if any, but for no other rank: one may have failed."""
        if self._pending is not None:
            self._finish(*self._pending)

    def _finish(self, future: Future[Any], place: Files) -> None:
        self._pending = None
        try:
            future.result()
        except CheckpointException as error:
            cause = next(iter(error.failures.values()))[0]
            raise UserError(f"{place}: the checkpoint could not be written ({_first_line(cause)})") from None
        except (OSError, RuntimeError) as error:
            raise UserError(f"{place}: the checkpoint could not be written ({_first_line(error)})") from None
        if self._process.is_first:
            self._prune()

    def _prune(self) -> None:
        folders = [self._folder / name for name, complete in _steps(self._folder) if complete]
        kept = (*folders[-self._keep :], best_of(folders))
        for folder in folders:
            if folder not in kept:
                folder.delete(METADATA)  # first: half of a checkpoint must not look like one
                self._folder.delete_folder(folder.name)

    def _meet(self) -> None:
        if self._group is not None:
            dist.barrier(group=self._group)
