"""Steps whose loss or gradient is not finite: a run stops at one, or leaves it out (`loop.nonfinite: skip`).

    RUN/nonfinite/step-*-rank*.json    the keys of such a batch, by rank

Gradients are exchanged before their norm is looked at, so all ranks see the same and skip alike. A skipped step changes
no weight, no moment and no buffer: what a forward pass has written (running statistics, a dictionary) is put back.
Looking costs a wait for the device at every step, so `stop` only does it where values are read anyway.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from manifests.errors import UserError
from train.distributed import Process

FOLDER = "nonfinite"
MOST_IN_A_ROW = 10
"""Steps that are skipped one after the other before the run stops: then it is not the data."""


class Skipped:
    """The steps that a run has left out."""

    def __init__(self, run: Path, process: Process, model: nn.Module, *, wanted: bool) -> None:
        self._run, self._process, self._wanted = run, process, wanted
        self._buffers = list(model.buffers()) if wanted else []
        self._before: list[Tensor] = []
        self.n = 0
        self._in_a_row = 0

    def begin(self) -> None:
        """Keeps what a skipped step must not change; called before each forward pass."""
        self._before = [buffer.clone() for buffer in self._buffers]

    def skips(self, step: int, loss: Tensor, grad_norm: Tensor, keys: Sequence[str]) -> bool:
        """Whether this step (from 1) is left out; keeps its keys. UserError after too many in a row."""
        if not self._wanted or math.isfinite(float(grad_norm)):
            self._in_a_row = 0
            return False
        self._put_back()
        path = keep_keys(self._run / FOLDER, self._process, step, _facts(loss, grad_norm), keys)
        self.n += 1
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise UserError(
                f"step {step}: the gradients of {MOST_IN_A_ROW} steps in a row were not finite; their batches' keys "
                f"are in {path.parent}. Lower optim.lr (--set optim.lr=…), or train on from an earlier checkpoint"
            )
        return True

    @torch.no_grad()
    def _put_back(self) -> None:
        for buffer, before in zip(self._buffers, self._before, strict=True):
            buffer.copy_(before)


def stop(run: Path, process: Process, step: int, loss: float, grad_norm: float, keys: Sequence[str]) -> None:
    """Keeps the keys of the batch and raises UserError; the newest checkpoint is from before this step."""
    path = keep_keys(run / FOLDER, process, step, _facts(loss, grad_norm), keys)
    raise UserError(
        f"step {step}: loss {loss}, gradient norm {grad_norm}; the batch's keys are in {path}. The newest "
        "checkpoint is from before it: go on with a lower rate (--set optim.lr=…), leave such steps out "
        "(--set loop.nonfinite=skip), or look at those clips"
    )


def _facts(loss: Tensor | float, grad_norm: Tensor | float) -> dict[str, str]:
    return {"loss": repr(float(loss)), "grad_norm": repr(float(grad_norm))}


def keep_keys(folder: Path, process: Process, step: int, facts: Mapping[str, object], keys: Sequence[str]) -> Path:
    """Writes the keys of this rank's part of a batch to a file in a folder of the run, with facts about it."""
    path = folder / f"step-{step:08d}-rank{process.rank}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"step": step, **facts, "keys": list(keys)}, indent=2))
    return path
