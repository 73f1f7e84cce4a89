"""HD-VILA's two towers: what embeds videos and sentences, without what only training needs.

This module and those that it imports need torch alone: an export carries their sources for people
without our package.

Shapes: B clips, S segments, N frames per segment, L tokens, D width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from train.models.hybrid import HybridEncoder
from train.models.multimodal import Transformer
from train.models.temperature import Temperature

if TYPE_CHECKING:
    from train.models.configs import ModelConfig


class Towers(HybridEncoder):
    """The video encoder's modules at the top level, the language side under `transformer`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.transformer = Transformer(config)
        self.temperature = Temperature(config.temperature, config.logit_bias, learned=config.learn_temperature)

    def embed(
        self, img_middle: Tensor | None, img_other: Tensor | None, input_ids: Tensor, attention_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(video, text), each [B, D] with L2 norm 1, from raw 0..255 pixels and token ids (shapes: `Batch`)."""
        return self.embed_video(img_middle, img_other), self.embed_text(input_ids, attention_mask)

    def embed_video(self, img_middle: Tensor | None, img_other: Tensor | None) -> Tensor:
        """[B, D], L2 norm 1. Either input may be None."""
        return self.transformer.embed_maps(self.encode_frames(img_middle, img_other))

    def embed_text(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """[B, D], L2 norm 1."""
        hidden = self.transformer.bert.read_text(input_ids, attention_mask)
        return self.transformer.embed_text(hidden, attention_mask)
