"""AdamW and SGD by the model's groups, learning-rate schedules, and the moving average of the weights.

A model assigns each parameter to a group by its name (HD-VILA: `cnn`, both trunks and the 1x1 necks; `timesformer`;
`transformer`, text, multimodal layers, projections, temperature); each group has its own learning rate and weight
decay, and so has what a pattern of names matches; with `layer_decay`, lower blocks have lower rates. Not decayed are
biases, embeddings (tables and learned positions) and, unless `decay_norms`, every norm's gain. HD-VILA's official code
does decay batch norms and the space-time Transformer's norms; `decay_norms: true` does the same. Parameters that aren't
trainable are in no group: they are neither updated nor decayed.
"""

import difflib
import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from manifests.errors import UserError
from train.models.wrapping import unwrap
from train.sections import OptimConfig


def clean_name(name: str) -> str:
    """A parameter's name without the prefixes of DDP and torch.compile."""
    return name.replace("module.", "").replace("_orig_mod.", "")


def parameter_groups(model: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """For each group of the model one for the optimiser, or several where rates or weight decay differ inside it.

    Each has `peak_lr`, `name` and `kind`, the optimiser that updates it (adamw or sgd). UserError for a pattern of
    names that no trained parameter matches.
    """
    inner = unwrap(model)
    trained = {clean_name(raw): p for raw, p in model.named_parameters() if p.requires_grad}
    _refuse_unmatched(config, trained, inner.groups)
    by_depth = layer_factors(list(trained), config.layer_decay)
    groups: dict[tuple[str, bool, float, float], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        group = inner.group_of(name)
        decayed = inner.is_decayed(name, parameter, decay_norms=config.decay_norms)
        rate = by_depth.get(name, 1.0) * _factor(config.lr_scale, group, name)
        decay = _factor(config.weight_decay_scale, group, name) if decayed else 0.0
        groups.setdefault((group, decayed, rate, decay), []).append(parameter)
    order = {name: at for at, name in enumerate(inner.groups)}
    return [
        {
            "params": groups[group, decayed, rate, decay],
            "name": f"{group}{'' if decayed else ' (no decay)'}",
            "kind": config.optimizer.get(group, "sgd" if group in inner.sgd_groups else "adamw"),
            "peak_lr": config.lr * rate,
            "weight_decay": config.weight_decay * decay,
        }
        for group, decayed, rate, decay in sorted(groups, key=lambda key: (order[key[0]], not key[1], *key[2:]))
    ]


def _factor(scale: Mapping[str, float], group: str, name: str) -> float:
    """The product of the factors of a parameter's group and of all patterns that its name matches."""
    return math.prod(factor for key, factor in scale.items() if key == group or fnmatchcase(name, key))


def _refuse_unmatched(config: OptimConfig, trained: Collection[str], groups: Sequence[str]) -> None:
    for setting in ("lr_scale", "weight_decay_scale"):
        for pattern in getattr(config, setting).keys() - set(groups):
            if not any(fnmatchcase(name, pattern) for name in trained):
                near = difflib.get_close_matches(pattern, trained, n=1, cutoff=0.0)
                raise UserError(f"optim.{setting}.{pattern}: matches no trained parameter; one is {', '.join(near)}")


def layer_factors(names: Sequence[str], decay: float) -> dict[str, float]:
    """The factor on the rate of each parameter in a stack of numbered blocks, or among the embeddings below it.

    As in BEiT: of n blocks, block i (from 0) has decay^(n - i), what feeds the first decay^(n + 1), all else 1. ResNets
    have stages, not a stack: theirs is 1 too.
    """
    found = {name: re.match(r"(.+?\.(?:blocks|layers?))\.(\d+)\.", name) for name in names}
    stacks = {name: (match[1], int(match[2])) for name, match in found.items() if match}
    depths: dict[str, int] = {}
    for stack, at in stacks.values():
        depths[stack] = max(depths.get(stack, 0), at + 1)
    factors = {name: decay ** (depths[stack] - at) for name, (stack, at) in stacks.items()}
    for stack, depth in depths.items():
        tower = stack.partition(".")[0]
        below = (n for n in names if n.startswith(f"{tower}.") and "embed" in n and n not in stacks)
        for name in below:
            factors.setdefault(name, decay ** (depth + 1))
    return factors


class ByGroup(torch.optim.Optimizer):
    """Several optimisers as one: each updates its own groups; all settings and states are in one place."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        # The parts share their groups with this object, so that a rate set here applies to them, and share its state.
        super().__init__([group for part in parts for group in part.param_groups], {})
        for part in self.parts:
            part.state = self.state

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Takes one step with each optimiser."""
        for part in self.parts:
            part.step()


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """The optimiser of the model's trainable parameters: AdamW, SGD with momentum, or both by group."""
    groups = parameter_groups(model, config)
    adamw, sgd = ([g for g in groups if g["kind"] == kind] for kind in ("adamw", "sgd"))
    parts: list[torch.optim.Optimizer] = []
    if adamw:
        on_gpu = all(parameter.is_cuda for group in adamw for parameter in group["params"])
        # One kernel for all tensors on a GPU; a CPU keeps the plain kernel, because runs are compared bit by bit there.
        fused = {"fused": True} if on_gpu else {}
        parts.append(torch.optim.AdamW(adamw, lr=config.lr, betas=config.betas, eps=config.eps, **fused))
    if sgd:
        parts.append(torch.optim.SGD(sgd, lr=config.lr, momentum=config.momentum))
    return parts[0] if len(parts) == 1 else ByGroup(parts)


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


class Ema:
    """The exponential moving average of a model's trainable parameters, with their dtype and sharding.

    The decay of step t is `min(decay, (1 + t) / (10 + t))`, so that random initial weights don't linger in the average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._live = {clean_name(n): p for n, p in model.named_parameters() if p.requires_grad}
        self.shadow = {name: p.detach().clone() for name, p in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Updates the average with the weights after step `step`."""
        keep = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.shadow.values()), [p.detach() for p in self._live.values()], 1 - keep)

    @torch.no_grad()
    def load(self, shadow: Mapping[str, Tensor]) -> None:
        """Sets the averages to those of a checkpoint."""
        for name, value in self.shadow.items():
            value.copy_(shadow[name])

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Gives the model the averaged weights for the block's duration, then restores its own."""
        kept = {name: p.detach().clone() for name, p in self._live.items()}
        self._put(self.shadow)
        try:
            yield
        finally:
            self._put(kept)

    @torch.no_grad()
    def _put(self, values: Mapping[str, Tensor]) -> None:
        for name, parameter in self._live.items():
            parameter.copy_(values[name])
