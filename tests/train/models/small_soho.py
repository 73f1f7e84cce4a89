"""A small SOHO, a small batch of pictures and sentences, and their loss."""

from typing import Any

import torch

from train.models.soho import ImageBatch, SohoConfig


def small_config(**changes: Any) -> SohoConfig:
    base: dict[str, Any] = {
        "preset": "tiny", "width": 32, "n_entries": 24, "vocab_size": 64, "text_length": 8,
        "image_size": (64, 96), "trunk_width": 8, "dropout": 0.0,
    }  # fmt: skip
    return SohoConfig(**{**base, **changes})


def small_batch(n: int = 4, s: int = 1, seed: int = 0) -> ImageBatch:
    """Pictures of 64x96 with their last columns empty in every other one, and random sentences."""
    g = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, 3, 64, 96), generator=g).float()
    valid = torch.tensor([[64, 96 if i % 2 == 0 else 60] for i in range(n)])
    ids = torch.randint(5, 64, (n * s, 8), generator=g)
    labels = torch.where(torch.rand(n * s, 8, generator=g) < 0.3, ids, -100)
    matches = torch.arange(n * s) % 2
    draws = torch.stack([torch.rand(n * s, generator=g), torch.ones(n * s)], 1)
    return ImageBatch(images, valid, None, ids, torch.ones(n * s, 8), labels, matches, draws)
