"""The divided space-time Transformer over a segment's frames (TimeSformer, without class token or patch embedding).

Shapes: b segments, t frames, n = h*w cells, C channels. Tokens stay `[b, t, n, C]` throughout: attention in space reads
them as a view `[b*t, heads, n, c]`, attention in time as `[b, n*heads, t, c]`, so no block copies its input.

The caller needs a single frame (the centre), so the last block computes its queries, projections and MLP for that frame
only; keys and values still come from all frames. Outputs and gradients equal those of a full block.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.resnet import run_block

MLP_RATIO = 4
NORM_EPS = 1e-6


class DropPath(nn.Module):
    """Drops a residual branch for whole rows in training: x * mask / keep, with a mask value per row."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, rows: tuple[int, ...]) -> Tensor:
        """`rows` is the shape of x, but with 1 in dimensions that share a mask value."""
        if not self.training or self.rate == 0:
            return x
        keep = 1 - self.rate
        mask = torch.rand(rows, dtype=torch.float32, device=x.device).add_(keep).floor_()
        return x * mask.div_(keep).to(x.dtype)


class Attention(nn.Module):
    """Multi-head self-attention with a fused projection: output order q, k, v, each split into heads."""

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def in_space(self, x: Tensor) -> Tensor:
        """[b, t, n, C] -> the same shape; the cells of each frame attend to each other."""
        b, t, n, width = x.shape
        qkv = self.qkv(x).view(b * t, n, 3, self.n_heads, width // self.n_heads)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(b, t, n, width))

    def in_time(self, x: Tensor, only: int | None) -> Tensor:
        """[b, t, n, C] -> the same shape ([b, 1, n, C] for frame `only`); each cell attends to itself in all frames."""
        width = x.shape[-1]
        # Three products instead of one keep q, k and v contiguous, so that a view can merge cells and heads.
        weights, biases = self.qkv.weight.split(width), self.qkv.bias.split(width)
        asking = x if only is None else x[:, only : only + 1]
        q, k, v = (
            self._cell_heads(F.linear(source, weight, bias))
            for source, weight, bias in zip((asking, x, x), weights, biases, strict=True)
        )
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(asking.shape))

    def _cell_heads(self, x: Tensor) -> Tensor:
        b, t, n, width = x.shape
        return x.view(b, t, n * self.n_heads, width // self.n_heads).transpose(1, 2)


class Mlp(nn.Module):
    """Linear, exact GELU, Linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, MLP_RATIO * width)
        self.fc2 = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[..., C] -> [..., C]."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Attention in time, attention in space, then an MLP: pre-norm residual branches with stochastic depth."""

    def __init__(self, width: int, n_heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.attn = Attention(width, n_heads)
        self.temporal_norm1 = nn.LayerNorm(width, eps=NORM_EPS)
        self.temporal_attn = Attention(width, n_heads)
        self.temporal_fc = nn.Linear(width, width)
        self.drop_path = DropPath(drop_path)
        self.norm2 = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, only: int | None = None) -> Tensor:
        """[b, t, n, C] -> [b, t, n, C], or [b, 1, n, C] with frame `only`."""
        branch = self.temporal_attn.in_time(self.temporal_norm1(x), only)
        x = x if only is None else x[:, only : only + 1]
        b, t, n, _ = x.shape
        # The drop comes before temporal_fc, whose bias is therefore always added (as published).
        x = x + self.temporal_fc(self.drop_path(branch, (b, 1, n, 1)))
        x = x + self.drop_path(self.attn.in_space(self.norm1(x)), (b, t, 1, 1))
        return x + self.drop_path(self.mlp(self.norm2(x)), (b, 1, 1, 1))


class TimeSformer(nn.Module):
    """Adds learned positions in space and time, then runs the blocks.

    `norm` is never applied (and not trained): it exists because published checkpoints have its keys.
    """

    def __init__(
        self,
        width: int,
        n_heads: int,
        depth: int,
        *,
        grid: tuple[int, int],
        n_frames: int,
        drop_path: float,
        checkpointed: bool = False,
    ) -> None:
        super().__init__()
        self.grid = grid
        self.checkpointed = checkpointed
        self.pos_embed = nn.Parameter(torch.zeros(1, grid[0] * grid[1], width))
        self.time_embed = nn.Parameter(torch.zeros(1, n_frames, width))
        rates = torch.linspace(0, drop_path, depth, device="cpu").tolist() if depth > 1 else [0.0]
        self.blocks = nn.ModuleList(Block(width, n_heads, rate) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, x: Tensor, grid: tuple[int, int], only: int) -> Tensor:
        """[b, t, n, C] with n = grid[0]*grid[1], row-major -> [b, n, C]: frame `only` after all blocks."""
        x = x + (self.positions(grid)[:, None] + self.times(x.shape[1])[:, :, None])
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x = run_block(block, x, only if i == last else None, checkpointed=self.checkpointed)
        return x[:, 0]

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """[1, n, C]: the learned positions, bilinearly resized if the grid is different."""
        if grid == self.grid:
            return self.pos_embed
        table = self.pos_embed.unflatten(1, self.grid).permute(0, 3, 1, 2)
        return F.interpolate(table, size=grid, mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)

    def times(self, n_frames: int) -> Tensor:
        """[1, t, C]: the learned time embedding, linearly resized if the number of frames is different."""
        if n_frames == self.time_embed.shape[1]:
            return self.time_embed
        table = self.time_embed.transpose(1, 2)
        return F.interpolate(table, size=n_frames, mode="linear", align_corners=False).transpose(1, 2)
