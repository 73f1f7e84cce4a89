"""How a model is run: number formats, memory layout, compiled blocks, and wrapping it in DDP or FSDP2.

None of it changes what a step computes, beyond the precision that is asked for.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method
from torch.nn.parallel import DistributedDataParallel

from manifests.errors import UserError
from train.distributed import world_size
from train.models.base import Model

Strategy = Literal["none", "ddp", "fsdp2"]

UNIT_PARAMETERS = 4_000_000
"""Blocks with fewer parameters share a sharding unit with their neighbours: a message each would be inefficient."""


def tune(model: Model, loop: Any, strategy: Strategy) -> None:
    """Tunes this process and the model, before it is wrapped, as the section `loop` says. UserError for settings that
    don't go together."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = loop.tf32
    torch.backends.cudnn.benchmark = True  # every step has the same shapes: the search for the fastest pays off once
    if loop.channels_last:
        if strategy == "fsdp2":
            raise UserError("loop.channels_last: FSDP2 shards only contiguous weights; leave it out, or use ddp")
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if loop.compile:
        compile_blocks(model)


def compile_blocks(model: Model, **options: Any) -> None:
    """Compiles each block separately: identical blocks share a graph, and wrappers' hooks stay outside of it."""
    for block in blocks_of(model):
        block.compile(**options)


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """An autocast context for `loop.precision`: bf16 if it says so, else disabled."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


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


def shardable(model: Model) -> list[list[nn.Module]]:
    """The units to shard: each is a large block, or several neighbours with the same parent, which run together."""
    units: list[list[nn.Module]] = []
    for parent in model.modules():
        open_unit, size = False, 0
        for block in parent.children():
            if not isinstance(block, model.blocks):
                continue
            if not open_unit:
                units.append([])
                size = 0
            units[-1].append(block)
            size += sum(parameter.numel() for parameter in block.parameters())
            open_unit = size < UNIT_PARAMETERS
    return units


def blocks_of(model: Model) -> Iterator[nn.Module]:
    """The blocks inside a model, in order."""
    return (module for module in model.modules() if isinstance(module, model.blocks))


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
