"""One step's loss and gradients: the weighted objectives, in one pass or in micro-batches with the same result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from train.config import ObjectiveConfig, TrainConfig
from train.distributed import gradient_sync
from train.evaluate import autocast
from train.grad_cache import cached_backward
from train.losses import contrastive_loss, count_asked, itm_loss, labels_of_matches, mlm_loss
from train.models import Batch, Features

LocalLoss = Callable[[Features, Batch], Tensor]


def backward(model: nn.Module, batch: Batch, config: TrainConfig) -> float:
    """Gradients of the global batch's loss into the parameters; the loss, equal on all ranks.

    With `loop.micro_batch` below this rank's share the contrastive gradients are cached (train.grad_cache), so that
    each clip is still compared with the whole global batch.
    """
    micro_batches = batch.split(config.loop.micro_batch or len(batch))
    cast = partial(autocast, config, batch.input_ids.device)
    local = local_loss(batch, config.objective)
    if not config.objective.contrastive:
        assert local is not None  # the configuration refuses a run without any objective
        return _accumulate(model, micro_batches, local, cast)
    whole = partial(_contrastive, config=config.objective, caption_ids=batch.caption_ids)
    return float(cached_backward(model, micro_batches, whole, local_loss=local, autocast=cast))


def _contrastive(features: Features, config: ObjectiveConfig, caption_ids: Tensor | None) -> Tensor:
    scale, bias = features.logit_scale, features.logit_bias
    return config.contrastive * contrastive_loss(
        features.video, features.text, scale, kind=config.kind, logit_bias=bias, caption_ids=caption_ids
    )


def local_loss(batch: Batch, config: ObjectiveConfig) -> LocalLoss | None:
    """Stage 2's terms as a sum over micro-batches of the whole `batch`; None where there are none."""
    if not (config.mlm or config.itm):
        return None
    n_asked = count_asked(_mlm_labels(batch)) if config.mlm else None

    def of_micro_batch(features: Features, micro: Batch) -> Tensor:
        loss = torch.zeros((), device=features.video.device)
        if config.mlm and features.mlm_logits is not None and micro.mlm_labels is not None:
            loss = loss + config.mlm * _mlm(features.mlm_logits, micro, n_asked)
        if config.itm and features.itm_logits is not None and micro.itm_labels is not None:
            share = len(micro) / len(batch)
            loss = loss + config.itm * share * itm_loss(features.itm_logits, micro.itm_labels)
        return loss

    return of_micro_batch


def _mlm(logits: Tensor, micro: Batch, n_asked: Tensor | None) -> Tensor:
    """Rows whose text isn't their video's ask nothing; their logits, made for every masked place, are left out."""
    assert micro.mlm_labels is not None
    labels = _mlm_labels(micro)
    asked = (labels != -100)[micro.mlm_labels != -100]
    return mlm_loss(logits[asked], labels, n_asked=n_asked)


def _mlm_labels(batch: Batch) -> Tensor:
    assert batch.mlm_labels is not None
    return batch.mlm_labels if batch.itm_labels is None else labels_of_matches(batch.mlm_labels, batch.itm_labels)


def _accumulate(
    model: nn.Module,
    micro_batches: Sequence[Batch],
    local: LocalLoss,
    cast: Callable[[], torch.autocast],
) -> float:
    """Gradients of terms that are sums over clips: one pass; ranks exchange once."""
    total = 0.0
    for i, micro in enumerate(micro_batches):
        with gradient_sync(model, enabled=i == len(micro_batches) - 1):
            with cast():
                features = model(micro)
            loss = local(features, micro)
            torch.autograd.backward(loss)
            total += float(loss.detach())
    return total
