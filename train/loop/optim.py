"""AdamW with rates and weight decay by patterns of parameters' names, and learning-rate schedules.

Not decayed are biases, embeddings (tables and learned positions) and, unless `decay_norms`, every norm's gain.
HD-VILA's official code does decay batch norms and the space-time Transformer's norms; so does `decay_norms: true`.
Parameters that aren't trainable are in no group: they are neither updated nor decayed.
"""

import difflib
import math
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from manifests.errors import UserError
from train.models.wrapping import unwrap
from train.sections import OptimConfig


def clean_name(name: str) -> str:
    """A parameter's name without the prefix of DDP and the parts that torch.compile puts in."""
    return name.removeprefix("module.").replace("_orig_mod.", "")


def parameter_groups(model: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """The groups for the optimiser: the trained parameters of each `peak_lr` and `weight_decay`.

    UserError for a pattern of names that no trained parameter matches.
    """
    inner = unwrap(model)
    trained = {clean_name(raw): p for raw, p in model.named_parameters() if p.requires_grad}
    _refuse_unmatched(config, trained)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        decayed = inner.is_decayed(name, parameter, decay_norms=config.decay_norms)
        decay = _factor(config.weight_decay_scale, name) if decayed else 0.0
        groups.setdefault((_factor(config.lr_scale, name), decay), []).append(parameter)
    return [
        {"params": groups[rate, decay], "peak_lr": config.lr * rate, "weight_decay": config.weight_decay * decay}
        for rate, decay in sorted(groups)
    ]


def _factor(scale: Mapping[str, float], name: str) -> float:
    """The product of the factors of all patterns that a parameter's name matches."""
    return math.prod(factor for pattern, factor in scale.items() if fnmatchcase(name, pattern))


def _refuse_unmatched(config: OptimConfig, trained: Collection[str]) -> None:
    for setting in ("lr_scale", "weight_decay_scale"):
        for pattern in getattr(config, setting):
            if not any(fnmatchcase(name, pattern) for name in trained):
                near = difflib.get_close_matches(pattern, trained, n=1, cutoff=0.0)
                raise UserError(
                    f"optim.{setting}.{pattern}: matches no trained parameter; one is {', '.join(near)}, which "
                    f"{near[0].partition('.')[0]}.* matches"
                )


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over the model's trainable parameters."""
    groups = parameter_groups(model, config)
    on_gpu = all(parameter.is_cuda for group in groups for parameter in group["params"])
    # One kernel for all tensors on a GPU; a CPU keeps the plain kernel, because runs are compared bit by bit there.
    fused = {"fused": True} if on_gpu else {}
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, eps=config.eps, **fused)


def lr_factor(step: int, n_steps: int, config: OptimConfig) -> float:
    """The learning rate of step `step` (from 0) as a share of its peak.

    Linear warm-up reaches the peak at its last step. Unlike in the official code, the rate of the first step is not 0,
    so that no step is wasted.
    """
    n_warmup = round(config.warmup * n_steps)
    if step < n_warmup:
        return (step + 1) / n_warmup
    done = (step - n_warmup) / max(n_steps - n_warmup, 1)
    if config.schedule == "milestones":
        return float(0.5 ** sum(step >= share * n_steps for share in config.milestones))
    return {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[config.schedule]


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Sets each group's learning rate to `factor` times its peak; returns the largest rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    return max(group["lr"] for group in optimizer.param_groups)


def clip_gradients(model: nn.Module, max_norm: float) -> Tensor:
    """Scales the gradients to a global L2 norm of at most `max_norm` (0: no limit); returns the norm before, []."""
    parameters = [p for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm or math.inf)
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
