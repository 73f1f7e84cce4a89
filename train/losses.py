"""Losses over the global batch, exact at every world size.

Each of W ranks has n rows, N = W*n; row i of `text` belongs to row i of `video`. Each rank computes the loss of its own
rows against the gathered rows of all ranks; L is the mean over ranks of L_r. The gradient that reaches a rank's
features through the gather is the sum over ranks of dL_r, which is W * dL; DDP and FSDP2 then average parameter
gradients over ranks, which gives exactly the dL/dp of one process with the whole batch. A parameter of the loss itself
(the temperature) is averaged in the same way. Callers need not multiply by the world size. All ranks need the same n.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from train.distributed import Group, gather, mean_over_ranks, rank_in, sum_over_ranks, world_size

Kind = Literal["infonce", "siglip"]
IGNORED = -100
"""Label of a token that is not to be predicted."""


@dataclass(frozen=True, slots=True)
class Spans:
    """The model outputs that a loss over the global batch reads."""

    rows: tuple[str, ...]
    """Outputs with one row per example, [B, ...]; cached over micro-batches."""
    shared: tuple[str, ...] = ()
    """Outputs shared by the whole batch (a temperature)."""

    def __or__(self, other: "Spans") -> "Spans":
        both = [tuple(dict.fromkeys((*a, *b))) for a, b in ((self.rows, other.rows), (self.shared, other.shared))]
        return Spans(*both)


EMBEDDINGS = Spans(("video", "text"), ("logit_scale", "logit_bias"))
"""The outputs that the contrastive loss reads."""


def contrastive_loss(
    video: Tensor,
    text: Tensor,
    logit_scale: Tensor,
    group: Group = None,
    kind: Kind = "infonce",
    logit_bias: Tensor | None = None,
    caption_ids: Tensor | None = None,
) -> Tensor:
    """The contrastive loss of the global batch, from this rank's L2-normalised rows: video and text [n, D] -> [], fp32.

    infonce: 0.5 (CE(s) + CE(s^T)) with s = logit_scale * text video^T and the diagonal as targets.
    siglip: -sum_ij log sigmoid(y_ij (s_ij + logit_bias)) / N with y = 1 on the diagonal and -1 elsewhere.
    With `caption_ids` ([n] int64, equal for equal captions), off-diagonal pairs with the same caption are left out.
    """
    same = None if caption_ids is None else _same_captions(caption_ids, group)
    with torch.autocast(video.device.type, enabled=False):
        video, text, scale = (_wide(x) for x in (video, text, logit_scale))
        if kind == "siglip":
            bias = torch.zeros_like(scale) if logit_bias is None else _wide(logit_bias)
            own = _sigmoid(video, text, scale, bias, same, group)
        else:
            own = _softmax(video, text, scale, same, group)
            if logit_bias is not None:
                own = own + 0.0 * logit_bias.sum()  # a learned bias must get a gradient, or DDP waits for it forever
        return mean_over_ranks(own, group)


def _same_captions(caption_ids: Tensor, group: Group) -> Tensor:
    """Whether another row of the global batch has the same caption: [n, N] bool, False for the row itself."""
    with torch.no_grad():
        same = caption_ids[:, None] == gather(caption_ids, group)[None]
        return same.scatter(1, _own_rows(caption_ids, group)[:, None], False)


def _softmax(video: Tensor, text: Tensor, scale: Tensor, same: Tensor | None, group: Group) -> Tensor:
    targets = _own_rows(video, group)
    text_to_video = scale * text @ gather(video, group).T  # [n, N]
    video_to_text = scale * video @ gather(text, group).T
    if same is not None:
        text_to_video, video_to_text = (x.masked_fill(same, float("-inf")) for x in (text_to_video, video_to_text))
    return 0.5 * (F.cross_entropy(text_to_video, targets) + F.cross_entropy(video_to_text, targets))


def _sigmoid(video: Tensor, text: Tensor, scale: Tensor, bias: Tensor, same: Tensor | None, group: Group) -> Tensor:
    """The SigLIP loss. Each pair occurs once, this rank's texts against all videos, so only the videos are gathered."""
    logits = scale * text @ gather(video, group).T + bias  # [n, N]
    signs = torch.full_like(logits, -1.0)
    signs.scatter_(1, _own_rows(video, group)[:, None], 1.0)
    losses = -F.logsigmoid(signs * logits)
    return (losses if same is None else losses.masked_fill(same, 0.0)).sum() / len(text)


