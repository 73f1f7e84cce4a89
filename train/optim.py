"""AdamW with HD-VILA's groups, learning-rate schedules, and the moving average of the weights.

Groups are told by name: `cnn` (both trunks and the 1x1 necks), `timesformer`, `transformer` (text, multimodal layers,
projections, temperature), each with its own learning rate and weight decay. Not decayed: biases, embeddings (tables and
learned positions) and, unless `decay_norms`, every norm's gain. The official code does decay batch norms and the
space-time Transformer's norms; `decay_norms: true` does as it did. Parameters without a gradient are in no group: they
are neither moved nor decayed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from train.config import GroupName, OptimConfig

GROUPS: tuple[GroupName, ...] = ("cnn", "timesformer", "transformer")


def clean_name(name: str) -> str:
    """A parameter's name without what DDP and torch.compile put before it."""
    return name.replace("module.", "").replace("_orig_mod.", "")


def group_of(name: str) -> GroupName:
    """The group of a parameter by its name."""
    if name.startswith("timesformer"):
        return "timesformer"
    return "cnn" if name.startswith(("cnn", "grid_encoder")) else "transformer"


def is_decayed(name: str, parameter: Tensor, *, decay_norms: bool) -> bool:
    """Whether weight decay applies to a parameter."""
    if name.endswith("bias") or "embed" in name or "LayerNorm" in name or name.startswith("temperature"):
        return False
    return parameter.ndim > 1 or decay_norms


def parameter_groups(model: nn.Module, config: OptimConfig) -> list[dict[str, Any]]:
    """AdamW's groups: up to one with and one without decay for each of `GROUPS`, each with its `peak_lr` and `name`."""
    groups: dict[tuple[GroupName, bool], list[nn.Parameter]] = {}
    for raw, parameter in model.named_parameters():
        if parameter.requires_grad:
            name = clean_name(raw)
            decayed = is_decayed(name, parameter, decay_norms=config.decay_norms)
            groups.setdefault((group_of(name), decayed), []).append(parameter)
    return [
        {
            "params": groups[group, decayed],
            "name": f"{group}{'' if decayed else ' (no decay)'}",
            "peak_lr": config.lr * config.lr_scale.get(group, 1.0),
            "weight_decay": config.weight_decay * config.weight_decay_scale.get(group, 1.0) if decayed else 0.0,
        }
        for group in GROUPS
        for decayed in (True, False)
        if (group, decayed) in groups
    ]


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW over the model's trainable parameters."""
    return torch.optim.AdamW(parameter_groups(model, config), lr=config.lr, betas=config.betas, eps=config.eps)


def lr_factor(step: int, n_steps: int, config: OptimConfig) -> float:
    """The learning rate of step `step` (from 0) as a share of its peak.

    Linear warm-up reaches the peak with the last of its steps; the first step has a rate already (not 0, as in the
    official code), so that no step is spent without learning.
    """
    n_warmup = round(config.warmup * n_steps)
    if step < n_warmup:
        return (step + 1) / n_warmup
    done = (step - n_warmup) / max(n_steps - n_warmup, 1)
    if config.schedule == "milestones":
        return float(0.5 ** sum(step >= share * n_steps for share in config.milestones))
    falling = {"cosine": 0.5 * (1 + math.cos(math.pi * done)), "linear": 1 - done, "constant": 1.0}[config.schedule]
    return config.lr_floor + (1 - config.lr_floor) * falling


def set_lr(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Give each group its rate; the largest of them."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor
    return max(group["lr"] for group in optimizer.param_groups)


def clip_gradients(model: nn.Module, max_norm: float) -> float:
    """Scale the gradients to a global L2 norm of at most `max_norm` (0: leave them); the norm before."""
    parameters = [p for p in model.parameters() if p.grad is not None]
    norm = torch.nn.utils.clip_grad_norm_(parameters, max_norm or math.inf)
    whole: Tensor = norm.full_tensor() if isinstance(norm, DTensor) else norm
    return whole.item()


class Ema:
    """The exponential moving average of a model's trainable parameters, in their own type and sharding.

    The decay of step t is `min(decay, (1 + t) / (10 + t))`, so that the first steps don't hold on to random weights.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._decay = decay
        self._live = {clean_name(n): p for n, p in model.named_parameters() if p.requires_grad}
        self.shadow = {name: p.detach().clone() for name, p in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after step `step`."""
        keep = min(self._decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.shadow.values()), [p.detach() for p in self._live.values()], 1 - keep)

    @torch.no_grad()
    def load(self, shadow: Mapping[str, Tensor]) -> None:
        """Take over averages from a checkpoint."""
        for name, value in self.shadow.items():
            value.copy_(shadow[name])

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """The model holds the averages inside, its own weights again afterwards."""
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
