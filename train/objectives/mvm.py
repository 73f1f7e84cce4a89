"""Masked visual modelling: masks all cells of an entry of the visual dictionary, and predicts it from the rest."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from manifests.settings import Section, identity
from train.distributed import mean_over_ranks, sum_over_ranks, world_size
from train.losses import IGNORED
from train.objectives.base import PURPOSES, Draw, Objective
from train.rows import Rows


class MvmSettings(Section):
    """The keys of this objective."""

    mvm: float = identity(0.0, ge=0, doc="weight of masked visual modelling (SOHO)")
    mvm_share: float = identity(
        0.15, gt=0, le=1, doc="share of rows in which one dictionary entry is masked (SOHO's published code: 0.015)"
    )


def prepare(batch: Rows, draw: Draw, config: Any) -> dict[str, Tensor]:
    """`mvm_draws` [B, 2]: a number in 0..1 that picks the cell whose entry is masked, and 1 if the row is masked."""
    rows = [torch.rand(2, generator=draw.generator(batch, i, PURPOSES["mvm"])) for i in range(len(batch))]
    drawn = torch.stack(rows)
    return {"mvm_draws": torch.stack([drawn[:, 0], (drawn[:, 1] < config.mvm_share).float()], 1)}


def asked(batch: Rows) -> Tensor:
    """[B] bool: whether a row counts: it is masked, and its sentence belongs to the picture."""
    masked = batch.mvm_draws[:, 1] > 0
    matches = batch.get("itm_labels")
    return masked if matches is None else masked & (matches == 1)


def totals(batch: Rows) -> Tensor:
    """The number of rows that count, over all ranks: []."""
    return sum_over_ranks(asked(batch).sum())


def loss(outputs: Any, batch: Rows, n_asked: Tensor, config: Any) -> Tensor:
    """These rows' share of the mean over rows that count; a row's loss is the mean over its masked cells.

    `outputs.mvm_logits` is [M, K], by position where `outputs.mvm_labels` [B, P] isn't -100, row by row.
    """
    asked_cells = outputs.mvm_labels != IGNORED
    rows = asked_cells.nonzero()[:, 0]
    logits = outputs.mvm_logits if outputs.mvm_logits.dtype == torch.float64 else outputs.mvm_logits.float()
    each = F.cross_entropy(logits, outputs.mvm_labels[asked_cells], reduction="none") / asked_cells.sum(1)[rows]
    own = (each * asked(batch)[rows]).sum() * world_size() / n_asked.clamp(min=1)
    return mean_over_ranks(own)


MVM = Objective("mvm", MvmSettings, loss, prepare, totals)
