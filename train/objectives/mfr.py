"""Masked feature regression: visual tokens that the parser relates are hidden together, their features predicted."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from manifests.settings import Section, identity
from train.distributed import mean_over_ranks, sum_over_ranks, world_size
from train.objectives.base import PURPOSES, Draw, Objective
from train.rows import Rows


class MfrSettings(Section):
    """Its keys."""

    mfr: float = identity(0.0, ge=0, doc="weight of masked feature regression (Visual Parsing)")


def prepare(batch: Rows, draw: Draw, config: Any) -> dict[str, Tensor]:
    """`mfr_draws` [B] in 0..1: which token of the picture is masked with those that it attends to."""
    draws = [torch.rand((), generator=draw.generator(batch, i, PURPOSES["mfr"])) for i in range(len(batch))]
    return {"mfr_draws": torch.stack(draws)}


def totals(batch: Rows) -> Tensor:
    """Rows asked for over all ranks: []; those whose sentence belongs to the picture."""
    matches = batch.get("itm_labels")
    n_rows = torch.tensor(len(batch), device=batch.device) if matches is None else (matches == 1).sum()
    return sum_over_ranks(n_rows)


def loss(outputs: Any, batch: Rows, n_asked: Tensor, config: Any) -> Tensor:
    """The share of these rows in the mean over rows asked for; `outputs.mfr_error` [B], 0 in rows that aren't."""
    return mean_over_ranks(outputs.mfr_error.sum() * world_size() / n_asked.clamp(min=1))


MFR = Objective("mfr", MfrSettings, loss, prepare, totals)
