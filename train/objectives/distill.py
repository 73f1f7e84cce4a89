"""Distillation: a smaller model learns which clips and sentences of a batch a larger one holds to be alike.

The larger model's embeddings are those that `hdvila-train embed` made, once; they come with each row
(train/feed/teacher.py). The loss is that of CLIP's distillations: the divergence between both models' softmax over the
global batch, from each sentence over all clips and from each clip over all sentences.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from manifests.settings import Section, identity
from train.distributed import gather, mean_over_ranks
from train.losses import EMBEDDINGS
from train.objectives.base import Objective
from train.rows import Rows


class DistillSettings(Section):
    """The keys of this objective."""

    distill: float = identity(0.0, ge=0, doc="weight of learning another model's similarities")
    distill_from: str = identity("", doc="that model's embeddings of this data set: a folder of `hdvila-train embed`")
    distill_temperature: float = identity(0.05, gt=0, doc="its temperature, by which its similarities are divided")


def loss(outputs: Any, batch: Rows, totals: None, config: Any) -> Tensor:
    """The loss of the global batch, []; rows `teacher_video` and `teacher_text` are [n, D'], whatever D' is."""
    with torch.autocast(outputs.video.device.type, enabled=False):
        scale = outputs.logit_scale.float()
        own = _both_ways(outputs.video.float(), outputs.text.float(), scale)
        theirs = _both_ways(batch.teacher_video, batch.teacher_text, 1 / config.distill_temperature)
        divergence = sum(
            F.kl_div(mine.log_softmax(1), other.log_softmax(1), log_target=True, reduction="batchmean")
            for mine, other in zip(own, theirs, strict=True)
        )
        # A learned bias must get a gradient, or DDP waits for it forever.
        return mean_over_ranks(0.5 * divergence + 0.0 * outputs.logit_bias.sum())


def _both_ways(video: Tensor, text: Tensor, scale: Tensor | float) -> tuple[Tensor, Tensor]:
    """This rank's sentences against all clips, and its clips against all sentences: [n, N] each."""
    return scale * text @ gather(video).T, scale * video @ gather(text).T


DISTILL = Objective("distill", DistillSettings, loss, spans=EMBEDDINGS)
