"""Answering: which of the given answers are right for what is seen and asked (VQA, NLVR2, SNLI-VE)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from manifests.settings import Section, identity
from train.objectives.base import Objective
from train.rows import Rows


class AnswersSettings(Section):
    """Its keys."""

    answers: float = identity(0.0, ge=0, doc="weight of answering (models with n_answers)")
    answers_kind: Literal["scores", "one"] = identity(
        "scores",
        doc="scores: each answer is right or not for itself (binary cross entropy with soft targets, summed over "
        "answers: VQA); one: a single answer is right (softmax: NLVR2, SNLI-VE)",
    )


def totals(batch: Rows) -> int:
    """Rows of this rank."""
    return len(batch)


def loss(outputs: Any, batch: Rows, n_rows: int, config: Any) -> Tensor:
    """The share of these rows; `outputs.answer_logits` and `targets`, both [B, n_answers]."""
    logits, targets = outputs.answer_logits, batch.targets
    logits = logits if logits.dtype == torch.float64 else logits.float()
    targets = targets.to(logits.dtype)
    if config.answers_kind == "scores":
        each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    else:
        each = -(targets * logits.log_softmax(1)).sum(1)
    return each.sum() / n_rows


ANSWERS = Objective("answers", AnswersSettings, loss, totals=totals)
