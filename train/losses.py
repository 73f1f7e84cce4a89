"""Objectives over the global batch, exact at every world size.

n rows on each of W ranks, N = W*n; row i of `text` belongs to row i of `video`. Each rank computes the loss of its own
rows against the gathered rows of all ranks, L = mean over ranks of L_r. The gradient reaching a rank's features through
the gather is the sum over ranks of dL_r = W * dL; DDP and FSDP2 then average parameter gradients over ranks, which
gives dL/dp exactly, as one process with the whole batch would have it. A parameter in the loss itself (the temperature)
is averaged in the same way. Nothing has to be multiplied by the world size outside. Every rank must hold the same n.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from train.distributed import Group, gather, mean_over_ranks, rank_in, sum_over_ranks, world_size

Kind = Literal["infonce", "siglip"]
IGNORED = -100
"""Label of a token of which nothing is asked."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Outputs of the model that a loss over the global batch reads."""

    rows: tuple[str, ...]
    """[B, ...]: a row each, cached over micro-batches."""
    shared: tuple[str, ...] = ()
    """One for the whole batch (a temperature)."""

    def __or__(self, other: "Spans") -> "Spans":
        both = [tuple(dict.fromkeys((*a, *b))) for a, b in ((self.rows, other.rows), (self.shared, other.shared))]
        return Spans(*both)


EMBEDDINGS = Spans(("video", "text"), ("logit_scale", "logit_bias"))
"""What the contrastive loss reads."""


def contrastive_loss(
    video: Tensor,
    text: Tensor,
    logit_scale: Tensor,
    group: Group = None,
    kind: Kind = "infonce",
    logit_bias: Tensor | None = None,
    caption_ids: Tensor | None = None,
) -> Tensor:
    """The loss of the global batch from this rank's L2-normalised rows, video and text [n, D] -> [] in fp32.

    infonce: 0.5 (CE(s) + CE(s^T)) with s = logit_scale * text video^T and the diagonal as targets.
    siglip: -sum_ij log sigmoid(y_ij (s_ij + logit_bias)) / N with y = 1 on the diagonal and -1 elsewhere.
    With `caption_ids` ([n] int64, equal where captions are) pairs of the same caption off the diagonal are left out.
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
                own = own + 0.0 * logit_bias.sum()  # a learned bias must get a gradient, or DDP waits for it for ever
        return mean_over_ranks(own, group)


def _same_captions(caption_ids: Tensor, group: Group) -> Tensor:
    """Where another pair of the global batch has this row's caption: [n, N] bool."""
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
    """Each pair once: this rank's texts against all videos, so only the videos travel."""
    logits = scale * text @ gather(video, group).T + bias  # [n, N]
    signs = torch.full_like(logits, -1.0)
    signs.scatter_(1, _own_rows(video, group)[:, None], 1.0)
    losses = -F.logsigmoid(signs * logits)
    return (losses if same is None else losses.masked_fill(same, 0.0)).sum() / len(text)


def _wide(x: Tensor) -> Tensor:
    """At least fp32: half precision has no room for a softmax over a large batch."""
    return x if x.dtype == torch.float64 else x.float()


def _own_rows(x: Tensor, group: Group) -> Tensor:
    """Where this rank's rows stand in the gathered batch: [n] int64."""
    return rank_in(group) * len(x) + torch.arange(len(x), device=x.device)


def mlm_loss(mlm_logits: Tensor, mlm_labels: Tensor, group: Group = None, n_asked: Tensor | None = None) -> Tensor:
    """Mean cross entropy over the masked tokens of the global batch -> [] in fp32; 0 where no token is masked.

    mlm_logits [M, V] of the positions where mlm_labels [n, L] != -100 (`Features.mlm_logits`). With micro-batches pass
    `n_asked`, the masked tokens of the whole global batch (`count_asked`): the losses then add up to its loss.
    """
    asked = mlm_labels[mlm_labels != IGNORED]
    total = count_asked(mlm_labels, group) if n_asked is None else n_asked
    # Times the world size, since gradients are averaged over ranks while this is a sum over tokens.
    summed = F.cross_entropy(_wide(mlm_logits), asked, reduction="sum")
    # In the sum's own type: a quotient of whole numbers would be rounded to fp32.
    own = summed * world_size(group) / total.clamp(min=1).to(summed.dtype)
    return mean_over_ranks(own, group)


def count_asked(mlm_labels: Tensor, group: Group = None) -> Tensor:
    """Masked tokens over all ranks: []."""
    return sum_over_ranks((mlm_labels != IGNORED).sum(), group)


def itm_loss(itm_logits: Tensor, itm_labels: Tensor, group: Group = None) -> Tensor:
    """Mean two-way cross entropy of matching, [n, 2] and [n] (1: match) -> []."""
    return mean_over_ranks(F.cross_entropy(_wide(itm_logits), itm_labels), group)


def labels_of_matches(mlm_labels: Tensor, itm_labels: Tensor) -> Tensor:
    """MLM labels with rows that don't match their video asked nothing (a copy): [n, L]."""
    return mlm_labels.masked_fill((itm_labels == 0)[:, None], IGNORED)


@dataclass(frozen=True, slots=True)
class MaskTokens:
    """What masking has to know of the tokenizer: [MASK]'s id, the ids never masked, the vocabulary's size."""

    mask_id: int
    special_ids: tuple[int, ...]
    vocab_size: int


def mask_tokens(
    input_ids: Tensor, tokens: MaskTokens, generator: torch.Generator, *, share: float = 0.15
) -> tuple[Tensor, Tensor]:
    """BERT's masking: (masked ids, labels), both [n, L] copies; labels are -100 where nothing is asked.

    Each token that isn't special is chosen with probability `share`; of the chosen 80 % become [MASK], 10 % a random id
    of the vocabulary, 10 % stay. Draws come from `generator` (on the CPU): a seed and a step give the same masks.
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
