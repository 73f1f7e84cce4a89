"""What an objective is, and where its random draws come from.

An objective's loss is either a sum over rows (masked words: each micro-batch adds its share), or it spans the global
batch (contrastive: each row is compared with all others), and then names the outputs that it needs from every row.
"""

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
    """The randomness of a step, and access to the rows of other ranks: all that `prepare` may depend on.

    Draws are functions of (seed, step, position in the global batch, purpose), so they don't depend on the world size,
    micro-batches or the number of workers.
    """

    seed: int
    step: int
    tokens: MaskTokens
    group: Group = None
    counts: Counter[str] = field(default_factory=Counter)
    """Counts that objectives add to the step's record, summed over the rows of this rank."""

    def generator(self, batch: Rows, row: int, purpose: int) -> torch.Generator:
        """The random generator of a row for a purpose (a number from PURPOSES)."""
        return torch.Generator().manual_seed(int(mix(self.seed, self.step, self.position(batch, row), purpose)) >> 1)

    def position(self, batch: Rows, row: int) -> int:
        """The position in the global batch of a row of this rank's batch."""
        return rank_in(self.group) * len(batch) + row

    def everyone(self, x: Tensor) -> Tensor:
        """[B, ...] on the CPU of each rank -> [global B, ...] on every rank. All ranks call it together."""
        return all_rows(x, self.group)


PURPOSES = {"mlm": 1, "itm": 2, "mvm": 3, "mfr": 4}
"""Numbers that keep the draws of different purposes independent; a new purpose takes the next one, one of another
package a number above 1000."""

Prepare = Callable[[Rows, Draw, Any], dict[str, Tensor]]
Loss = Callable[[Any, Rows, Any, Any], Tensor]
Judged = Callable[[Any, Rows], Tensor]


def no_totals(batch: Rows) -> None:
    """`Objective.totals` of objectives whose micro-batches need no facts of the whole batch."""
    return


@dataclass(frozen=True, slots=True)
class Objective:
    """A term of the loss, switched on by the weight of the same name in the section `objective`."""

    name: str
    settings: type[Section]
    """Its keys in the section `objective`: its weight (`name`, 0 by default) and its other settings."""
    loss: Loss
    """(outputs, batch, totals, section `objective`) -> []. With `spans`, it gets the outputs of all rows of this rank,
    and its result is equal on all ranks. Without, it gives a micro-batch's share; the shares add up to the global
    batch's loss."""
    prepare: Prepare | None = None
    """(batch on the CPU, draw, section) -> tensors to add to the batch or to replace others. Runs on every rank at
    every step, in the order of the registry."""
    totals: Callable[[Rows], Any] = no_totals
    """Computes the third argument of `loss` once a step: facts of this rank's whole batch."""
    spans: Spans | None = None
    judged: Judged | None = None
    """(outputs, batch) -> which of what the rows ask is answered right, bool [n]: its mean is the held-out accuracy."""
    models: tuple[str, ...] = ()
    """Kinds of model that it serves, of an objective from another package; ours are named by the models."""
