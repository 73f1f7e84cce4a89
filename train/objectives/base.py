"""What an objective is, and what it may draw from.

An objective's loss is either a sum over rows (masked words: each micro-batch brings its share) or it spans the global
batch (contrastive: each row is compared with all others), and then it names the outputs that it needs of every row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from manifests.settings import Section
from train.data.plan import mix
from train.distributed import Group, all_rows, rank_in
from train.losses import MaskTokens, Spans
from train.rows import Rows


@dataclass(frozen=True, slots=True)
class Draw:
    """The randomness of one step and what the other ranks hold of it: all that `prepare` may lean on.

    Draws are functions of (seed, step, position in the global batch, purpose), so that no world size, micro-batch or
    number of workers changes them.
    """

    seed: int
    step: int
    tokens: MaskTokens
    group: Group = None
    counts: Counter[str] = field(default_factory=Counter)
    """What an objective adds to the step's record, added up over its rows (of this rank)."""

    def generator(self, batch: Rows, row: int, purpose: int) -> torch.Generator:
        """The generator of one row for one purpose (a number that no other use has: see PURPOSES)."""
        return torch.Generator().manual_seed(int(mix(self.seed, self.step, self.position(batch, row), purpose)) >> 1)

    def position(self, batch: Rows, row: int) -> int:
        """Where a row of this rank's batch stands in the global one."""
        return rank_in(self.group) * len(batch) + row

    def everyone(self, x: Tensor) -> Tensor:
        """[B, ...] on the CPU of each rank -> [global B, ...] on all of them. All ranks call it together."""
        return all_rows(x, self.group)


PURPOSES = {"mlm": 1, "itm": 2, "mvm": 3, "mfr": 4, "itm hard": 5}
"""Numbers that keep the draws of objectives apart; the next one is for the next objective."""

Prepare = Callable[[Rows, Draw, Any], dict[str, Tensor]]
Loss = Callable[[Any, Rows, Any, Any], Tensor]


def no_totals(batch: Rows) -> None:
    """Of objectives whose micro-batches need not know the whole."""
    return


@dataclass(frozen=True, slots=True)
class Objective:
    """A term of what is minimised, switched on by a weight of its name in the section `objective`."""

    name: str
    settings: type[Section]
    """Its keys in the section `objective`: its weight (`name`, 0 by default) and its other settings."""
    loss: Loss
    """(outputs, batch, totals, section `objective`) -> []. Where it spans: outputs of all rows of this rank, equal on
    all ranks. Else: a micro-batch's share, such that the shares add up to the loss of the global batch."""
    prepare: Prepare | None = None
    """(batch on the CPU, draw, section) -> tensors to add to the batch or put in place of others. It runs on every rank
    at every step, in the order of the registry."""
    totals: Callable[[Rows], Any] = no_totals
    """What `loss` gets as its third argument: facts of this rank's whole batch, once a step."""
    spans: Spans | None = None
