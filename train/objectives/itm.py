"""Matching: does this text belong to this video or picture?

About half of the rows (drawn by position) get another row's text, *in the multimodal half of the model only*: as
`pair_ids` and `pair_mask`, beside the row's own text, which the embeddings keep using. The partner is drawn from the
whole global batch among rows with another video *and* another caption (compared without case and spacing): the same
caption would be right for this video too, and another sentence of the same video might be. A row without such a partner
stays a match, and is counted (`itm_without_partner`).
"""

from typing import Any

import torch
from torch import Tensor

from manifests.settings import Section, identity
from train.losses import itm_loss
from train.objectives.base import PURPOSES, Draw, Objective
from train.rows import Rows

NEGATIVE_SHARE = 0.5


class ItmSettings(Section):
    """The keys of this objective."""

    itm: float = identity(0.0, ge=0, doc="weight of matching (HD-VILA: model.stage 2 with model.itm)")


def prepare(batch: Rows, draw: Draw, config: Any) -> dict[str, Tensor]:
    """`pair_ids` and `pair_mask` [B, L], the text to read together with each row's pictures; `itm_labels` [B].

    Texts are swapped with their masked words: otherwise a masked word would give away a match.
    """
    ids, mask = draw.everyone(batch.input_ids), draw.everyone(batch.attention_mask)
    partner = partners(batch, draw)
    return {
        "pair_ids": ids[partner],
        "pair_mask": mask[partner],
        "itm_labels": (partner == own_places(batch, draw)).long(),
    }


def own_places(batch: Rows, draw: Draw) -> Tensor:
    """[B]: the positions of this rank's rows in the global batch."""
    return torch.tensor([draw.position(batch, row) for row in range(len(batch))])


def partners(batch: Rows, draw: Draw) -> Tensor:
    """[B]: for each row of this rank, the position in the global batch of its text; its own position for a match."""
    video, text = draw.everyone(batch.video_ids), draw.everyone(batch.caption_ids)
    chosen = []
    for row in range(len(batch)):
        own = draw.position(batch, row)
        generator = draw.generator(batch, row, PURPOSES["itm"])
        lot, which = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        others = ((video != video[own]) & (text != text[own])).nonzero().flatten()
        wanted = lot < NEGATIVE_SHARE
        draw.counts["itm_without_partner"] += int(wanted and not len(others))
        chosen.append(int(others[int(which * len(others))]) if wanted and len(others) else own)
    return torch.tensor(chosen)


def totals(batch: Rows) -> int:
    """The number of rows of this rank."""
    return len(batch)


def loss(outputs: Any, batch: Rows, n_rows: int, config: Any) -> Tensor:
    """These rows' share of the loss; `outputs.itm_logits` is [B, 2]: (no match, match)."""
    return len(batch) / n_rows * itm_loss(outputs.itm_logits, batch.itm_labels)


def judged(outputs: Any, batch: Rows) -> Tensor:
    """[B]: whether a match is taken for one, and a mismatch for none."""
    return outputs.itm_logits.argmax(1) == batch.itm_labels


ITM = Objective("itm", ItmSettings, loss, prepare, totals, judged=judged)
