"""HD-VILA's two towers: what embeds videos and sentences, without what only training needs.

This module and those that it imports need torch alone: an export carries their sources for people
without our package.

Shapes: B clips, S segments, N frames per segment, L tokens, D width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from train.models.hybrid import HybridEncoder
from train.models.multimodal import Transformer

if TYPE_CHECKING:
    from train.models.configs import ModelConfig

MAX_LOGIT_SCALE = 100.0
"""Keeps a learned temperature from falling below 0.01 (CLIP's limit)."""


class Temperature(nn.Module):
    """Scale and bias of the similarities: parameters if they are learned, else buffers outside the state dict."""

    logit_scale: Tensor
    logit_bias: Tensor

    def __init__(self, temperature: float, bias: float, *, learned: bool, max_scale: float = MAX_LOGIT_SCALE) -> None:
        super().__init__()
        self._max_log_scale = math.log(max_scale)
        self.learned = learned
        self.first_values = {"logit_scale": math.log(1 / temperature), "logit_bias": bias}
        for name, value in self.first_values.items():
            # One element, not zero dimensions: FSDP2 shards dimension 0.
            tensor = torch.tensor([value], dtype=torch.float32)
            if learned:
                self.register_parameter(name, nn.Parameter(tensor))
            else:
                self.register_buffer(name, tensor, persistent=False)

    def reset_buffers(self) -> None:
        """Fills the buffers that no file holds."""
        if not self.learned:
            for name, value in self.first_values.items():
                self.get_buffer(name).fill_(value)

    def forward(self) -> tuple[Tensor, Tensor]:
        """(1 / temperature, bias), each [1]."""
        # Don't return the parameters themselves: DDP and FSDP2 attach their hooks to what a forward pass computes. At
        # its bound, the scale keeps its gradient, so that it can come back; `bound` keeps it from moving further out.
        inside = self.logit_scale + (self.logit_scale.clamp(max=self._max_log_scale) - self.logit_scale).detach()
        return inside.exp(), self.logit_bias * 1.0

    @torch.no_grad()
    def bound(self) -> None:
        """Sets a learned scale that a step has moved beyond its bound back to the bound."""
        self.logit_scale.clamp_(max=self._max_log_scale)


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
