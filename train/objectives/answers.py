"""Answering: which answers are right for the picture or video and the question."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from manifests.settings import Section, identity
from train.distributed import mean_over_ranks
from train.objectives.base import Objective
from train.rows import Rows


class AnswersSettings(Section):
    """The keys of this objective."""

    answers: float = identity(0.0, ge=0, doc="weight of answering (models with n_answers)")
    answers_kind: Literal["scores", "one"] = identity(
        "scores",
        doc="scores: several answers may be right (binary cross entropy with soft targets, summed over "
        "answers: VQA); one: exactly one is right (softmax over answers, or over the texts to choose from: "
        "MSRVTT-QA, TGIF-QA)",
    )


def totals(batch: Rows) -> int:
    """The number of rows of this rank."""
    return len(batch)


def loss(outputs: Any, batch: Rows, n_rows: int, config: Any) -> Tensor:
    """These rows' share of the loss; `outputs.answer_logits` and `batch.targets` are [B, n_answers], of texts to choose
    from [B, texts]."""
    logits, targets = outputs.answer_logits, batch.targets
    logits = logits if logits.dtype == torch.float64 else logits.float()
    targets = targets.to(logits.dtype)
    if config.answers_kind == "scores":
        each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(1)
    else:
        each = -(targets * logits.log_softmax(1)).sum(1)
    return mean_over_ranks(each.sum() / n_rows)


ANSWERS = Objective("answers", AnswersSettings, loss, totals=totals)
