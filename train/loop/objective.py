"""Computes a step's loss and gradients: the weighted objectives, in one pass or in micro-batches (same result)."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial, reduce
from operator import or_
from typing import Any

import torch
from torch import Tensor, nn

from train.config import TrainConfig
from train.loop.grad_cache import LocalLoss, cached_backward
from train.losses import Spans
from train.models.base import Model
from train.models.wrapping import autocast, gradient_sync
from train.objectives import Objective, active
from train.rows import Rows


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss of a step; equal on all ranks."""

    total: Tensor
    """The weighted sum, []."""
    terms: dict[str, Tensor]
    """Each objective's own loss before its weight, []."""


def mark_trainable(model: Model, config: TrainConfig) -> None:
    """Makes exactly those parameters trainable that the run's objectives reach with its view of samples."""
    objectives = [objective for objective, _ in active(config.objective)]
    spans = spans_of(objectives) or Spans(())
    model.mark_trainable([objective.name for objective in objectives], config.data.view, (*spans.rows, *spans.shared))


def spans_of(objectives: Iterable[Objective]) -> Spans | None:
    """All outputs that these objectives' losses over the global batch read; None if there are no such losses."""
    spans = [objective.spans for objective in objectives if objective.spans is not None]
    return reduce(or_, spans) if spans else None


def backward(model: nn.Module, batch: Rows, config: TrainConfig, *, check: bool = False) -> Loss:
    """Accumulates the gradients of the global batch's loss in the parameters; returns the loss.

    If `loop.micro_batch` is smaller than this rank's share, gradients of losses over the global batch are cached
    (train.loop.grad_cache), so that each row is still compared with all others. `check` verifies that the second pass
    gives the same outputs as the first.
    """
    sums = _Sums(batch, config)
    micro_batches = batch.split(config.loop.micro_batch or len(batch))
    cast = partial(autocast, config.loop.precision, batch.device)
    local = sums.of_micro_batch if sums.local else None
    spans = sums.spans
    if spans is None:
        assert local is not None  # the configuration refuses a run without any objective
        total = _accumulate(model, micro_batches, local, cast)
    else:
        total = cached_backward(
            model, micro_batches, sums.of_all, local_loss=local, autocast=cast, spans=spans, check=check
        )
    return Loss(total, sums.terms)


class _Sums:
    """The objectives of a step, as the two loss functions that a backward pass needs; sums up the loss of each."""

    def __init__(self, batch: Rows, config: TrainConfig) -> None:
        self._batch, self._config = batch, config.objective
        both = active(config.objective)
        self._totals = {objective.name: objective.totals(batch) for objective, _ in both}
        self.local = [(objective, weight) for objective, weight in both if objective.spans is None]
        self._spanning = [(objective, weight) for objective, weight in both if objective.spans is not None]
        self.spans = spans_of(objective for objective, _ in both)
        self.terms = {objective.name: torch.zeros((), device=batch.device) for objective, _ in both}

    def of_all(self, outputs: Any) -> Tensor:
        """The weighted sum of the losses over the global batch."""
        return self._sum(self._spanning, outputs, self._batch)

    def of_micro_batch(self, outputs: Any, micro: Rows) -> Tensor:
        """The weighted sum of the other losses, for the share of a micro-batch of this rank."""
        return self._sum(self.local, outputs, micro)

    def _sum(self, objectives: Sequence[tuple[Objective, float]], outputs: Any, rows: Rows) -> Tensor:
        total = torch.zeros((), device=rows.device)
        for objective, weight in objectives:
            loss = objective.loss(outputs, rows, self._totals[objective.name], self._config)
            self.terms[objective.name] = self.terms[objective.name] + loss.detach()
            total = total + weight * loss
        return total


def _accumulate(
    model: nn.Module,
    micro_batches: Sequence[Rows],
    local: LocalLoss,
    cast: Callable[[], AbstractContextManager[object]],
) -> Tensor:
    """Accumulates the gradients of losses that are sums over rows, in one pass; ranks exchange them once."""
    total = torch.zeros((), device=micro_batches[0].device)
    for i, micro in enumerate(micro_batches):
        with gradient_sync(model, enabled=i == len(micro_batches) - 1):
            with cast():
                outputs = model(micro)
            loss = local(outputs, micro)
            torch.autograd.backward(loss)
            total = total + loss.detach()
    return total
