"""What goes into the model and what comes out.

Shapes: B clips, S segments, N frames a segment, L tokens, D width, V vocabulary, M masked tokens of the batch.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """B clips with their captions. Pixels are raw RGB 0..255, uint8 or float; the model normalises them.

    A view without the one or the other leaves it None.
    """

    img_middle: Tensor | None  # [B, S, 3, H, W]        the centre frame at high resolution
    img_other: Tensor | None  # [B, S, N-1, 3, H/4, W/4] the others in time order, the centre left out
    input_ids: Tensor  # [B, L] int64
    attention_mask: Tensor  # [B, L], 1 for a real token
    mlm_labels: Tensor | None = None  # [B, L] int64, -100 where nothing is asked
    itm_labels: Tensor | None = None  # [B] int64, 1 where text and video belong together
    caption_ids: Tensor | None = None  # [B] int64, equal where captions are, whatever rank or step

    def __len__(self) -> int:
        """The number of clips, B."""
        return self.input_ids.shape[0]

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> "Batch":
        """The same batch on another device."""
        moved = {name: value.to(device, non_blocking=non_blocking) for name, value in self._tensors()}
        return replace(self, **moved)

    def split(self, n_clips: int) -> list["Batch"]:
        """Micro-batches of at most `n_clips` clips, in order."""
        n_parts = -(-len(self) // n_clips)
        starts = [part * n_clips for part in range(n_parts)]
        return [self[start : start + n_clips] for start in starts]

    def __getitem__(self, clips: slice) -> "Batch":
        """Some of the clips, without copying."""
        return replace(self, **{name: value[clips] for name, value in self._tensors()})

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                yield field.name, value


class Features(NamedTuple):
    """What a forward pass gives. A named tuple, so that DDP and FSDP2 find the tensors inside."""

    video: Tensor  # [B, D], L2 norm 1
    text: Tensor  # [B, D], L2 norm 1
    logit_scale: Tensor  # [1], 1 / temperature
    logit_bias: Tensor  # [1], used by the sigmoid loss alone
    mlm_logits: Tensor | None = None  # [M, V], at the places where mlm_labels != -100, row by row
    itm_logits: Tensor | None = None  # [B, 2], (no match, match)
