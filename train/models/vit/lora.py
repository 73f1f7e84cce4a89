"""Low-rank adaptation (Hu 2021): a Linear whose own weights stay as they are, while two narrow matrices learn."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

A, B = "lora_a", "lora_b"


class Linear(nn.Linear):
    """A Linear; with `rank`, x (W + B A)^T + bias, where B is zero at first."""

    def __init__(self, n_in: int, n_out: int, rank: int = 0) -> None:
        super().__init__(n_in, n_out)
        self.rank = rank
        if rank:
            self.lora_a = nn.Parameter(torch.empty(rank, n_in))
            self.lora_b = nn.Parameter(torch.zeros(n_out, rank))
            nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] -> [..., n_out]."""
        y = super().forward(x)
        return y + F.linear(F.linear(x, self.lora_a), self.lora_b) if self.rank else y


def is_lora(name: str) -> bool:
    """Whether a parameter is one of the narrow matrices."""
    return name.endswith((f".{A}", f".{B}"))


def merged(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in which the narrow matrices are added to the weights beside them."""
    whole = {name: tensor for name, tensor in state.items() if not is_lora(name)}
    for name, low in state.items():
        if name.endswith(f".{A}"):
            layer = name.removesuffix(A)
            whole[f"{layer}weight"] = whole[f"{layer}weight"] + state[f"{layer}{B}"] @ low
    return whole
