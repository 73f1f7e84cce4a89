"""Pictures against sound: pulls the two embeddings of a clip together, and those of other clips apart.

Over the global batch, as the contrastive loss of video and text is; rows without sound are in no sum.
"""

from typing import Any

import torch
from torch import Tensor

from manifests.settings import Section, identity
from train.distributed import gather, mean_over_ranks, rank_in, sum_over_ranks, world_size
from train.losses import Spans
from train.objectives.base import Objective
from train.rows import Rows


class SoundSettings(Section):
    """The keys of this objective."""

    sound: float = identity(0.0, ge=0, doc="weight of the contrastive loss between pictures and sound (hd_vila_sound)")


def totals(batch: Rows) -> Tensor:
    """The number of rows with sound, over all ranks: []."""
    return sum_over_ranks(batch.has_sound.sum())


def loss(outputs: Any, batch: Rows, n_heard: Tensor, config: Any) -> Tensor:
    """The mean over rows with sound, both ways, []; from outputs pictures and sound [n, D] and logit_scale [1]."""
    with torch.autocast(outputs.sound.device.type, enabled=False):
        pictures, sound, scale = (x.float() for x in (outputs.pictures, outputs.sound, outputs.logit_scale))
        heard, all_heard = batch.has_sound > 0, gather(batch.has_sound) > 0
        own = rank_in() * len(heard) + torch.arange(len(heard), device=heard.device)
        total = pictures.new_zeros(())
        for here, there in ((pictures, sound), (sound, pictures)):
            logits = (scale * here @ gather(there).T).masked_fill(~all_heard[None], -1e4)
            total = total - logits.log_softmax(1).gather(1, own[:, None])[:, 0][heard].sum()
        return mean_over_ranks(0.5 * total * world_size() / n_heard.clamp(min=1))


SOUND = Objective("sound", SoundSettings, loss, totals=totals, spans=Spans(("pictures", "sound"), ("logit_scale",)))