def _wide(x: Tensor) -> Tensor:
    """Casts to fp32 or wider: half precision is too coarse for a softmax over a large batch."""
    return x if x.dtype == torch.float64 else x.float()


def _own_rows(x: Tensor, group: Group) -> Tensor:
    """The indexes of this rank's rows in the gathered batch: [n] int64."""
    return rank_in(group) * len(x) + torch.arange(len(x), device=x.device)


def mlm_loss(mlm_logits: Tensor, mlm_labels: Tensor, group: Group = None, n_asked: Tensor | None = None) -> Tensor:
    """Mean cross entropy over the masked tokens of the global batch -> [] in fp32; 0 where no token is masked.

    mlm_logits [M, V] of the positions where mlm_labels [n, L] != -100 (`Features.mlm_logits`). With micro-batches pass
    `n_asked`, the masked tokens of the whole global batch (`count_asked`): the losses then add up to its loss.
    """
    asked = mlm_labels[mlm_labels != IGNORED]
    total = count_asked(mlm_labels, group) if n_asked is None else n_asked
    # Times the world size, because this is a sum over tokens but gradients are averaged over ranks.
    summed = F.cross_entropy(_wide(mlm_logits), asked, reduction="sum")
    # Divide in the sum's dtype: an integer quotient would be rounded to fp32.
    own = summed * world_size(group) / total.clamp(min=1).to(summed.dtype)
    return mean_over_ranks(own, group)


def count_asked(mlm_labels: Tensor, group: Group = None) -> Tensor:
    """The number of masked tokens over all ranks: []."""
    return sum_over_ranks((mlm_labels != IGNORED).sum(), group)


def itm_loss(itm_logits: Tensor, itm_labels: Tensor, group: Group = None) -> Tensor:
    """The mean two-way cross entropy of matching: logits [n, 2] and labels [n] (1: match) -> []."""
    return mean_over_ranks(F.cross_entropy(_wide(itm_logits), itm_labels), group)


def labels_of_matches(mlm_labels: Tensor, itm_labels: Tensor) -> Tensor:
    """A copy of the MLM labels [n, L] in which rows that don't match their video have nothing to predict."""
    return mlm_labels.masked_fill((itm_labels == 0)[:, None], IGNORED)


@dataclass(frozen=True, slots=True)
class MaskTokens:
    """What masking needs from the tokenizer: the id of [MASK], the ids that are never masked, the vocabulary size."""

    mask_id: int
    special_ids: tuple[int, ...]
    vocab_size: int


def mask_tokens(
    input_ids: Tensor, tokens: MaskTokens, generator: torch.Generator, *, share: float = 0.15
) -> tuple[Tensor, Tensor]:
    """BERT's masking: (masked ids, labels), both [n, L] copies; labels are -100 where there is nothing to predict.

    Each non-special token is chosen with probability `share`; of the chosen ones, 80 % become [MASK], 10 % a random id
    of the vocabulary, 10 % stay. Draws come from `generator` (on the CPU), so a seed and a step give the same masks.
    """
    cpu_ids = input_ids.cpu()
    special = torch.isin(cpu_ids, torch.tensor(tokens.special_ids))
    chosen = (torch.rand(cpu_ids.shape, generator=generator) < share) & ~special
    fate = torch.rand(cpu_ids.shape, generator=generator)
    drawn = torch.randint(tokens.vocab_size, cpu_ids.shape, generator=generator)
    masked = cpu_ids.clone()
    masked[chosen & (fate < 0.8)] = tokens.mask_id
    random = chosen & (fate >= 0.8) & (fate < 0.9)
    masked[random] = drawn[random]
    labels = torch.where(chosen, cpu_ids, IGNORED)
    return masked.to(input_ids.device), labels.to(input_ids.device)
