"""The visual parser: torchvision's Swin Transformer with its key names, and the attention of its last block.

Shapes: B pictures, P = gh*gw tokens (row-major), C channels.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.models.swin_transformer import ShiftedWindowAttention, SwinTransformer

from train.models.visual_parsing.configs import VisualParsingConfig

MASKED_SCORE = -100.0
"""What torchvision adds to the score of two cells that only the shift brought into the same window."""


class WindowAttention(NamedTuple):
    """Attention within windows."""

    weights: Tensor  # [B, windows, heads, n, n] after the softmax
    cells: Tensor  # [windows, n] int64: the cell of the map at each position of a window; -1 for padding


class Parsed(NamedTuple):
    """The parser's output."""

    tokens: Tensor  # [B, P, C]
    attention: Tensor  # [B, P, P], averaged over heads, without gradient; 0 between cells of different windows


class Parser(SwinTransformer):  # type: ignore[misc]
    """A Swin Transformer without its classifier."""

    def __init__(self, config: VisualParsingConfig) -> None:
        super().__init__(
            patch_size=[4, 4],
            embed_dim=config.parser_width,
            depths=list(config.parser_depths),
            num_heads=list(config.parser_heads),
            window_size=list(config.parser_window),
            stochastic_depth_prob=config.drop_path,
            num_classes=1,
        )
        del self.head
        self.n_channels = config.parser_width * 8

    def forward(self, pixels: Tensor) -> Parsed:
        """[B, 3, H, W] of normalised pixels -> tokens of the H/32 x W/32 grid, and their attention to each other."""
        attention: list[Tensor] = []

        @torch.no_grad()
        def watch(attn: ShiftedWindowAttention, arguments: tuple[Tensor], output: Tensor) -> None:
            x = arguments[0]
            attention.append(over_cells(window_attention(attn, x), x.shape[1] * x.shape[2]))

        # A hook inside the block, because there its weights are complete even if FSDP2 shards them over ranks.
        handle = self.features[-1][-1].attn.register_forward_hook(watch)
        try:
            x = self.norm(self.features(pixels))
        finally:
            handle.remove()
        return Parsed(x.flatten(1, 2), attention[0])


def window_attention(attn: ShiftedWindowAttention, x: Tensor) -> WindowAttention:
    """The attention weights of `attn(x)`, recomputed from its parameters; x [B, h, w, C]."""
    h, w = x.shape[1:3]
    rows, columns = attn.window_size
    padded = F.pad(x, (0, 0, 0, -w % columns, 0, -h % rows))
    full_h, full_w = padded.shape[1:3]
    positions = torch.full((full_h, full_w), -1, device=x.device)
    positions[:h, :w] = torch.arange(h * w, device=x.device).view(h, w)
    sides = torch.zeros_like(positions)
    # If a window is as large as the map, nothing is shifted.
    shift = [0 if rows >= full_h else attn.shift_size[0], 0 if columns >= full_w else attn.shift_size[1]]
    if any(shift):
        padded = padded.roll((-shift[0], -shift[1]), (1, 2))
        positions = positions.roll((-shift[0], -shift[1]), (0, 1))
        sides = _sides(sides, (rows, columns), shift)
    cells = _windows(positions[None, ..., None], rows, columns)[0, :, :, 0]
    tokens = _windows(padded, rows, columns)  # [B, windows, n, C]
    q, k = attn.qkv(tokens).unflatten(-1, (3, attn.num_heads, -1)).permute(3, 0, 1, 4, 2, 5)[:2]
    scores = q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1) + attn.get_relative_position_bias()
    if any(shift):
        side = _windows(sides[None, ..., None], rows, columns)[0, :, :, 0]
        scores = scores + MASKED_SCORE * (side[:, None, :, None] != side[:, None, None, :])
    return WindowAttention(scores.softmax(-1), cells)


def over_cells(attention: WindowAttention, n_cells: int) -> Tensor:
    """[B, P, P]: attention averaged over heads, in the order of the map; 0 between cells that share no window."""
    weights, cells = attention.weights.mean(2), attention.cells
    whole = weights.new_zeros(len(weights), n_cells + 1, n_cells + 1)  # the last index collects padding
    for window, ids in enumerate(cells % (n_cells + 1)):
        whole[:, ids[:, None], ids[None, :]] = weights[:, window]
    return whole[:, :n_cells, :n_cells]


def _windows(x: Tensor, rows: int, columns: int) -> Tensor:
    """[B, h, w, C] -> [B, windows, rows*columns, C]."""
    x = x.unflatten(1, (-1, rows)).unflatten(3, (-1, columns))  # [B, a, rows, b, columns, C]
    return x.transpose(2, 3).flatten(3, 4).flatten(1, 2)


def _sides(sides: Tensor, window: tuple[int, int], shift: list[int]) -> Tensor:
    """The region, of nine, that each cell was in before the shift; cells of different regions don't attend."""
    h, w = sides.shape
    row = torch.arange(h, device=sides.device)
    column = torch.arange(w, device=sides.device)

    def region(at: Tensor, size: int, side: int, step: int) -> Tensor:
        return (at >= size - side).long() + (at >= size - step).long()

    return 3 * region(row, h, window[0], shift[0])[:, None] + region(column, w, window[1], shift[1])[None]
