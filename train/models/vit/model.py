"""A hybrid video encoder on published towers: one high-resolution frame, its low-resolution neighbours, and time.

    high ──► image tower ──► its vector ─────────────────────────────────────────(+)─► projection ─► video
                  └──► patches, on the grid of the low frames ──► centre ─┐       │
    low  ──► image tower ──► patches ──────────────────────────► others ─┴► time ┘

What time adds passes through weights that are zero at first: at step 0 the embedding is the image tower's own of the
high frame. Shapes: B clips, S segments, N frames per segment, C width of the image tower, D width of both embeddings.
"""

from collections.abc import Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.base import Model
from train.models.hd_vila import Features
from train.models.timesformer import Block as TimeBlock
from train.models.timesformer import TimeSformer
from train.models.vit.configs import VitConfig
from train.models.vit.towers import Block, Towers
from train.rows import Rows

WITHOUT_TIME = ("high", "image")
"""Views of one frame a segment."""


class Time(nn.Module):
    """What a segment's other frames add to the vector of its centre frame."""

    def __init__(self, config: VitConfig) -> None:
        super().__init__()
        width, patch = config.image.width, config.image.patch
        self.frames = TimeSformer(
            width,
            config.image.heads,
            config.n_time_blocks,
            grid=(config.low[0] // patch, config.low[1] // patch),
            n_frames=config.n_frames,
            drop_path=0.0,
            checkpointed=config.gradient_checkpointing,
        )
        self.out = nn.Linear(width, width)

    def forward(self, cells: Tensor, grid: tuple[int, int], centre: int) -> Tensor:
        """[b, N, cells, C] -> [b, C]."""
        return self.out(self.frames(cells, grid, only=centre).mean(1))


class Vit(Towers, Model):
    """Two towers, and attention in time over the image tower's patches."""

    blocks = (Block, TimeBlock)
    methods = ("embed_video", "embed_text")
    towers = ("video", "text")

    def __init__(self, config: VitConfig) -> None:
        super().__init__(config.towers, temperature=config.temperature, checkpointed=config.gradient_checkpointing)
        self.config = config
        self.time = Time(config)
        self.weight_sources: dict[str, str] = {}
        """The source of each part's initial weights."""

    def forward(self, batch: Rows, only: Collection[str] = ()) -> Features:
        """Embeds pictures (`img_middle` [B, S, 3, H, W], `img_other` [B, S, n, 3, h, w], raw pixels; or one of them)
        and texts (`input_ids` [B, L])."""
        assert self.temperature is not None
        video = self.embed_video(batch.get("img_middle"), batch.get("img_other"))
        scale, bias = self.temperature()
        return Features(video, self.embed_text(batch.input_ids), scale, bias)

    def embed_video(self, img_middle: Tensor | None, img_other: Tensor | None) -> Tensor:
        """[B, D], L2 norm 1. Without `img_middle`, the middle one of the low-resolution frames takes its place."""
        if img_other is None:
            assert img_middle is not None
            pooled = self.image.pool(self.image(img_middle.flatten(0, 1)))
            return self._video(pooled, img_middle.shape[1])
        n_segments, n = img_other.shape[1:3]
        grid = (img_other.shape[-2] // self.config.image.patch, img_other.shape[-1] // self.config.image.patch)
        low = self.image(img_other.flatten(0, 2)).unflatten(0, (-1, n))
        others, k = self.image.cells(low.flatten(0, 1)).unflatten(0, (-1, n)), n // 2
        if img_middle is None:
            return self._video(self.image.pool(low[:, k]) + self.time(others, grid, k), n_segments)
        high = self.image(img_middle.flatten(0, 1))
        centre = self._on_grid(self.image.cells(high), img_middle.shape[-2:], grid)
        sequence = torch.cat([others[:, :k], centre[:, None], others[:, k:]], dim=1)
        return self._video(self.image.pool(high) + self.time(sequence, grid, k), n_segments)

    def _on_grid(self, cells: Tensor, size: Collection[int], grid: tuple[int, int]) -> Tensor:
        """The high frame's patches [b, cells, C], averaged to the grid of the low frames."""
        rows, _ = (side // self.config.image.patch for side in size)
        maps = cells.unflatten(1, (rows, -1)).permute(0, 3, 1, 2)
        return F.adaptive_avg_pool2d(maps, grid).flatten(2).transpose(1, 2)

    def _video(self, pooled: Tensor, n_segments: int) -> Tensor:
        return self.project_image(pooled.unflatten(0, (-1, n_segments)).mean(1))

    def is_decayed(self, name: str, parameter: Tensor, *, decay_norms: bool) -> bool:
        """As in `Model`, and never for the temperature."""
        return not name.startswith("temperature") and super().is_decayed(name, parameter, decay_norms=decay_norms)

    def mark_trainable(self, objectives: Collection[str], view: str, outputs: Collection[str]) -> None:
        """Makes trainable what `image_tune` and `text_tune` let learn and the view's pictures pass through."""
        still = ["time.frames.norm."]
        still += ["time."] if view in WITHOUT_TIME else []
        still += [f"temperature.{name}" for name in ("logit_scale", "logit_bias") if name not in outputs]
        still += ["image.", "image_projection.", "time."] if outputs and "video" not in outputs else []
        still += ["text.", "text_projection."] if outputs and "text" not in outputs else []
        still += ["image."] if self.config.image_tune == "frozen" else []
        still += ["text."] if self.config.text_tune == "frozen" else []
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(still)))

    def after_step(self) -> None:
        """Keeps the temperature within its bound, if it has one."""
        assert self.temperature is not None
        self.temperature.bound()

    def readings(self) -> dict[str, Tensor | float]:
        """The current temperature."""
        assert self.temperature is not None
        return {"temperature": 1 / self.temperature()[0].detach()}

    def title(self) -> str:
        """The families of both towers."""
        return f"vit ({self.config.image.family} and {self.config.text.family})"
