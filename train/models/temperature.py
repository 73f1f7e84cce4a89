"""The scale and bias of similarities, learned or fixed. Needs torch alone, as an export carries its source."""

import math

import torch
from torch import Tensor, nn

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
