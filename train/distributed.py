"""Processes: starting a group, gathering with gradient, wrapping a model in DDP or FSDP2.

Both wrappers average gradients over ranks; `gather` sums its gradient over ranks. So if each rank computes the loss of
its own rows, the gradients are exactly those of the global batch's loss (see losses.py).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from manifests.errors import UserError
from train.models.base import Model, shardable

Strategy = Literal["none", "ddp", "fsdp2"]
Group = dist.ProcessGroup | None

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


def agree(problem: str, group: Group = None) -> None:
    """Raises UserError on every rank if the first one has a problem, so that no rank waits for it forever."""
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


def wrap(model: Model, strategy: Strategy = "none", *, bf16: bool = False, per_node: int = 0) -> nn.Module:
    """Wraps the model for `strategy`. The result is called with rows like the model; `unwrap` gives the Model inside.

    fsdp2 shards block by block. With `bf16`, the blocks' weights are sent and used in bfloat16, and so is the residual
    stream between them (inside autocast, as with the other strategies), while shards, gradients and everything outside
    the blocks stay fp32. `per_node` is the number of ranks per node: each node then holds the whole model, and only
    gradients travel between nodes; 0 shards the model over all ranks.
    """
    if strategy == "none" or (world_size() == 1 and strategy == "ddp"):
        return model
    if not dist.is_initialized():
        raise UserError(f"strategy {strategy} needs a process group: start the run with torchrun, or set it to none")
    if strategy == "ddp":
        on_gpu = next(model.parameters()).is_cuda
        devices = [torch.cuda.current_device()] if on_gpu else None
        # Batch-norm statistics are frozen and the same everywhere: nothing to broadcast.
        return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False, gradient_as_bucket_view=True)
    return _shard(model, bf16=bf16, per_node=per_node)


def ranks_a_node() -> int:
    """The number of ranks per node according to torchrun; 0 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 0))


def mesh_of(device_type: str, world: int, per_node: int) -> DeviceMesh:
    """A mesh of nodes x `per_node` ranks if that divides the ranks evenly into several nodes, else one of all ranks."""
    if 0 < per_node < world and world % per_node == 0:
        return init_device_mesh(device_type, (world // per_node, per_node), mesh_dim_names=("copy", "shard"))
    return init_device_mesh(device_type, (world,), mesh_dim_names=("shard",))


def _shard(model: Model, *, bf16: bool, per_node: int) -> nn.Module:
    mesh = mesh_of(next(model.parameters()).device.type, world_size(), per_node)
    half = MixedPrecisionPolicy(torch.bfloat16, torch.float32)
    full = MixedPrecisionPolicy(cast_forward_inputs=False)
    for unit in shardable(model):
        fully_shard(unit, mesh=mesh, mp_policy=half if bf16 else full, reshard_after_forward=True)
    fully_shard(model, mesh=mesh, mp_policy=full)
    for method in model.methods:
        register_fsdp_forward_method(model, method)
    return model


def unwrap(model: nn.Module) -> Model:
    """The Model inside a wrapper. Under FSDP2, the methods that its `methods` lists gather the shards themselves."""
    inner = model.module if isinstance(model, DistributedDataParallel) else model
    inner = getattr(inner, "_orig_mod", inner)
    assert isinstance(inner, Model)
    return inner


@contextmanager
def gradient_sync(model: nn.Module, enabled: bool) -> Iterator[None]:
    """With `enabled=False`, leaves the exchange of gradients to a later backward pass (of the last micro-batch)."""
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(enabled)
        yield
        return
    if isinstance(model, DistributedDataParallel) and not enabled:
        with model.no_sync():
            yield
        return
    yield
