"""One step's loss and gradients: the weighted objectives, at once or in micro-batches with the same result."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.config import ObjectiveConfig, TrainConfig
from train.evaluate import autocast
from train.losses import contrastive_loss, itm_loss, labels_of_matches, mlm_loss
from train.models import Batch, Features


def backward(model: nn.Module, batch: Batch, config: TrainConfig) -> float:
    """Gradients of the global batch's loss into the parameters; the loss, equal on all ranks."""
    with autocast(config, batch.input_ids.device):
        features = model(batch)
    loss = objective(features, batch, config.objective)
    torch.autograd.backward(loss)
    return float(loss.detach())


def objective(features: Features, batch: Batch, config: ObjectiveConfig) -> Tensor:
    """The weighted sum of what the configuration asks for -> [] fp32."""
    terms = []
    if config.contrastive:
        scale, bias = features.logit_scale, features.logit_bias
        loss = contrastive_loss(features.video, features.text, scale, kind=config.kind, logit_bias=bias)
        terms.append(config.contrastive * loss)
    if config.mlm and features.mlm_logits is not None and batch.mlm_labels is not None:
        terms.append(config.mlm * mlm_loss(features.mlm_logits, batch.mlm_labels))
    if config.itm and features.itm_logits is not None and batch.itm_labels is not None:
        terms.append(config.itm * itm_loss(features.itm_logits, batch.itm_labels))
    return torch.stack(terms).sum()
