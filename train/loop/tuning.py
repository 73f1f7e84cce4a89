"""Speeds up GPUs without changing what a step computes: number formats, memory layout, compiled blocks."""

from __future__ import annotations

from typing import Any

import torch

from manifests.errors import UserError
from train.config import TrainConfig
from train.distributed import Strategy
from train.models.base import Model, blocks_of


def tune(model: Model, config: TrainConfig, strategy: Strategy) -> None:
    """Tunes this process and the model, before it is wrapped. UserError for settings that don't go together."""
    loop = config.loop
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = loop.tf32
    torch.backends.cudnn.benchmark = True  # every step has the same shapes: the search for the fastest pays off once
    if loop.channels_last:
        if strategy == "fsdp2":
            raise UserError("loop.channels_last: FSDP2 shards only contiguous weights; leave it out, or use ddp")
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if loop.compile:
        compile_blocks(model)


def compile_blocks(model: Model, **options: Any) -> None:
    """Compiles each block separately: identical blocks share one graph, and wrappers' hooks stay outside of it."""
    for block in blocks_of(model):
        block.compile(**options)
