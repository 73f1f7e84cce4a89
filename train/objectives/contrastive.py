"""The contrastive objective, over the global batch: pulls video and text of a pair together, pushes others apart."""

from typing import Any, Literal

from torch import Tensor

from manifests.settings import Section, identity
from train.losses import EMBEDDINGS, contrastive_loss
from train.objectives.base import Objective
from train.rows import Rows


class ContrastiveSettings(Section):
    """The keys of this objective."""

    kind: Literal["infonce", "siglip"] = identity(
        "infonce", doc="contrastive loss: infonce (softmax over the global batch) or siglip (sigmoid of each pair)"
    )
    same_caption: Literal["negative", "ignored"] = identity(
        "negative",
        doc="clips of a batch with the same caption (up to case and spaces): negative: pushed apart, as "
        "published; ignored: not, since the caption is true of both",
    )
    contrastive: float = identity(1.0, ge=0, doc="weight of the contrastive loss")


def loss(outputs: Any, batch: Rows, totals: None, config: Any) -> Tensor:
    """The loss of the global batch, []; from outputs video and text [n, D], logit_scale and logit_bias [1]."""
    return contrastive_loss(
        outputs.video,
        outputs.text,
        outputs.logit_scale,
        kind=config.kind,
        logit_bias=outputs.logit_bias,
        caption_ids=batch.caption_ids if config.same_caption == "ignored" else None,
    )


CONTRASTIVE = Objective("contrastive", ContrastiveSettings, loss, spans=EMBEDDINGS)
