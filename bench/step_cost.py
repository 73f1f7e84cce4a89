"""Counts the cost of a training step: FLOPs, memory, and the share of a card's peak that a run in a given time needs.

    python -m bench.step_cost [--presets hd_vila_base hd_vila] [--gpus 64] [--days 7] [--clips 1e8] [--epochs 6]

Nothing is measured: operators are counted on tensors without data, forward and backward, with the recomputation of
checkpointed blocks where the preset has it. Memory is weights, gradients and Adam's moments in fp32, and what a clip's
forward pass keeps for its backward pass, in bf16 (what a block needs while it is recomputed comes on top, and so do
buffers of communication). MFU counts the model's own arithmetic, so recomputation is in the FLOPs but not in it.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from train.loop.observe import PEAK_TFLOPS_BF16
from train.models import Batch, ModelConfig
from train.models.hd_vila import HDVila

CARDS = ("A100", "H100")


@dataclass(frozen=True)
class Cost:
    """The cost of one clip in one training step; bytes of the model."""

    forward_flops: float
    step_flops: float
    kept_bytes: int
    state_bytes: int

    @property
    def model_flops(self) -> float:
        """FLOPs of forward and backward, without recomputation."""
        return 3 * self.forward_flops


def cost_of(config: ModelConfig, n_clips: int = 2) -> Cost:
    """Counts the cost on `n_clips` clips."""
    with torch.device("meta"):
        model = HDVila(config).bfloat16().train()
    batch = make_batch(config, n_clips).to("meta")
    pictures = {name: tensor for name in ("img_middle", "img_other") if (tensor := batch.get(name)) is not None}
    batch = batch.having({name: tensor.bfloat16() for name, tensor in pictures.items()})
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        model(batch)
    kept: dict[int, int] = {}
    own = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage.nbytes()
        held.append(tensor)  # keeps its storage's id from being reused
        return tensor

    held: list[Tensor] = []
    with FlopCounterMode(display=False) as whole:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            features = model(batch)
        torch.autograd.backward(features.video.sum() + features.text.sum())
    n_parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return Cost(
        forward.get_total_flops() / n_clips,
        whole.get_total_flops() / n_clips,
        sum(kept.values()) // n_clips,
        16 * n_parameters,
    )


def make_batch(config: ModelConfig, n_clips: int) -> Batch:
    """Random pixels and words."""
    generator = torch.Generator().manual_seed(0)
    low = (config.high[0] // 4, config.high[1] // 4)
    shape = (n_clips, config.n_segments)
    middle = torch.randint(0, 256, (*shape, 3, *config.high), generator=generator, dtype=torch.uint8)
    other = torch.randint(0, 256, (*shape, config.n_frames - 1, 3, *low), generator=generator, dtype=torch.uint8)
    ids = torch.randint(5, config.vocab_size, (n_clips, config.text_length), generator=generator)
    return Batch(middle, other, ids, torch.ones_like(ids))


def describe(name: str, config: ModelConfig, given: argparse.Namespace) -> str:
    """Some lines about one preset."""
    cost = cost_of(config)
    lines = [
        f"{name}: {cost.model_flops / 1e12:.2f} TFLOP a clip (forward {cost.forward_flops / 1e12:.2f}, x 3), "
        f"{cost.step_flops / 1e12:.2f} with what is recomputed",
        f"  {cost.state_bytes / 2**30:.1f} GiB of weights, gradients and moments; {cost.kept_bytes / 2**20:.0f} MiB "
        "kept for the backward pass of a clip, bf16",
    ]
    clips_per_s = given.clips * given.epochs / (given.days * 86400) / given.gpus
    for card in CARDS:
        peak = PEAK_TFLOPS_BF16[card] * 1e12
        lines.append(
            f"  {given.clips:.0e} clips x {given.epochs:g} on {given.gpus} x {card} in {given.days:g} days: "
            f"{clips_per_s:.1f} clips/s a card, MFU {clips_per_s * cost.model_flops / peak:.0%}"
        )
    return "\n".join(lines)


def main() -> None:
    """Parses the command line and prints the costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="+", default=["hd_vila_base", "hd_vila"])
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--days", type=float, default=7.0)
    parser.add_argument("--clips", type=float, default=1e8)
    parser.add_argument("--epochs", type=float, default=6.0)
    given = parser.parse_args()
    for preset in given.presets:
        for checkpointing in (False, True):
            config = ModelConfig(preset=preset, gradient_checkpointing=checkpointing)
            print(describe(f"{preset}{', blocks recomputed' * checkpointing}", config, given), flush=True)


if __name__ == "__main__":
    main()
