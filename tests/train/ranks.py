"""Run on ranks by test_distributed.py: trains one step in many ways and writes each loss and gradient to a file.

torchrun --nproc-per-node 4 -m tests.train.ranks OUT.pt
"""

import os
import sys
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from tests.train.matrix import ALL_LOSSES, losses_of
from tests.train.model_cases import cached_losses, gradients_of, small_batch, small_config, small_model, whole_loss
from train.distributed import gather, mean_over_ranks, process_from_environment, process_group
from train.loop.grad_cache import cached_backward
from train.losses import contrastive_loss
from train.models.wrapping import Strategy, gradient_sync, unwrap, wrap

N_CLIPS = 8
"""Clips of the global batch: divisible by 4 ranks, with two micro-batches on each."""


@dataclass(frozen=True)
class Way:
    """One way to compute the same step."""

    strategy: Strategy
    how: str  # whole | cached | accumulated
    kind: str = "infonce"
    stage: int = 1
    checkpointing: bool = False
    per_node: int = 0

    @property
    def name(self) -> str:
        """What the results are filed under."""
        more = ("-ckpt" if self.checkpointing else "") + (f"-nodes-of-{self.per_node}" if self.per_node else "")
        return f"{self.strategy}-{self.how}-{self.kind}-stage{self.stage}{more}"


WAYS = [
    Way("ddp", "whole"),
    Way("ddp", "cached"),
    Way("ddp", "accumulated"),
    Way("ddp", "whole", "siglip"),
    Way("ddp", "cached", "siglip"),
    Way("ddp", "cached", stage=2),
    Way("fsdp2", "whole"),
    Way("fsdp2", "cached"),
    Way("fsdp2", "accumulated"),
    Way("fsdp2", "cached", "siglip", stage=2, checkpointing=True),
    Way("fsdp2", "cached", per_node=2),
]


def config_of(way: Way) -> Any:
    """The model's configuration."""
    return small_config(stage=way.stage, gradient_checkpointing=way.checkpointing)


def one_step(way: Way, rank: int, world: int) -> tuple[float, dict[str, torch.Tensor]]:
    """(loss, whole gradients) of this way, from this rank's rows of the global batch."""
    config = config_of(way)
    model = wrap(
        small_model(stage=way.stage, gradient_checkpointing=way.checkpointing), way.strategy, per_node=way.per_node
    )
    n = N_CLIPS // world
    whole = small_batch(config, N_CLIPS)
    if way.how == "accumulated":
        return accumulate(model, whole, rank, world), gradients_of(model)
    own = whole[rank * n : (rank + 1) * n]
    if way.how == "cached":
        loss = cached_backward(model, own.split(n // 2), **cached_losses(own, way.kind))
        return float(loss), gradients_of(model)
    loss = whole_loss(model(own), own, way.kind)
    torch.autograd.backward(loss)
    return float(loss.detach()), gradients_of(model)


def accumulate(model: torch.nn.Module, whole: Any, rank: int, world: int) -> float:
    """Two global batches of half the size, their gradients added up and exchanged once."""
    total = 0.0
    for i, part in enumerate(whole.split(N_CLIPS // 2)):
        n = len(part) // world
        own = part[rank * n : (rank + 1) * n]
        with gradient_sync(model, enabled=i == 1):
            loss = whole_loss(model(own), own) / 2
            torch.autograd.backward(loss)
        total += float(loss.detach())
    return total


def step_with_dropout(rank: int, world: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(cached under DDP, the same with every graph kept and gradients averaged by hand), dropout and drop-path on."""
    changes: dict[str, Any] = {"dropout": 0.3, "drop_path": 0.5}
    config = small_config(**changes)
    n = N_CLIPS // world
    own = small_batch(config, N_CLIPS)[rank * n : (rank + 1) * n]
    cached, plain = wrap(small_model(**changes), "ddp"), small_model(**changes)
    torch.manual_seed(rank)
    cached_backward(cached, own.split(n // 2), **cached_losses(own))
    after_cached = torch.rand(3)
    torch.manual_seed(rank)
    parts = [plain(part) for part in own.split(n // 2)]
    video, text = (torch.cat([part[i] for part in parts]) for i in (0, 1))
    torch.autograd.backward(contrastive_loss(video, text, parts[-1].logit_scale, None, "infonce", parts[-1].logit_bias))
    assert torch.equal(after_cached, torch.rand(3)), "random generators must end as after one pass"
    for parameter in plain.parameters():
        if parameter.grad is not None:
            dist.all_reduce(parameter.grad)
            parameter.grad /= world
    return gradients_of(cached), gradients_of(plain)


def step_in_bf16(rank: int, world: int) -> dict[str, Any]:
    """{strategy: (loss, gradients)} of one step of an fp32 model under bf16 autocast."""
    n = N_CLIPS // world
    own = small_batch(small_config(), N_CLIPS)[rank * n : (rank + 1) * n]
    strategies: tuple[Strategy, ...] = ("ddp", "fsdp2")
    found: dict[str, Any] = {}
    for strategy in strategies:
        model = wrap(small_model().float(), strategy, bf16=True)
        with torch.autocast("cpu", torch.bfloat16):
            features = model(own)
        loss = whole_loss(features, own)
        torch.autograd.backward(loss)
        found[strategy] = (float(loss.detach()), gradients_of(model))
    return found


def embed_sharded() -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings of a model whose weights are spread over the ranks."""
    config = small_config()
    batch = small_batch(config, 2)
    model = unwrap(wrap(small_model(), "fsdp2").eval())
    with torch.no_grad():
        return model.embed(batch.img_middle, batch.img_other, batch.input_ids, batch.attention_mask)


def main(out: str) -> None:
    """Everything, in one start of the processes."""
    process = process_from_environment("cpu")
    torch.set_num_threads(1)
    with process_group(process):
        results: dict[str, Any] = {way.name: one_step(way, process.rank, process.world) for way in WAYS}
        results["steps"] = {case.name: losses_of(case) for case in ALL_LOSSES}
        results["dropout"] = step_with_dropout(process.rank, process.world)
        results["bf16"] = step_in_bf16(process.rank, process.world)
        results["embedded"] = embed_sharded()
        rows = torch.full((2, 3), float(process.rank))
        results["gathered"] = gather(rows)
        results["mean"] = float(mean_over_ranks(torch.tensor(float(process.rank))))
        if process.is_first:
            torch.save(results, out)


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.flush()
    os._exit(0)  # the results are written; threads of gloo that outlive the group could abort the interpreter's end
