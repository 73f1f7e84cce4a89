"""Compares a training step with a fair plain version: time, peak memory, equal gradients, counted FLOPs.

    python -m bench.train_step                          hd_vila, 2 clips of 2 segments, fp32, CPU (minutes)
    python -m bench.train_step --preset tiny            seconds
    python -m bench.train_step --device cuda --batch 8  with MFU where the card is known

Each side runs in a process of its own, one after the other, `--rounds` times in turn. On a CPU, time is the CPU time of
the process (a shared machine's wall time says little; it is printed too) and peak memory is ru_maxrss less what the
process held before the model was built: weights, gradients, activations. On CUDA, time is the wall time between
synchronisations, memory max_memory_allocated. FLOPs are counted by operator on the meta device, never measured.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.plain_hdvila import plain_embed
from train.loop.observe import PEAK_TFLOPS_BF16
from train.losses import contrastive_loss
from train.models import Batch, HDVila, ModelConfig, build_model
from train.models.timesformer import Block

Gradients = dict[str, torch.Tensor]
SIDES = ("ours", "plain")
AIM_TIME, AIM_MEMORY = 0.9, 0.7


def main() -> None:
    """Runs both sides and prints the comparison."""
    arguments = parse()
    if arguments.side:
        run_side(arguments)
        return
    with tempfile.TemporaryDirectory() as folder:
        rounds = [
            {side: in_process(side, Path(folder) / f"{side}.pt") for side in order}
            for order in (SIDES if i % 2 == 0 else SIDES[::-1] for i in range(arguments.rounds))
        ]
        off = relative_difference(*(torch.load(Path(folder) / f"{side}.pt", weights_only=True) for side in SIDES))
    report(arguments, rounds, off)


def parse() -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="hd_vila", choices=["hd_vila", "hd_vila_base", "tiny"])
    parser.add_argument("--batch", type=int, default=2, help="clips")
    parser.add_argument("--segments", type=int, default=2, help="segments of a clip")
    parser.add_argument("--rounds", type=int, default=1, help="how often each side runs; the fastest counts")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--bf16", action="store_true", help="autocast (gradients then agree to bf16's precision only)")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def in_process(side: str, gradients: Path) -> dict[str, float]:
    """Returns one side's figures; its gradients are left in a file."""
    command = [sys.executable, "-m", "bench.train_step", *sys.argv[1:], "--side", side, "--out", str(gradients)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


# ---- one side, in its own process ------------------------------------------------------------------------------------


def run_side(arguments: argparse.Namespace) -> None:
    """Builds, warms up on a small picture, runs one step, and prints the figures as JSON."""
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    before = held_bytes(device)
    config = config_of(arguments)
    model = bench_model(config).to(device)
    step(arguments, model, make_batch(config, 1, high=(128, 128)).to(device))
    model.zero_grad(set_to_none=True)
    batch = make_batch(config, arguments.batch, high=config.high).to(device)
    figures = measured(arguments, model, batch, device)
    figures["peak_bytes"] = peak_bytes(device) - before
    torch.save({name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}, arguments.out)
    print(json.dumps(figures))


def config_of(arguments: argparse.Namespace) -> ModelConfig:
    """Published statistics are frozen, so the bench's are too, at every size; and there is no dropout."""
    fixed: dict[str, Any] = {"trunk_norm": "frozen_batch", "dropout": 0.0, "drop_path": 0.0}
    plain: dict[str, Any] = {"gradient_checkpointing": False, "n_segments": arguments.segments}
    return ModelConfig(preset=arguments.preset, **fixed, **plain)


def bench_model(config: ModelConfig) -> HDVila:
    """Random weights with which the time branch, zero in a new model, carries a signal."""
    model = build_model(config, seed=0)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for block in model.timesformer.blocks:
            assert isinstance(block, Block)
            block.temporal_fc.weight.normal_(std=0.02, generator=generator)
    return model.train()


def make_batch(config: ModelConfig, n_clips: int, *, high: tuple[int, int]) -> Batch:
    """Random pixels and words."""
    generator = torch.Generator().manual_seed(0)
    low = (high[0] // 4, high[1] // 4)
    shape = (n_clips, config.n_segments)
    middle = torch.randint(0, 256, (*shape, 3, *high), generator=generator, dtype=torch.uint8)
    other = torch.randint(0, 256, (*shape, config.n_frames - 1, 3, *low), generator=generator, dtype=torch.uint8)
    ids = torch.randint(5, config.vocab_size, (n_clips, config.text_length), generator=generator)
    return Batch(middle, other, ids, torch.ones_like(ids))


def step(arguments: argparse.Namespace, model: HDVila, batch: Batch) -> float:
    """Forward and backward of the contrastive loss."""
    with torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.bf16):
        loss = loss_of(arguments.side, model, batch)
    torch.autograd.backward(loss)
    return float(loss.detach())


def loss_of(side: str, model: HDVila, batch: Batch) -> torch.Tensor:
    """The contrastive loss as one side computes it."""
    video, text = embed(side, model, batch)
    return contrastive_loss(video, text, torch.tensor([20.0], device=video.device))


def embed(side: str, model: HDVila, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """(video, text) as one side computes them."""
    if side == "ours":
        return model.embed(batch.img_middle, batch.img_other, batch.input_ids, batch.attention_mask)
    return plain_embed(model, batch)


def measured(arguments: argparse.Namespace, model: HDVila, batch: Batch, device: torch.device) -> dict[str, float]:
    """(seconds of one step, its loss)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        torch.cuda.synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    loss = step(arguments, model, batch)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"loss": loss, "wall_s": wall, "cpu_s": cpu, "time_s": wall if device.type == "cuda" else cpu}


def held_bytes(device: torch.device) -> int:
    """Memory of the process (or the card) before the model is built, bytes."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else peak_bytes(device)


def peak_bytes(device: torch.device) -> int:
    """Peak memory of the process (or the card), bytes."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


# ---- the comparison --------------------------------------------------------------------------------------------------


def relative_difference(ours: Gradients, plain: Gradients) -> float:
    """|a - b| / |b| (L2) over all parameters together."""
    assert ours.keys() == plain.keys(), "the two sides train different parameters"
    square = sum(float((ours[name].double() - plain[name].double()).square().sum()) for name in plain)
    return float((square / sum(float(wanted.double().square().sum()) for wanted in plain.values())) ** 0.5)


def exact_difference() -> float:
    """The same in fp64 on the tiny model, where rounding can't hide a difference in what is computed."""
    config = ModelConfig(preset="tiny", trunk_norm="frozen_batch", dropout=0.0, drop_path=0.0, n_segments=2)
    batch = make_batch(config, 3, high=config.high)
    found = []
    for side in SIDES:
        model = bench_model(config).double()
        torch.autograd.backward(loss_of(side, model, batch))
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    return relative_difference(*found)


def counted_flops(arguments: argparse.Namespace, side: str) -> float:
    """FLOPs of forward and backward, counted by operator on tensors without data."""
    config = config_of(arguments)
    with torch.device("meta"):
        model = HDVila(config)
    batch = make_batch(config, arguments.batch, high=config.high).to("meta")
    with FlopCounterMode(display=False) as counter:
        video, text = embed(side, model, batch)
        torch.autograd.backward((video * text).sum())
    return float(counter.get_total_flops())


def report(arguments: argparse.Namespace, rounds: list[dict[str, dict[str, float]]], off: float) -> None:
    """Prints the figures, the ratios and the aims."""
    best = {side: min((r[side] for r in rounds), key=lambda figures: figures["time_s"]) for side in SIDES}
    size = f"{arguments.batch} clips x {arguments.segments} segments"
    print(f"{arguments.preset}, {size}, {arguments.device}, best of {len(rounds)}")
    for side in SIDES:
        f, flops = best[side], counted_flops(arguments, side)
        rate = flops / f["wall_s"]
        print(
            f"  {side:5}  {f['cpu_s']:8.2f} CPU s  {f['wall_s']:8.2f} wall s  peak {f['peak_bytes'] / 2**30:6.2f} GiB  "
            f"{flops / 1e12:7.3f} TFLOP (counted)  {rate / 1e12:7.3f} TFLOP/s{mfu(arguments, rate)}"
        )
    print_ratio("time", best["ours"]["time_s"] / best["plain"]["time_s"], AIM_TIME)
    print_ratio("memory", best["ours"]["peak_bytes"] / best["plain"]["peak_bytes"], AIM_MEMORY)
    losses = f"losses {best['ours']['loss']:.6f} and {best['plain']['loss']:.6f}"
    print(f"  gradients differ by {off:.1e} of their norm, by {exact_difference():.1e} in fp64 (tiny); {losses}")


def print_ratio(what: str, ratio: float, aim: float) -> None:
    """Prints a ratio beside its aim."""
    print(f"  {what} {ratio:.3f} of plain (aim: at most {aim}): {'reached' if ratio <= aim else 'MISSED'}")


def mfu(arguments: argparse.Namespace, rate: float) -> str:
    """The share of a known card's bf16 peak."""
    if arguments.device != "cuda" or not arguments.bf16:
        return ""
    name = torch.cuda.get_device_name()
    peak = next((peak for part, peak in PEAK_TFLOPS_BF16.items() if part in name), None)
    return f"  MFU {rate / peak / 1e12:.1%} (counted)" if peak else ""


if __name__ == "__main__":
    main()
