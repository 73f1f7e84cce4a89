"""Masked feature regression: masks related visual tokens (by the parser's attention) and predicts their features."""

from typing import Any

import torch
from torch import Tensor

from manifests.settings import Section, identity
from train.distributed import mean_over_ranks, sum_over_ranks, world_size
from train.objectives.base import PURPOSES, Draw, Objective
from train.rows import Rows


class MfrSettings(Section):
    """The keys of this objective."""

    mfr: float = identity(0.0, ge=0, doc="weight of masked feature regression (Visual Parsing)")


def prepare(batch: Rows, draw: Draw, config: Any) -> dict[str, Tensor]:
    """`mfr_draws` [B] in 0..1: picks the token of each picture that is masked, with those that it attends to most."""
    draws = [torch.rand((), generator=draw.generator(batch, i, PURPOSES["mfr"])) for i in range(len(batch))]
    return {"mfr_draws": torch.stack(draws)}


def totals(batch: Rows) -> Tensor:
    """The number of rows that count, over all ranks: []; those whose sentence belongs to the picture."""
    matches = batch.get("itm_labels")
    n_rows = torch.tensor(len(batch), device=batch.device) if matches is None else (matches == 1).sum()
    return sum_over_ranks(n_rows)


def loss(outputs: Any, batch: Rows, n_asked: Tensor, config: Any) -> Tensor:
    """These rows' share of the mean over rows that count; `outputs.mfr_error` is [B], and 0 in all other rows."""
    return mean_over_ranks(outputs.mfr_error.sum() * world_size() / n_asked.clamp(min=1))


MFR = Objective("mfr", MfrSettings, loss, prepare, totals)
