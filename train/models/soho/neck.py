"""From the trunk's map to visual tokens: pooling, embedding, dictionary look-up, masking, position codes.

Shapes: b maps, R rows (one sentence each), P = gh*gw cells (row-major), D width.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.losses import IGNORED
from train.models.soho.batch import Canvas, MvmDraw
from train.models.soho.configs import SohoConfig
from train.models.soho.dictionary import Dictionary
from train.models.soho.norms import ConvNorm

NORM_EPS = 1e-5
WAVELENGTH = 10_000
GRID_EPS = 1e-6


class Visual(NamedTuple):
    """The neck's output for each row."""

    tokens: Tensor  # [R, P, D]
    mask: Tensor  # [R, P] bool, whether the cell shows some of the picture
    indices: Tensor  # [R, P] int64
    labels: Tensor  # [R, P] int64, -100 where there is nothing to predict


class Neck(nn.Module):
    """The neck of pre-training, with the dictionary and its gate."""

    def __init__(self, config: SohoConfig) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.conv = ConvNorm(config.trunk_channels, width, config.norm)
        self.vq = Dictionary(
            config.n_entries,
            width,
            decay=config.dictionary_decay,
            floor=config.dictionary_floor,
            published=config.compat,
        )
        self.pos_line = nn.Linear(width, width)
        self.gate_fc = ConvNorm(2 * width, 2, config.norm)
        self.mask_emb = nn.Embedding(1, width)
        self.ln = nn.LayerNorm(width, eps=NORM_EPS)

    def forward(self, maps: Tensor, canvas: Canvas, n_sentences: int, draw: MvmDraw | None) -> Visual:
        """maps [B, C, h, w] -> the rows' tokens; with a draw, some of them masked and to be predicted."""
        if self.config.compat:  # the published code repeats a map before counting and normalising
            maps = maps.repeat_interleave(n_sentences, 0)
        pooled = F.max_pool2d(maps, self.config.pool)
        features = self.conv(pooled)
        size = features.shape[-2:]
        mask = valid_cells(canvas, size, square=self.config.compat)
        cells = mask.repeat_interleave(len(features) // len(mask), 0)
        quantised, indices = self._quantise(features, cells)
        tokens = self._gate(self.pos_line(quantised), features).flatten(2).transpose(1, 2)
        if not self.config.compat:
            tokens, indices = (x.repeat_interleave(n_sentences, 0) for x in (tokens, indices))
        mask = mask.repeat_interleave(n_sentences, 0)
        labels = torch.full_like(indices, IGNORED) if draw is None else mvm_labels(indices, mask.flatten(1), draw)
        # Always use the mask's embedding, even if nothing is masked: DDP waits for a gradient of every parameter.
        tokens = torch.where((labels != IGNORED)[..., None], self.mask_emb.weight[0].to(tokens.dtype), tokens)
        tokens = self.ln(tokens + position_code(mask, self.config.width).to(tokens.dtype))
        return Visual(tokens, mask.flatten(1), indices, labels)

    def _quantise(self, features: Tensor, cells: Tensor) -> tuple[Tensor, Tensor]:
        """(entries [b*P, D], indices [b, P])."""
        rows = features.flatten(2).transpose(1, 2).flatten(0, 1)
        quantised, indices = self.vq(rows, None if self.config.compat else cells.flatten())
        return quantised, indices.unflatten(0, (len(features), -1))

    def _gate(self, entries: Tensor, features: Tensor) -> Tensor:
        """A weighted mean of entry and feature for each cell: [b*P, D] and [b, D, gh, gw] -> [b, D, gh, gw]."""
        b, width, gh, gw = features.shape
        words = entries.view(b, gh, gw, width).permute(0, 3, 1, 2)
        shares = self.gate_fc(torch.cat([words, features], 1)).softmax(1)
        return shares[:, :1] * words + shares[:, 1:] * features


class PlainNeck(nn.Module):
    """The neck of question answering: no dictionary, no gate, no mask."""

    def __init__(self, config: SohoConfig) -> None:
        super().__init__()
        self.config = config
        self.conv = ConvNorm(config.trunk_channels, config.width, config.norm)
        self.ln = nn.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, maps: Tensor, canvas: Canvas, n_sentences: int) -> tuple[Tensor, Tensor]:
        """maps [B, C, h, w] -> (tokens [R, P, D], mask [R, P])."""
        features = self.conv(F.max_pool2d(maps, self.config.pool))
        mask = valid_cells(canvas, features.shape[-2:], square=self.config.compat)
        code = position_code(mask, self.config.width).to(features.dtype)
        tokens = self.ln(features.flatten(2).transpose(1, 2) + code)
        return tokens.repeat_interleave(n_sentences, 0), mask.flatten(1).repeat_interleave(n_sentences, 0)


def valid_cells(canvas: Canvas, grid: tuple[int, int] | torch.Size, *, square: bool) -> Tensor:
    """[B, gh, gw] bool: whether a cell's top left pixel is inside its picture.

    `square` uses the largest padded height for both sides, as the published code does: tall pictures lose columns, and
    padding on the right of wide ones counts as picture.
    """
    height, width = canvas.pixels.shape[-2:]
    if square:
        height = width = int(canvas.padded_hw[:, 0].max())
    valid = canvas.valid_hw
    rows = torch.arange(grid[0], device=valid.device) * height // grid[0]
    columns = torch.arange(grid[1], device=valid.device) * width // grid[1]
    return (rows[None, :, None] < valid[:, 0, None, None]) & (columns[None, None, :] < valid[:, 1, None, None])


def position_code(mask: Tensor, width: int) -> Tensor:
    """Sines and cosines of row and column, counted over valid cells and scaled to 2π: [b, gh, gw] -> [b, P, D]."""
    # In double precision, for the caller to cast: angles up to 2π lose digits in half precision.
    counts = mask.double()
    y, x = counts.cumsum(1), counts.cumsum(2)
    y = y / (y[:, -1:] + GRID_EPS) * 2 * math.pi
    x = x / (x[:, :, -1:] + GRID_EPS) * 2 * math.pi
    half = width // 2
    k = torch.arange(half, device=mask.device)
    frequencies = WAVELENGTH ** (2 * (k // 2) / half).double()
    codes = []
    for value in (y, x):
        angles = value[..., None] / frequencies
        codes.append(torch.where(k % 2 == 0, angles.sin(), angles.cos()))
    return torch.cat(codes, -1).flatten(1, 2)


def mvm_labels(indices: Tensor, mask: Tensor, draw: MvmDraw) -> Tensor:
    """[R, P] labels: in chosen rows, all valid cells that have the same entry as the drawn cell; -100 elsewhere.

    If the draw falls on padding, its row has nothing to predict.
    """
    rows = torch.arange(len(indices), device=indices.device)
    drawn = torch.as_tensor(draw.location, device=indices.device).expand(len(indices))
    asked = draw.chosen.to(indices.device).bool() & mask[rows, drawn]
    same = (indices == indices[rows, drawn][:, None]) & mask & asked[:, None]
    return torch.where(same, indices, IGNORED)


def draw_from(draws: Tensor, mask: Tensor) -> MvmDraw:
    """The draw for each row from [R, 2]: a number in 0..1 that picks a valid cell of it, and 1 if it is masked."""
    n_valid = mask.sum(1)
    nth = (draws[:, 0] * n_valid).long().clamp(max=n_valid - 1).clamp(min=0)
    ranks = mask.cumsum(1) - 1
    location = ((ranks == nth[:, None]) & mask).float().argmax(1)
    return MvmDraw(location, draws[:, 1] > 0)
