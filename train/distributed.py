"""Processes: starting a group, and what they exchange, with gradient and without.

DDP and FSDP2 average gradients over ranks; `gather` sums its gradient over ranks. So if each rank computes the loss of
its own rows, the gradients are exactly those of the global batch's loss (see losses.py).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from manifests.errors import UserError

Group = dist.ProcessGroup | None
T = TypeVar("T")

START_TIMEOUT = timedelta(minutes=10)
"""If the ranks don't all connect within this time (a node never came up), the run fails instead of hanging."""


@dataclass(frozen=True, slots=True)
class Process:
    """This process within the run: its rank among `world` ranks, and its device."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes files and logs."""
        return self.rank == 0


def process_from_environment(device: str = "auto") -> Process:
    """Reads torchrun's RANK, WORLD_SIZE and LOCAL_RANK (default: a single process); `device` is auto, cpu or cuda."""
    rank, world, local = (
        int(os.environ.get(name, at)) for name, at in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda was asked for, but torch sees no CUDA device; set device to cpu or auto")
    if device == "cpu" or not torch.cuda.is_available():
        return Process(rank, world, torch.device("cpu"))
    return Process(rank, world, torch.device("cuda", local))


@contextmanager
def process_group(process: Process) -> Iterator[None]:
    """Sets up the default process group for the block's duration; does nothing for a single process.

    NCCL moves CUDA tensors, gloo those on the CPU (data about rows that ranks exchange).
    """
    if process.world == 1:
        yield
        return
    if process.device.type == "cuda":
        torch.cuda.set_device(process.device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if process.device.type == "cuda" else "gloo", timeout=START_TIMEOUT)
    try:
        yield
        dist.barrier()  # no rank may close its connections while another still writes: gloo would abort
    finally:
        dist.destroy_process_group()


def world_size(group: Group = None) -> int:
    """The number of ranks in the group; 1 without a group."""
    return dist.get_world_size(group) if dist.is_initialized() else 1


def rank_in(group: Group = None) -> int:
    """This process's rank in the group; 0 without a group."""
    return dist.get_rank(group) if dist.is_initialized() else 0


class _Gather(torch.autograd.Function):
    """All-gather along dimension 0; the backward pass sums, over ranks, each rank's gradient for this rank's rows."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Group) -> Tensor:
        ctx.group = group
        gathered = x.new_empty(world_size(group) * x.shape[0], *x.shape[1:])
        dist.all_gather_into_tensor(gathered, x.contiguous(), group=group)
        return gathered

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        wanted = gradients[0].contiguous()
        own = wanted.new_empty(wanted.shape[0] // world_size(ctx.group), *wanted.shape[1:])
        dist.reduce_scatter_tensor(own, wanted, group=ctx.group)
        return own, None


def gather(x: Tensor, group: Group = None) -> Tensor:
    """[n, ...] on each rank -> [world * n, ...] in rank order, with gradient. Every rank must hold the same n."""
    return x if world_size(group) == 1 else _Gather.apply(x, group)


def mean_over_ranks(value: Tensor, group: Group = None) -> Tensor:
    """The mean of a value over ranks; its gradient is that of this rank's value (DDP and FSDP2 average the rest)."""
    if world_size(group) == 1:
        return value
    return value + (sum_over_ranks(value.detach(), group) / world_size(group) - value.detach())


def sum_over_ranks(value: Tensor, group: Group = None) -> Tensor:
    """The sum of a value over ranks, without gradient."""
    total = value.detach().clone()
    if world_size(group) > 1:
        dist.all_reduce(total, group=group)
    return total


def all_rows(x: Tensor, group: Group = None) -> Tensor:
    """[n, ...] on each rank -> [world * n, ...] in rank order, without gradient; on the CPU too."""
    if world_size(group) == 1:
        return x
    gathered = x.new_empty(world_size(group) * x.shape[0], *x.shape[1:])
    dist.all_gather_into_tensor(gathered, x.contiguous(), group=group)
    return gathered


def gathered(own: T, process: Process) -> list[T]:
    """What each rank gives, in rank order, on every rank."""
    if process.world == 1:
        return [own]
    parts: list[Any] = [None] * process.world
    dist.all_gather_object(parts, own)
    return parts


def agree(problem: str, group: Group = None) -> None:
    """Raises UserError on every rank if the first has a problem, so that no rank waits for it forever."""
    problems: list[Any] = [problem]
    if world_size(group) > 1:
        dist.broadcast_object_list(problems, src=0, group=group)
    if problems[0]:
        raise UserError(problems[0])


def text_from_first(value: str) -> str:
    """Returns the first rank's text on every rank."""
    values: list[Any] = [value]
    if world_size() > 1:
        dist.broadcast_object_list(values, src=0)
    return str(values[0])


def from_first(model: nn.Module) -> None:
    """Copies the model's tensors from the first rank to all others, in place."""
    if world_size() > 1:
        for tensor in model.state_dict().values():
            dist.broadcast(tensor, src=0)


def whole(x: Tensor) -> Tensor:
    """The full tensor if FSDP2 has sharded it, else the tensor itself. All ranks call it together."""
    return x.full_tensor() if isinstance(x, DTensor) else x
