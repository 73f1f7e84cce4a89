"""Masked language modelling: masks words, and predicts them from the rest of the sentence and the video or picture."""

from typing import Any

import torch
from torch import Tensor

from manifests.settings import Section, identity
from train.losses import IGNORED, count_asked, labels_of_matches, mask_tokens, mlm_loss
from train.objectives.base import PURPOSES, Draw, Objective
from train.rows import Rows


class MlmSettings(Section):
    """The keys of this objective."""

    mlm: float = identity(0.0, ge=0, doc="weight of masked language modelling (HD-VILA: model.stage 2)")
    mlm_share: float = identity(0.15, gt=0, lt=1, doc="share of tokens that are masked")


def prepare(batch: Rows, draw: Draw, config: Any) -> dict[str, Tensor]:
    """BERT's masking, row by row: `input_ids` with masked words, and `mlm_labels` [B, L]."""
    ids = batch.input_ids
    rows = [
        mask_tokens(ids[i : i + 1], draw.tokens, draw.generator(batch, i, PURPOSES["mlm"]), share=config.mlm_share)
        for i in range(len(batch))
    ]
    return {"input_ids": torch.cat([row for row, _ in rows]), "mlm_labels": torch.cat([labels for _, labels in rows])}


def asked(batch: Rows) -> Tensor:
    """[B, L]: the labels that count. A mismatched row has nothing to predict: it reads another row's text."""
    matches = batch.get("itm_labels")
    return batch.mlm_labels if matches is None else labels_of_matches(batch.mlm_labels, matches)


def totals(batch: Rows) -> Tensor:
    """The number of words to predict, over all ranks: []."""
    return count_asked(asked(batch))


def loss(outputs: Any, batch: Rows, n_asked: Tensor, config: Any) -> Tensor:
    """These rows' share of the loss; `outputs.mlm_logits` is [M, V], by masked position, row by row."""
    labels = asked(batch)
    kept = (labels != IGNORED)[batch.mlm_labels != IGNORED]
    return mlm_loss(outputs.mlm_logits[kept], labels, n_asked=n_asked)


def judged(outputs: Any, batch: Rows) -> Tensor:
    """[n asked]: whether the likeliest word is the one that was masked."""
    labels = asked(batch)
    kept = (labels != IGNORED)[batch.mlm_labels != IGNORED]
    return outputs.mlm_logits[kept].argmax(1) == labels[labels != IGNORED]


MLM = Objective("mlm", MlmSettings, loss, prepare, totals, judged=judged)
