"""The hybrid video encoder: a high-resolution frame and its low-resolution neighbours, merged on one grid.

high [3, H, W] ──► cnn ──► layer4 ─► grid_encoder (1x1, pool, GELU) ───────────────────────────┐
                     └──► layer3 ─► every 4th cell ─► grid_encoder_low ──► centre ─┐           │
low [N-1, 3, H/4, W/4] ──► cnn_low ──► layer3 ──────► grid_encoder_low ──► others ─┴► timesformer ─► centre
                                                                                               │
                                               map [D, H/64, W/64] ◄── grid_encoder_combine ◄──┘
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from train.models.resnet import EXPANSION, ResNet
from train.models.timesformer import TimeSformer

if TYPE_CHECKING:
    from train.models.configs import ModelConfig

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Mean and deviation of ImageNet's RGB values, on the 0..255 scale."""


class HybridEncoder(nn.Module):
    """Encodes raw frames to one feature map per segment. Either input may be None; then only the other branch runs."""

    pixel_mean: Tensor
    pixel_scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, checkpointed = config.width, config.gradient_checkpointing
        trunk = (config.trunk_width, config.trunk_depths, config.trunk_norm)
        n_layer3, n_layer4 = (EXPANSION * config.trunk_width * 2**k for k in (2, 3))
        self.cnn = ResNet(*trunk, checkpointed=checkpointed)
        self.cnn_low = ResNet(*trunk, checkpointed=checkpointed)
        self.grid_encoder = nn.Sequential(nn.Conv2d(n_layer4, width, 1, bias=False), nn.MaxPool2d(2, 2), nn.GELU())
        self.grid_encoder_low = nn.Sequential(nn.Conv2d(n_layer3, width, 1, bias=False), nn.GELU())
        self.timesformer = TimeSformer(
            width,
            config.n_heads,
            config.n_space_time_blocks,
            grid=config.position_grid,
            n_frames=config.position_frames,
            drop_path=config.drop_path,
            checkpointed=checkpointed,
        )
        self.grid_encoder_combine = nn.Sequential(nn.Conv2d(2 * width, width, 1, bias=False), nn.GELU())
        # Buffers follow the model's device; they aren't in the state dict, because published files have no such keys.
        self.register_buffer("pixel_mean", torch.empty(3, 1, 1), persistent=False)
        self.register_buffer("pixel_scale", torch.empty(3, 1, 1), persistent=False)
        self.reset_buffers()

    def reset_buffers(self) -> None:
        """Fills the buffers that no file holds."""
        self.pixel_mean.copy_(torch.tensor(PIXEL_MEAN).view(3, 1, 1))
        self.pixel_scale.copy_(1 / torch.tensor(PIXEL_STD).view(3, 1, 1))

    def encode_frames(self, img_middle: Tensor | None, img_other: Tensor | None) -> Tensor:
        """img_middle [B, S, 3, H, W], img_other [B, S, N-1, 3, H/4, W/4], raw pixels -> maps [B, S, D, H/64, W/64].

        ValueError names a tensor whose shape cannot be used.
        """
        check_frames(img_middle, img_other)
        if img_middle is None:
            assert img_other is not None
            return self._low_alone(img_other)
        B, S = img_middle.shape[:2]
        layer3, layer4 = self.cnn(self._pixels(img_middle))[2:]
        high = self.grid_encoder(layer4)
        if img_other is None:
            return high.unflatten(0, (B, S))
        centre = self.grid_encoder_low(layer3[:, :, ::4, ::4])
        others = self._low_maps(img_other)
        k = others.shape[1] // 2
        sequence = torch.cat([others[:, :k], _tokens(centre)[:, None], others[:, k:]], dim=1)
        grid = (high.shape[-2], high.shape[-1])
        temporal = self.timesformer(sequence, grid, only=k).transpose(1, 2).unflatten(2, grid)
        return self.grid_encoder_combine(torch.cat([high, temporal], dim=1)).unflatten(0, (B, S))

    def _low_alone(self, img_other: Tensor) -> Tensor:
        """The feature maps of the low-resolution frames alone, taken at the middle frame."""
        B, S = img_other.shape[:2]
        others = self._low_maps(img_other)
        grid = (img_other.shape[-2] // 16, img_other.shape[-1] // 16)
        return self.timesformer(others, grid, only=others.shape[1] // 2).transpose(1, 2).reshape(B, S, -1, *grid)

    def _low_maps(self, img_other: Tensor) -> Tensor:
        """[B, S, n, 3, h, w] raw pixels -> tokens [B*S, n, cells, D]."""
        B, S, n = img_other.shape[:3]
        layer3 = self.cnn_low(self._pixels(img_other), n_stages=3)[-1]
        return _tokens(self.grid_encoder_low(layer3)).unflatten(0, (B * S, n))

    def _pixels(self, frames: Tensor) -> Tensor:
        """[..., 3, h, w] raw 0..255 -> [frames, 3, h, w], normalised with ImageNet's mean and deviation."""
        pixels = frames.flatten(0, -4).to(self.pixel_mean.dtype)
        pixels = (pixels - self.pixel_mean) * self.pixel_scale
        # Tensor cores want channels last; on a CPU, the full-size trunk is some 8 % faster without.
        return pixels.contiguous(memory_format=torch.channels_last) if pixels.is_cuda else pixels


def _tokens(maps: Tensor) -> Tensor:
    """[b, D, h, w] -> [b, h*w, D], row-major."""
    return maps.flatten(2).transpose(1, 2)


def check_frames(img_middle: Tensor | None, img_other: Tensor | None) -> None:
    """Raises ValueError if the encoder cannot take these frames together."""
    if img_middle is None and img_other is None:
        raise ValueError("no frames: give img_middle, img_other or both")
    if img_middle is not None and (img_middle.ndim != 5 or img_middle.shape[2] != 3):
        raise ValueError(f"img_middle must be [B, S, 3, H, W], got {tuple(img_middle.shape)}")
    if img_other is not None and (img_other.ndim != 6 or img_other.shape[3] != 3):
        raise ValueError(f"img_other must be [B, S, N-1, 3, h, w], got {tuple(img_other.shape)}")
    if img_middle is not None and any(side % 64 for side in img_middle.shape[-2:]):
        raise ValueError(f"img_middle is {tuple(img_middle.shape[-2:])} pixels; both sides must be multiples of 64")
    if img_other is not None and any(side % 16 for side in img_other.shape[-2:]):
        raise ValueError(f"img_other is {tuple(img_other.shape[-2:])} pixels; both sides must be multiples of 16")
    if img_middle is not None and img_other is not None:
        _check_pair(img_middle, img_other)


def _check_pair(img_middle: Tensor, img_other: Tensor) -> None:
    if img_middle.shape[:2] != img_other.shape[:2]:
        raise ValueError(
            f"img_middle holds {tuple(img_middle.shape[:2])} (clips, segments), img_other {tuple(img_other.shape[:2])}"
        )
    if tuple(img_middle.shape[-2:]) != tuple(4 * side for side in img_other.shape[-2:]):
        raise ValueError(
            f"img_middle is {tuple(img_middle.shape[-2:])} pixels and img_other {tuple(img_other.shape[-2:])}; "
            "the first must be four times the second"
        )
