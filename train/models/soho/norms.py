"""Batch normalisation with the statistics of the whole step: over all ranks, with gradient.

torch's SyncBatchNorm refuses CPU tensors; this norm all-reduces sums and squares, on any backend. Its backward pass
sums the ranks' gradients for these sums, and DDP and FSDP2 average over ranks: so gradients are those of one process
with the whole batch.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from train.distributed import world_size
from train.models.resnet import FrozenBatchNorm, GroupNorm


class _AllReduce(torch.autograd.Function):
    """The sum over ranks; its backward pass is a sum over ranks too."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class BatchNorm(nn.BatchNorm2d):
    """torch's batch normalisation; in training on several ranks, with the statistics of all of them."""

    def forward(self, x: Tensor) -> Tensor:
        """[b, C, h, w] -> the same shape."""
        if not self.training or world_size() == 1:
            return super().forward(x)
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        count = x.new_tensor([x.numel() / x.shape[1]], dtype=wide.dtype)
        sums = _AllReduce.apply(torch.cat([wide.sum((0, 2, 3)), wide.square().sum((0, 2, 3)), count]))
        n = sums[-1].detach()
        mean, square = (sums[:-1] / n).chunk(2)
        variance = square - mean.square()
        self._remember(mean.detach(), variance.detach(), n)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        y = (wide - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]
        return y.to(x.dtype)

    def after(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """self(conv(x))."""
        return self(conv(x))

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, n: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * n / (n - 1), self.momentum)


AnyNorm = BatchNorm | FrozenBatchNorm | GroupNorm


def norm_of(kind: str, n_channels: int) -> AnyNorm:
    """The normalisation layer that `SohoConfig.norm` names."""
    if kind == "batch":
        return BatchNorm(n_channels)
    return GroupNorm(n_channels) if kind == "group" else FrozenBatchNorm(n_channels)


class ConvNorm(nn.Module):
    """A 1x1 convolution without bias and its norm: keys `conv.weight` and `bn.*`."""

    def __init__(self, n_in: int, n_out: int, norm: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, 1, bias=False)
        self.bn = norm_of(norm, n_out)

    def forward(self, x: Tensor) -> Tensor:
        """[b, n_in, h, w] -> [b, n_out, h, w]."""
        return self.bn(self.conv(x))
