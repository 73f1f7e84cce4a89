"""A small model with a parser, and a small batch for it."""

from dataclasses import replace
from typing import Any

from tests.train.models.small_soho import small_batch as soho_batch
from train.models.soho.batch import ImageBatch
from train.models.visual_parsing import (
    VisualParsingConfig,
)


def small_config(**changes: Any) -> VisualParsingConfig:
    base: dict[str, Any] = {
        "preset": "tiny", "width": 32, "vocab_size": 64, "text_length": 8, "image_size": (64, 96),
        "parser_width": 8, "dropout": 0.0,
    }  # fmt: skip
    return VisualParsingConfig(**{**base, **changes})


def small_batch(n: int = 4, s: int = 1) -> ImageBatch:
    """SOHO's, with a draw a row of the token that is masked."""
    batch = soho_batch(n, s)
    assert batch.draws is not None
    return replace(batch, draws=batch.draws[:, 0])
