"""HD-VILA's input and output.

Shapes: B clips, S segments, N frames per segment, L tokens, D width, V vocabulary, M masked tokens of the batch.
"""

from typing import Any, NamedTuple

from torch import Tensor

from train.rows import Rows

OPTIONAL = ("img_middle", "img_other", "mlm_labels", "itm_labels", "caption_ids")


class Batch(Rows):
    """B clips with their captions. Pixels are raw RGB 0..255, uint8 or float; the model normalises them.

    A picture that the view doesn't have is None, and so are labels that the run's objectives don't use.
    """

    def __init__(
        self,
        img_middle: Tensor | None,  # [B, S, 3, H, W]        the centre frame at high resolution
        img_other: Tensor | None,  # [B, S, N-1, 3, H/4, W/4] the other frames in time order, without the centre
        input_ids: Tensor,  # [B, L] int64
        attention_mask: Tensor,  # [B, L], 1 for a real token
        mlm_labels: Tensor | None = None,  # [B, L] int64, -100 where there is nothing to predict
        itm_labels: Tensor | None = None,  # [B] int64, 1 if text and video belong together
        caption_ids: Tensor | None = None,  # [B] int64, equal for equal captions, on every rank and at every step
    ) -> None:
        super().__init__(
            img_middle=img_middle,
            img_other=img_other,
            input_ids=input_ids,
            attention_mask=attention_mask,
            mlm_labels=mlm_labels,
            itm_labels=itm_labels,
            caption_ids=caption_ids,
        )

    def __getattr__(self, name: str) -> Any:
        return None if name in OPTIONAL and name not in self else super().__getattr__(name)


class Features(NamedTuple):
    """The output of a forward pass. A named tuple, so that DDP and FSDP2 find the tensors inside."""

    video: Tensor  # [B, D], L2 norm 1
    text: Tensor  # [B, D], L2 norm 1
    logit_scale: Tensor  # [1], 1 / temperature
    logit_bias: Tensor  # [1], used only by the sigmoid loss
    mlm_logits: Tensor | None = None  # [M, V], at the positions where mlm_labels != -100, row by row
    itm_logits: Tensor | None = None  # [B, 2], (no match, match)
