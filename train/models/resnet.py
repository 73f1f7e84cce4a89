"""HD-VILA's convolutional trunks: a ResNet of bottleneck blocks (torchvision's layout and key names, without `fc`).

The normalisation has fixed statistics, so it is an affine map and is folded into the convolution before it:
norm(conv(x, W)) = conv(x, W*s) + t, with s = weight / sqrt(var + eps) and t = bias - mean*s. Autograd differentiates
through the fold, so W, weight and bias get the same gradients as without it, but only one activation per convolution is
kept for the backward pass instead of two, and a pass over memory is saved. This holds in training too: the batch's own
statistics are never used, so a sample's features don't depend on the other samples.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

EXPANSION = 4
"""Output channels of a bottleneck block as a multiple of its inner width."""


class FrozenBatchNorm(nn.BatchNorm2d):
    """Batch normalisation with constant running statistics; weight and bias are trained."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm":
        """Stays in evaluation mode, whatever `mode` says."""
        super().train(False)
        return self

    def after(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """Computes self(conv(x)) as a convolution with folded weights."""
        assert self.running_mean is not None and self.running_var is not None
        scale = self.weight * torch.rsqrt(self.running_var + self.eps)
        weight = conv.weight * scale[:, None, None, None]
        shift = self.bias - self.running_mean * scale
        return F.conv2d(x, weight, shift, conv.stride, conv.padding)


class GroupNorm(nn.GroupNorm):
    """Normalisation within each sample, for trunks that start from random weights."""

    def __init__(self, n_channels: int) -> None:
        super().__init__(num_groups=max(1, n_channels // 16), num_channels=n_channels)

    def after(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """self(conv(x))."""
        return self(conv(x))


Norm = FrozenBatchNorm | GroupNorm


def make_norm(kind: str, n_channels: int) -> Norm:
    """The normalisation layer that `ModelConfig.trunk_norm` names."""
    return GroupNorm(n_channels) if kind == "group" else FrozenBatchNorm(n_channels)


class Downsample(nn.Sequential):
    """The shortcut of a stage's first block: keys `downsample.0` (convolution) and `downsample.1` (normalisation)."""

    def __init__(self, n_in: int, n_out: int, stride: int, norm: str) -> None:
        super().__init__(nn.Conv2d(n_in, n_out, 1, stride, bias=False), make_norm(norm, n_out))

    def forward(self, x: Tensor) -> Tensor:
        """[b, n_in, h, w] -> [b, n_out, h/stride, w/stride]."""
        conv, norm = self
        assert isinstance(conv, nn.Conv2d) and isinstance(norm, Norm)
        return norm.after(conv, x)


class Bottleneck(nn.Module):
    """A residual block of 1x1, 3x3 (with the stride) and 1x1 convolutions."""

    def __init__(self, n_in: int, n_inner: int, stride: int, norm: str) -> None:
        super().__init__()
        n_out = EXPANSION * n_inner
        self.conv1 = nn.Conv2d(n_in, n_inner, 1, bias=False)
        self.bn1 = make_norm(norm, n_inner)
        self.conv2 = nn.Conv2d(n_inner, n_inner, 3, stride, padding=1, bias=False)
        self.bn2 = make_norm(norm, n_inner)
        self.conv3 = nn.Conv2d(n_inner, n_out, 1, bias=False)
        self.bn3 = make_norm(norm, n_out)
        self.downsample = Downsample(n_in, n_out, stride, norm) if stride != 1 or n_in != n_out else None

    def forward(self, x: Tensor) -> Tensor:
        """[b, n_in, h, w] -> [b, 4*n_inner, h/stride, w/stride]."""
        shortcut = x if self.downsample is None else self.downsample(x)
        y = F.relu_(self.bn1.after(self.conv1, x))
        y = F.relu_(self.bn2.after(self.conv2, y))
        y = self.bn3.after(self.conv3, y)
        # In place: neither a convolution nor a normalisation needs its own output in the backward pass.
        return F.relu_(y.add_(shortcut))


class ResNet(nn.Module):
    """The trunk. Stage k (1..4) outputs 4 * width * 2^(k-1) channels at 1 / 2^(k+1) of the input's size."""

    def __init__(self, width: int, depths: tuple[int, ...], norm: str, *, checkpointed: bool = False) -> None:
        super().__init__()
        self.checkpointed = checkpointed
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = make_norm(norm, width)
        n_in = width
        for k, depth in enumerate(depths):
            stage = _stage(n_in, width * 2**k, depth, stride=1 if k == 0 else 2, norm=norm)
            self.add_module(f"layer{k + 1}", stage)
            n_in = EXPANSION * width * 2**k

    def forward(self, x: Tensor, *, n_stages: int = 4) -> list[Tensor]:
        """[b, 3, h, w] of normalised pixels -> the outputs of the first `n_stages` stages, coarsest last."""
        x = F.relu_(self.bn1.after(self.conv1, x))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        outputs = []
        for k in range(n_stages):
            for block in self.get_submodule(f"layer{k + 1}").children():
                x = run_block(block, x, checkpointed=self.checkpointed)
            outputs.append(x)
        return outputs


def _stage(n_in: int, n_inner: int, depth: int, *, stride: int, norm: str) -> nn.Sequential:
    first = Bottleneck(n_in, n_inner, stride, norm)
    return nn.Sequential(first, *(Bottleneck(EXPANSION * n_inner, n_inner, 1, norm) for _ in range(depth - 1)))


def run_block(block: nn.Module, *args: Tensor | int | None, checkpointed: bool) -> Tensor:
    """Runs block(*args); if `checkpointed`, keeps only its inputs for the backward pass."""
    if not checkpointed or not torch.is_grad_enabled():
        return block(*args)
    return checkpoint(block, *args, use_reentrant=False)
