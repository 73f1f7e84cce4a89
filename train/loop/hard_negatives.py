"""Hard negatives for matching: texts that the model's own towers find similar to the video (Li et al. 2021, ALBEF).

A row that matching makes a mismatch (train/objectives/itm.py) gets a text of the global batch drawn by the softmax of
its similarities, instead of a uniformly random negative; still from another video and with another caption. The
similarities cost one more forward pass of the towers, without a graph and without dropout.
"""

from typing import Any

import torch
from torch import Tensor, nn

from train.config import TrainConfig
from train.distributed import all_rows
from train.models.wrapping import autocast, unwrap
from train.objectives.base import PURPOSES, Draw
from train.rows import Rows


def wanted(config: TrainConfig) -> bool:
    """Whether the run asks for hard negatives."""
    objective: Any = config.objective
    return bool(objective.itm) and objective.itm_negatives == "hard"


def harder(model: nn.Module, batch: Rows, config: TrainConfig, draw: Draw) -> Rows:
    """Redraws `pair_ids` and `pair_mask` of the mismatched rows by similarity. All ranks call it together."""
    similarity = _similarities(model, batch, config)
    video, text = all_rows(batch.video_ids), all_rows(batch.caption_ids)
    ids, mask = all_rows(batch.input_ids), all_rows(batch.attention_mask)
    others = (batch.video_ids[:, None] != video[None]) & (batch.caption_ids[:, None] != text[None])
    chosen = _drawn(similarity.masked_fill(~others, float("-inf")), batch, draw).to(batch.device)
    parted = (batch.itm_labels == 0)[:, None]
    return batch.having(
        {
            "pair_ids": torch.where(parted, ids[chosen], batch.pair_ids),
            "pair_mask": torch.where(parted, mask[chosen], batch.pair_mask),
        }
    )


@torch.no_grad()
def _similarities(model: nn.Module, batch: Rows, config: TrainConfig) -> Tensor:
    """Similarities of this rank's videos to all texts of the global batch, divided by the temperature: [n, N]."""
    inner = unwrap(model)
    assert inner.towers is not None  # the configuration refuses models without towers
    seen, said = inner.towers
    training = model.training
    model.eval()
    parts = []
    for micro in batch.split(config.loop.micro_batch or len(batch)):
        with autocast(config.loop.precision, batch.device):
            parts.append(model(micro, only=(*inner.towers, "logit_scale")))
    model.train(training)
    video, text = (torch.cat([getattr(part, name) for part in parts]).float() for name in (seen, said))
    return parts[-1].logit_scale.float() * video @ all_rows(text).T


def _drawn(logits: Tensor, batch: Rows, draw: Draw) -> Tensor:
    """For each row a column drawn by the softmax of the row: [n] int64; an arbitrary column if all are -inf."""
    shares = logits.double().softmax(1).nan_to_num(0.0).cumsum(1).cpu()
    lots = [
        float(torch.rand((), generator=draw.generator(batch, row, PURPOSES["itm hard"]), dtype=torch.float64))
        for row in range(len(batch))
    ]
    wanted_share = torch.tensor(lots, dtype=torch.float64)[:, None] * shares[:, -1:]
    return torch.searchsorted(shares, wanted_share, right=True).squeeze(1).clamp(max=shares.shape[1] - 1)
